//! CloudEvents.

use super::*;

const CLOUD_EVENT: &str =
    r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order.placed","data":{"n":1}}"#;

fn identity(source: &str, id: &str) -> Option<ContentKey> {
    Some(ContentKey::CloudEvent {
        source: source.to_owned(),
        id: id.to_owned(),
    })
}

/// Returns the headers of a CloudEvent in binary mode, with this content type.
pub(super) fn binary_headers(content_type: Option<&'static str>) -> HeaderMap {
    let attributes = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "%2Fshop"),
        ("ce-type", "order.placed"),
    ];
    let content_type = content_type.map(|value| ("content-type", value));
    let headers = attributes.into_iter().chain(content_type);
    headers
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn a_cloud_event_has_data_a_type_and_an_identity() {
    let event = |data: &str| {
        (
            Some("order.placed".into()),
            data.into(),
            identity("/shop", "7"),
        )
    };
    assert_eq!(one(Format::CloudEvent, CLOUD_EVENT), event(CLOUD_EVENT));
    let pretty = format!("\u{feff}{}\r\n", CLOUD_EVENT.replace(',', ",\r\n  "));
    assert_eq!(one(Format::CloudEvent, &pretty), event(CLOUD_EVENT));
    for content_type in [
        None,
        Some(""),
        Some("text/plain"),
        Some("text/xml; charset=utf-8"),
        Some("application/xml"),
        Some("application/atom+xml"),
        Some("application/x-ndjson"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let format = Format::from_headers(&binary_headers(content_type)).unwrap();
        for data in ["hello\n", "", "{\n}\n"] {
            assert_eq!(one(format.clone(), data), event(data), "{content_type:?}");
        }
    }
    for content_type in [
        "application/json; charset=UTF-8",
        "application/vnd.shop+json",
    ] {
        let format = Format::from_headers(&binary_headers(Some(content_type))).unwrap();
        for (body, data) in [("", ""), ("{\n}\n", "{}"), ("\u{feff}[1, 2]", "[1, 2]")] {
            assert_eq!(one(format.clone(), body), event(data), "{content_type}");
        }
        let blank = format.parse(b"\n", None, 20).unwrap_err();
        assert_eq!(blank.status(), StatusCode::BAD_REQUEST);
    }
    for content_type in [
        "image/png",
        "application/octet-stream",
        "application/cloudevents-batch+json",
        "application/cloudevents+xml",
        "text/plain; charset=latin1",
    ] {
        let rejected = Format::from_headers(&binary_headers(Some(content_type))).unwrap_err();
        assert_eq!(rejected.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}

#[test]
fn a_structured_cloud_event_may_repeat_its_attributes_in_headers() {
    let structured = "application/cloudevents+json; charset=utf-8";
    let mut headers = binary_headers(Some(structured));
    assert_eq!(Format::from_headers(&headers).unwrap(), Format::CloudEvent);
    headers.remove("ce-id");
    assert_eq!(Format::from_headers(&headers).unwrap(), Format::CloudEvent);
}

#[test]
fn the_attributes_of_a_cloud_event_are_text_that_may_be_encoded() {
    let mut headers = binary_headers(None);
    for (value, id) in [
        (&b"Euro%20%E2%82%AC"[..], "Euro \u{20ac}"),
        (b"\"a \\\"b\\\"\"", "a \"b\""),
        (b"100%", "100%"),
        ("gr\u{f6}\u{df}e".as_bytes(), "gr\u{f6}\u{df}e"),
    ] {
        headers.insert("ce-id", HeaderValue::from_bytes(value).unwrap());
        let format = Format::from_headers(&headers).unwrap();
        assert_eq!(one(format, "").2, identity("/shop", id));
    }
    for value in [&b"\xff"[..], b"%ff", b"gr\xf6\xdfe"] {
        headers.insert("ce-id", HeaderValue::from_bytes(value).unwrap());
        let rejected = Format::from_headers(&headers).unwrap_err();
        assert_eq!(rejected.status(), StatusCode::BAD_REQUEST, "{value:?}");
    }
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
}
