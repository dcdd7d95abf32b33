use super::*;
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
    assert_eq!(format("application/x-ndjson"), Ok(Format::JsonLines));
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
fn a_body_is_the_data_of_one_event_unchanged() {
    assert_eq!(
        events(JSON, b"{ \"a\":\n1}"),
        Ok(vec![event(None, "{ \"a\":\n1}")])
    );
    assert_eq!(events(TEXT, b""), Ok(vec![event(None, "")]));
    assert_eq!(events(JSON, b"{"), Err(StatusCode::BAD_REQUEST));
    assert_eq!(events(JSON, b""), Err(StatusCode::BAD_REQUEST));
    assert_eq!(events(TEXT, b"a\xff"), Err(StatusCode::BAD_REQUEST));
    assert_eq!(events(TEXT, &[b'x'; 20]).unwrap().len(), 1);
    assert_eq!(
        events(TEXT, &[b'x'; 21]),
        Err(StatusCode::PAYLOAD_TOO_LARGE)
    );
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

fn one(format: Format, body: &str) -> (Option<String>, String, Option<Vec<String>>) {
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
        (Some("price".into()), String::new(), Some(vec!["7".into()]))
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

const CLOUD_EVENT: &str =
    r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order.placed","data":{"n":1}}"#;

#[test]
fn a_cloud_event_has_data_a_type_and_an_idempotency_key() {
    let key = ["cloudevents", "/shop", "7"].map(str::to_owned).to_vec();
    assert_eq!(
        one(Format::CloudEvent, CLOUD_EVENT),
        (
            Some("order.placed".into()),
            CLOUD_EVENT.into(),
            Some(key.clone())
        )
    );
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "%2Fshop"),
        ("ce-type", "order.placed"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let binary = Format::from_headers(&headers).unwrap();
    assert_eq!(
        one(binary, "hello"),
        (Some("order.placed".into()), "hello".into(), Some(key))
    );
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    assert_eq!(
        Format::from_headers(&headers).unwrap_err().status(),
        StatusCode::BAD_REQUEST
    );
}

#[test]
fn a_cloud_event_without_a_required_attribute_is_rejected() {
    for (attribute, reason) in [
        (r#""id":"7","#, "no id"),
        (r#""source":"/shop","#, "no source"),
        (r#","type":"order.placed""#, "no type"),
        (r#""specversion":"1.0","#, "no specversion"),
    ] {
        let problem = rejection(Format::CloudEvent, &CLOUD_EVENT.replace(attribute, ""));
        assert!(problem.contains(reason), "{problem}");
    }
    for (body, reason) in [
        (CLOUD_EVENT.replace("1.0", "0.3"), "0.3"),
        (CLOUD_EVENT.replace("order.placed", "runnel.end"), "runnel."),
        (
            CLOUD_EVENT.replace("\"data\"", "\"data_base64\":\"\",\"data\""),
            "both",
        ),
        (
            r#"["1.0","7","/shop","order.placed",1,null]"#.into(),
            "not a JSON object",
        ),
        ("{".into(), "CloudEvent"),
    ] {
        let problem = rejection(Format::CloudEvent, &body);
        assert!(problem.contains(reason), "{problem}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert("ce-id", HeaderValue::from_static("7"));
    let problem = Format::from_headers(&headers).unwrap_err();
    assert!(
        format!("{problem:?}").contains("no specversion"),
        "{problem:?}"
    );
    headers.insert("ce-id", HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(
        Format::from_headers(&headers).unwrap_err().status(),
        StatusCode::BAD_REQUEST
    );
}
