//! The benchmark's reader of event streams, held against streams that are known.

#![allow(clippy::unwrap_used)]

#[path = "wire.rs"]
mod wire;

use wire::{Datum, Wire};

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

fn taken(response: &str, size: usize) -> (Wire, Vec<Datum>) {
    let (mut wire, mut events) = (Wire::default(), vec![]);
    for piece in response.as_bytes().chunks(size) {
        wire.take(piece, |datum| events.push(datum)).unwrap();
    }
    (wire, events)
}

#[test]
fn events_are_counted_in_pieces_of_any_size() {
    let events: String = (5..9).map(event).collect();
    let (start, end) = events.split_at(60);
    let chunks = ["retry: 5\n\n: hi\n\n", start, end, ":\n\nid: a-8\n\n"];
    let response = chunked(&chunks);
    for size in 1..=response.len() {
        let (wire, events) = taken(&response, size);
        let numbers: Vec<_> = events.iter().map(|datum| datum.number).collect();
        assert_eq!(numbers, [5, 6, 7, 8], "in pieces of {size}");
        assert_eq!(events[3].stamp, 56);
        assert_eq!((wire.events, wire.strays), (4, 0));
        assert_eq!(wire.last_id(), b"a-8");
        assert_eq!(wire.body_bytes, chunks.concat().len() as u64);
    }
}

#[test]
fn a_body_without_chunks_and_lines_that_end_with_crlf_are_read_too() {
    let body = event(1).replace('\n', "\r\n").replace("data: ", "data:");
    let (wire, events) = taken(&format!("HTTP/1.1 200 OK\r\n\r\n{body}"), 7);
    assert_eq!((events.len(), wire.strays), (1, 0));
}

#[test]
fn a_gap_a_repetition_and_a_foreign_event_are_strays() {
    for (events, strays) in [
        ([event(1), event(3)], 1),
        ([event(1), event(1)], 1),
        ([event(1), "event: runnel.gap\ndata: {}\n\n".to_owned()], 1),
        ([event(1), event(2)], 0),
    ] {
        let (wire, _) = taken(&chunked(&[&events.concat()]), 1_000);
        assert_eq!(wire.strays, strays, "{events:?}");
    }
}

#[test]
fn an_error_and_an_end_are_no_event_streams() {
    for response in [
        "HTTP/1.1 503 Service Unavailable\r\n\r\n".to_owned(),
        chunked(&[]) + "0\r\n\r\n",
    ] {
        let taken = Wire::default().take(response.as_bytes(), |_| ());
        assert!(taken.is_err(), "{response}");
    }
}

#[test]
fn a_stream_is_open_once_its_head_is_there() {
    let mut wire = Wire::default();
    assert!(!wire.is_open());
    wire.take(chunked(&[]).as_bytes(), |_| ()).unwrap();
    assert!(wire.is_open());
}
