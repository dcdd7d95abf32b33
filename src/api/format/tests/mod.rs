//! Parsing of bodies.

mod cloud_events;

use self::cloud_events::binary_headers;
use super::*;
use crate::api::sample::any_header_value;
use http::{HeaderValue, StatusCode};
use proptest::prelude::*;

fn lines_of_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = "\\{|\\}|\"data\"|\"event\"|:|,|\"[a-z.]{0,9}\"|\"\\\\u[0-9a-d]{4}\"|[0-9]{1,3}|null|\\[|\\]|\r?\n| ";
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    /// Property: any body is parsed or rejected in every format, and every event can be encoded.
    #[test]
    fn any_body_is_parsed_or_rejected(
        body in prop_oneof![any::<Vec<u8>>(), lines_of_json()],
        event_type in prop::option::of(any::<String>()),
        max_event_bytes in 0_usize..40,
    ) {
        for format in [JSON, TEXT, Format::JsonLines, Format::Form, Format::CloudEvent] {
            let parsed = format.parse(&body, event_type.as_deref(), max_event_bytes);
            for event in parsed.map(|publication| publication.events).unwrap_or_default() {
                prop_assert!(event.data.len() <= max_event_bytes);
                let event_type = event.event_type.as_deref();
                prop_assert!(event_type.is_none_or(|text| EventType::from_publisher(text).is_ok()));
            }
        }
    }

    /// Property: any bytes in any of the headers are accepted or rejected without a panic.
    #[test]
    fn any_headers_are_accepted_or_rejected(value in any_header_value(), name in 0_usize..5) {
        let mut headers = binary_headers(Some("text/plain"));
        let names = ["content-type", "ce-specversion", "ce-id", "ce-source", "ce-type"];
        headers.insert(names[name], value);
        let _ = Format::from_headers(&headers);
    }

    /// Property: any content type is accepted or rejected without a panic.
    #[test]
    fn any_content_type_is_accepted_or_rejected(value in "[a-zA-Z/+;=\" -]{0,30}|(application|text)/[a-z+-]{0,8}(;[a-z =\"-]{0,12}){0,2}") {
        let _ = format(&value);
    }
}

const JSON: Format = Format::Body {
    json: true,
    attributes: None,
};
const TEXT: Format = Format::Body {
    json: false,
    attributes: None,
};

fn format(content_type: &str) -> Result<Format, StatusCode> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    Format::from_headers(&headers).map_err(|problem| problem.status())
}

fn events(format: Format, body: &[u8]) -> Result<Vec<NewEvent>, StatusCode> {
    format
        .parse(body, None, 20)
        .map(|publication| publication.events)
        .map_err(|problem| problem.status())
}

fn event(event_type: Option<&str>, data: &str) -> NewEvent {
    NewEvent {
        event_type: event_type.map(str::to_owned),
        data: data.to_owned(),
        trace: None,
    }
}

#[test]
fn the_content_type_determines_the_format() {
    assert_eq!(format("application/json"), Ok(JSON));
    assert_eq!(format("Application/JSON; charset=\"UTF-8\""), Ok(JSON));
    assert_eq!(format("application/vnd.shop+json"), Ok(JSON));
    assert_eq!(format("text/plain"), Ok(TEXT));
    for subtype in [
        "x-ndjson",
        "ndjson",
        "jsonl",
        "x-jsonl",
        "jsonlines",
        "x-jsonlines",
    ] {
        for media_type in ["application", "text", "Application"] {
            let media_type = format!("{media_type}/{subtype}; charset=utf-8");
            assert_eq!(format(&media_type), Ok(Format::JsonLines));
        }
    }
    assert_eq!(
        format("application/cloudevents+json"),
        Ok(Format::CloudEvent)
    );
    assert_eq!(
        format("application/x-www-form-urlencoded"),
        Ok(Format::Form)
    );
    for other in [
        "",
        "text",
        "text/",
        "application/xml",
        "text/plain; charset=latin1",
        "multipart/form-data",
        "application/cloudevents-batch+json",
        "application/cloudevents+avro",
        "application/json-seq",
        "image/jsonl",
    ] {
        assert_eq!(
            format(other),
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            "{other}"
        );
    }
    assert_eq!(
        Format::from_headers(&HeaderMap::new())
            .unwrap_err()
            .status(),
        415
    );
}

#[test]
fn a_text_is_the_data_of_one_event_unchanged() {
    for text in ["", "a\n", " a ", "\u{feff}a", "{ \"a\":\n1}\n"] {
        assert_eq!(events(TEXT, text.as_bytes()), Ok(vec![event(None, text)]));
    }
    assert_eq!(events(TEXT, b"a\xff"), Err(StatusCode::BAD_REQUEST));
    assert_eq!(events(TEXT, &[b'x'; 20]).unwrap().len(), 1);
    assert_eq!(
        events(TEXT, &[b'x'; 21]),
        Err(StatusCode::PAYLOAD_TOO_LARGE)
    );
}

#[test]
fn json_is_the_data_of_one_event_on_one_line() {
    for (body, data) in [
        ("{ \"a\": [ ]}", "{ \"a\": [ ]}"),
        ("{ \"a\":\n1}\n", "{ \"a\":1}"),
        ("\u{feff}null\r\n", "null"),
        ("\"\u{feff}\"", "\"\u{feff}\""),
    ] {
        assert_eq!(events(JSON, body.as_bytes()), Ok(vec![event(None, data)]));
    }
    for body in [
        "{",
        "",
        "\n",
        "\u{feff}",
        "\u{feff}\u{feff}1",
        "1 \u{feff}",
        "1\n2",
    ] {
        let rejected = events(JSON, body.as_bytes());
        assert_eq!(rejected, Err(StatusCode::BAD_REQUEST), "{body:?}");
    }
    // The size is that of the data.
    let padded = format!("{}1{}", "\n".repeat(50), " ".repeat(50));
    assert_eq!(events(JSON, padded.as_bytes()), Ok(vec![event(None, "1")]));
    let large = format!("\"{}\"\n", "x".repeat(19));
    let large = events(JSON, large.as_bytes());
    assert_eq!(large, Err(StatusCode::PAYLOAD_TOO_LARGE));
}

