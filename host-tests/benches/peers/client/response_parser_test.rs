//! Tests of the benchmark's response parser.

#![allow(clippy::unwrap_used)]

#[path = "response_parser.rs"]
mod response_parser;

use response_parser::{EventPayload, InvalidResponse, ResponseParser};

fn event(number: u64) -> String {
    format!(
        "data: {number:010} {:016} xxx\nid: a-{number}\n\n",
        number * 7
    )
}

fn chunked(chunks: &[&str]) -> String {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    chunks.iter().fold(head, |response, chunk| {
        format!("{response}{:x};x=1\r\n{chunk}\r\n", chunk.len())
    })
}

fn parse(response: &str, size: usize) -> (ResponseParser, Vec<EventPayload>) {
    let (mut parser, mut events) = (ResponseParser::default(), vec![]);
    for piece in response.as_bytes().chunks(size) {
        parser.parse(piece, |payload| events.push(payload)).unwrap();
    }
    (parser, events)
}

#[test]
fn events_are_parsed_from_pieces_of_any_size() {
    let events: String = (5..9).map(event).collect();
    let (start, end) = events.split_at(60);
    let open = ": hi\nevent: runnel.open\nretry: 5\ndata: {}\nid: a-4\n\n";
    let chunks = [
        open,
        start,
        end,
        ":\nevent: runnel.position\ndata: {}\nid: a-8\n\n",
    ];
    let response = chunked(&chunks);
    for size in 1..=response.len() {
        let (parser, events) = parse(&response, size);
        let numbers: Vec<_> = events.iter().map(|payload| payload.number).collect();
        assert_eq!(numbers, [5, 6, 7, 8], "in pieces of {size}");
        assert_eq!(events[3].stamp, 56);
        assert_eq!((parser.events, parser.unexpected_events), (4, 0));
        assert_eq!(parser.last_id(), b"a-8");
        assert_eq!(parser.body_bytes, chunks.concat().len() as u64);
    }
}

#[test]
fn an_unchunked_body_and_lines_that_end_with_crlf_are_parsed() {
    let body = event(1).replace('\n', "\r\n").replace("data: ", "data:");
    let (parser, events) = parse(&format!("HTTP/1.1 200 OK\r\n\r\n{body}"), 7);
    assert_eq!((events.len(), parser.unexpected_events), (1, 0));
}

#[test]
fn a_gap_a_repetition_and_a_foreign_event_are_unexpected() {
    for (events, unexpected) in [
        ([event(1), event(3)], 1),
        ([event(1), event(1)], 1),
        ([event(1), "event: runnel.gap\ndata: {}\n\n".to_owned()], 1),
        ([event(1), event(2)], 0),
    ] {
        let (parser, _) = parse(&chunked(&[&events.concat()]), 1_000);
        assert_eq!(parser.unexpected_events, unexpected, "{events:?}");
    }
}

#[test]
fn an_error_status_and_the_end_of_the_response_are_errors() {
    let head = "HTTP/1.1 503 Service Unavailable\r\n\r\n".to_owned();
    let lower_case = head.to_ascii_lowercase();
    for (response, error) in [
        (head, InvalidResponse::Head(lower_case)),
        (chunked(&[]) + "0\r\n\r\n", InvalidResponse::Ended),
    ] {
        let parsed = ResponseParser::default().parse(response.as_bytes(), |_| ());
        assert_eq!(parsed, Err(error), "{response}");
    }
}

#[test]
fn the_head_is_recognised_once_it_is_complete() {
    let mut parser = ResponseParser::default();
    assert!(!parser.has_head());
    parser.parse(chunked(&[]).as_bytes(), |_| ()).unwrap();
    assert!(parser.has_head());
}