#[test]
fn a_batch_has_one_event_on_each_line() {
    let batch = b"{\"data\":\"a\\nb\"}\r\n\n{\"event\":\"x\",\"data\":{\"n\": 1}}\n{\"data\":null}";
    assert_eq!(
        events(Format::JsonLines, batch),
        Ok(vec![
            event(None, "a\nb"),
            event(Some("x"), "{\"n\": 1}"),
            event(None, "null")
        ])
    );
}

#[test]
fn blanks_between_the_lines_of_a_batch_and_byte_order_marks_are_ignored() {
    let expected = Ok(vec![event(None, "1"), event(None, "2")]);
    for batch in [
        "{\"data\":1}\n{\"data\":2}",
        "{\"data\":1}\n{\"data\":2}\n",
        "{\"data\":1}\r\n{\"data\":2}\r\n",
        "{\"data\":1}\n \t\r\n{\"data\":2}\n  ",
        "  {\"data\":1} \n\t{\"data\":2}\t",
        "\u{feff}{\"data\":1}\r\n\u{feff}{\"data\":2}",
        "\u{feff}\n{\"data\":\r1\r}\n\u{feff} \n{\"data\":2}\n\u{feff}",
    ] {
        assert_eq!(
            events(Format::JsonLines, batch.as_bytes()),
            expected,
            "{batch:?}"
        );
    }
    for batch in [
        "",
        " \n\t\r\n",
        "\u{feff}",
        "\u{feff}\u{feff}{\"data\":1}",
        "\u{a0}",
    ] {
        let rejected = events(Format::JsonLines, batch.as_bytes());
        assert_eq!(rejected, Err(StatusCode::BAD_REQUEST), "{batch:?}");
    }
    let lines = b"{\"data\":[1,\r 2\r]}";
    assert_eq!(
        events(Format::JsonLines, lines),
        Ok(vec![event(None, "[1,2]")])
    );
}

#[test]
fn a_batch_that_is_too_large_is_rejected_with_its_size_and_the_limit() {
    let line = "{\"data\":\"0123456789\"}\n";
    let parse = |lines: usize| Format::JsonLines.parse(line.repeat(lines).as_bytes(), None, 20);
    // 26 bytes each.
    assert_eq!(parse(2_520).unwrap().events.len(), 2_520);
    let problem = parse(2_521).unwrap_err();
    assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let detail = "line 2521: with this line the batch has 65546 bytes, counting 16 for each event \
        besides its type and data; at most 65536 bytes are accepted";
    assert!(format!("{problem:?}").contains(detail), "{problem:?}");
}

#[test]
fn a_malformed_line_is_reported_with_its_number() {
    for (batch, line) in [
        ("{\"data\":1}\n\n{\"data\":}", "line 3: "),
        ("{\"data\":1}\n{}", "line 2: "),
        ("[\"data\",null]", "line 1: "),
        (
            "{\"data\":\"\\ud800\"}",
            "line 1: its data is not a Unicode string",
        ),
        ("{\"data\":1}\n{\"data\":1,\"id\":2}", "line 2: "),
        ("{\"data\":1,\"event\":\"runnel.gap\"}", "line 1: "),
        ("{\"data\":1,\"event\":\"a\\nb\"}", "line 1: "),
        ("{\"data\":\"aaaaaaaaaaaaaaaaaaaaa\"}", "line 1: "),
    ] {
        let problem = Format::JsonLines
            .parse(batch.as_bytes(), None, 20)
            .unwrap_err();
        assert!(format!("{problem:?}").contains(line), "{problem:?}");
    }
    assert_eq!(
        events(Format::JsonLines, b"\n\n"),
        Err(StatusCode::BAD_REQUEST)
    );
}

fn one(format: Format, body: &str) -> (Option<String>, String, Option<ContentKey>) {
    let Publication { mut events, key } = format.parse(body.as_bytes(), None, 200).unwrap();
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    (event.event_type, event.data, key)
}

fn rejection(format: Format, body: &str) -> String {
    let problem = format.parse(body.as_bytes(), None, 200).unwrap_err();
    assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
    format!("{problem:?}")
}

#[test]
fn a_form_has_data_and_optionally_a_type_and_an_id() {
    let form = |body| one(Format::Form, body);
    assert_eq!(form("data=a+b%0Ac"), (None, "a b\nc".into(), None));
    assert_eq!(
        form("event=price&data=&id=7"),
        (
            Some("price".into()),
            String::new(),
            Some(ContentKey::Form("7".into()))
        )
    );
    assert_eq!(form("event=&data=x&id="), (None, "x".into(), None));
    for (body, reason) in [
        ("", "no field `data`"),
        ("event=x", "no field `data`"),
        ("data=1&data=2", "`data` is given more than once"),
        ("data=1&dta=2", "the field \\\"dta\\\""),
        ("data=1&event=runnel.end", "runnel."),
        ("data=1&event=a%0Ab", "line feed"),
    ] {
        let problem = rejection(Format::Form, body);
        assert!(problem.contains(reason), "{body}: {problem}");
    }
    assert!(
        Format::Form
            .parse(b"data=1&event=x", Some("y"), 20)
            .is_err()
    );
}
