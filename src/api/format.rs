//! What a publisher may send, and the events in it.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::core::log::{MAX_GROUP_BYTES, NewEvent};
use crate::core::sse::EventType;

/// How events are written in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One event; its data is the body, which is JSON.
    Json,
    /// One event; its data is the body.
    Text,
    /// An event a line.
    JsonLines,
}

/// A line of [`Format::JsonLines`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    /// A string is the data itself; any other value is the data as JSON.
    #[serde(borrow)]
    data: &'a RawValue,
    event: Option<String>,
}

impl Format {
    /// The format that the `content-type` header names.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        const ACCEPTED: &str = "accepted are application/json, text/* and application/x-ndjson";
        let refused = |what: &str| Problem::media_type(format_args!("{what}; {ACCEPTED}"));
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Err(refused("the content-type header is missing"));
        };
        let value = value
            .to_str()
            .map_err(|_| refused("the content-type header is not ASCII"))?;
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let format = match essence.as_str() {
            "application/x-ndjson" => Self::JsonLines,
            "application/json" => Self::Json,
            json if json.starts_with("application/") && json.ends_with("+json") => Self::Json,
            text if text.starts_with("text/") && text.len() > 5 => Self::Text,
            _ => {
                return Err(refused(&format!(
                    "the content type {essence:?} is not supported"
                )));
            }
        };
        for part in parts {
            let (name, charset) = part.split_once('=').unwrap_or((part, ""));
            let charset = charset.trim_matches('"');
            let utf8 = ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| charset.eq_ignore_ascii_case(known));
            if name.trim().eq_ignore_ascii_case("charset") && !utf8 {
                return Err(refused(&format!(
                    "the charset {charset:?} is not supported, only utf-8"
                )));
            }
        }
        Ok(format)
    }

    /// The events of a body. `event_type` is from the query, and goes only with a single event.
    pub(super) fn events(
        self,
        body: &[u8],
        event_type: Option<&str>,
        max_event_bytes: usize,
    ) -> Result<Vec<NewEvent>, Problem> {
        let text = std::str::from_utf8(body).map_err(|error| {
            Problem::body(format_args!(
                "the body is not UTF-8 from byte {} on",
                error.valid_up_to()
            ))
        })?;
        if let Some(event_type) = event_type {
            EventType::from_publisher(event_type).map_err(Problem::event_type)?;
        }
        if self == Self::JsonLines {
            return match event_type {
                None => lines(text, max_event_bytes),
                Some(_) => Err(Problem::query(
                    "`event` does not go with a batch; each line has its own",
                )),
            };
        }
        if self == Self::Json {
            let checked = serde_json::from_str::<IgnoredAny>(text);
            checked
                .map_err(|error| Problem::body(format_args!("the body is not JSON: {error}")))?;
        }
        check_size(text, max_event_bytes).map_err(Problem::too_large)?;
        Ok(vec![NewEvent {
            event_type: event_type.map(str::to_owned),
            data: text.to_owned(),
        }])
    }
}

fn lines(text: &str, max_event_bytes: usize) -> Result<Vec<NewEvent>, Problem> {
    let mut events = vec![];
    let mut bytes = 0;
    for (place, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let at = |detail: String| format!("line {}: {detail}", place + 1);
        let event = event(line).map_err(|detail| Problem::body(at(detail)))?;
        check_size(&event.data, max_event_bytes)
            .map_err(|detail| Problem::too_large(at(detail)))?;
        bytes += event.bytes();
        if bytes > MAX_GROUP_BYTES {
            let detail = format!(
                "with this line the batch exceeds {MAX_GROUP_BYTES} bytes, the most that is appended as one"
            );
            return Err(Problem::too_large(at(detail)));
        }
        events.push(event);
    }
    if events.is_empty() {
        return Err(Problem::body("the batch has no lines"));
    }
    Ok(events)
}

fn event(line: &str) -> Result<NewEvent, String> {
    let Line { data, event } = serde_json::from_str(line)
        .map_err(|error| format!("not of the form {{\"data\":…,\"event\":…}}: {error}"))?;
    if let Some(event_type) = &event {
        EventType::from_publisher(event_type).map_err(|error| error.to_string())?;
    }
    let data = match serde_json::from_str::<String>(data.get()) {
        Ok(string) => string,
        Err(_) => data.get().to_owned(),
    };
    Ok(NewEvent {
        event_type: event,
        data,
    })
}

fn check_size(data: &str, max_event_bytes: usize) -> Result<(), String> {
    match data.len() {
        bytes if bytes <= max_event_bytes => Ok(()),
        bytes => Err(format!(
            "the event's data has {bytes} bytes; at most {max_event_bytes} are accepted"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, StatusCode};
    use proptest::prelude::*;

    fn lines_of_json() -> impl Strategy<Value = Vec<u8>> {
        let piece = "\\{|\\}|\"data\"|\"event\"|:|,|\"[a-z.]{0,9}\"|\"\\\\u[0-9a-d]{4}\"|[0-9]{1,3}|null|\\[|\\]|\r?\n| ";
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        /// Law: any body is events or a problem, in every format; every event can be put on the wire.
        #[test]
        fn any_body_is_read_or_refused(
            body in prop_oneof![any::<Vec<u8>>(), lines_of_json()],
            event_type in prop::option::of(any::<String>()),
            max_event_bytes in 0_usize..40,
        ) {
            for format in [Format::Json, Format::Text, Format::JsonLines] {
                for event in format.events(&body, event_type.as_deref(), max_event_bytes).unwrap_or_default() {
                    prop_assert!(event.data.len() <= max_event_bytes);
                    let event_type = event.event_type.as_deref();
                    prop_assert!(event_type.is_none_or(|text| EventType::from_publisher(text).is_ok()));
                }
            }
        }

        /// Law: any content type is a format or a problem.
        #[test]
        fn any_content_type_is_read_or_refused(value in "[a-zA-Z/+;=\" -]{0,30}|(application|text)/[a-z+-]{0,8}(;[a-z =\"-]{0,12}){0,2}") {
            let _ = format(&value);
        }
    }

    fn format(content_type: &str) -> Result<Format, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        Format::of(&headers).map_err(|problem| problem.status())
    }

    fn events(format: Format, body: &[u8]) -> Result<Vec<NewEvent>, StatusCode> {
        format
            .events(body, None, 20)
            .map_err(|problem| problem.status())
    }

    fn new(event_type: Option<&str>, data: &str) -> NewEvent {
        NewEvent {
            event_type: event_type.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    #[test]
    fn formats_are_told_by_the_content_type() {
        assert_eq!(format("application/json"), Ok(Format::Json));
        assert_eq!(
            format("Application/JSON; charset=\"UTF-8\""),
            Ok(Format::Json)
        );
        assert_eq!(format("application/vnd.shop+json"), Ok(Format::Json));
        assert_eq!(format("text/plain"), Ok(Format::Text));
        assert_eq!(format("application/x-ndjson"), Ok(Format::JsonLines));
        for other in [
            "",
            "text",
            "text/",
            "application/xml",
            "text/plain; charset=latin1",
            "multipart/form-data",
        ] {
            assert_eq!(
                format(other),
                Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
                "{other}"
            );
        }
        assert_eq!(Format::of(&HeaderMap::new()).unwrap_err().status(), 415);
    }

    #[test]
    fn a_body_is_one_event_as_it_is() {
        assert_eq!(
            events(Format::Json, b"{ \"a\":\n1}"),
            Ok(vec![new(None, "{ \"a\":\n1}")])
        );
        assert_eq!(events(Format::Text, b""), Ok(vec![new(None, "")]));
        assert_eq!(events(Format::Json, b"{"), Err(StatusCode::BAD_REQUEST));
        assert_eq!(events(Format::Json, b""), Err(StatusCode::BAD_REQUEST));
        assert_eq!(events(Format::Text, b"a\xff"), Err(StatusCode::BAD_REQUEST));
        assert_eq!(events(Format::Text, &[b'x'; 20]).unwrap().len(), 1);
        assert_eq!(
            events(Format::Text, &[b'x'; 21]),
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        );
    }

    #[test]
    fn a_batch_is_an_event_a_line() {
        let batch =
            b"{\"data\":\"a\\nb\"}\r\n\n{\"event\":\"x\",\"data\":{\"n\": 1}}\n{\"data\":null}";
        assert_eq!(
            events(Format::JsonLines, batch),
            Ok(vec![
                new(None, "a\nb"),
                new(Some("x"), "{\"n\": 1}"),
                new(None, "null")
            ])
        );
    }

    #[test]
    fn a_bad_line_names_its_number() {
        for (batch, line) in [
            ("{\"data\":1}\n\n{\"data\":}", "line 3: "),
            ("{\"data\":1}\n{}", "line 2: "),
            ("{\"data\":1}\n{\"data\":1,\"id\":2}", "line 2: "),
            ("{\"data\":1,\"event\":\"runnel.gap\"}", "line 1: "),
            ("{\"data\":1,\"event\":\"a\\nb\"}", "line 1: "),
            ("{\"data\":\"aaaaaaaaaaaaaaaaaaaaa\"}", "line 1: "),
        ] {
            let problem = Format::JsonLines
                .events(batch.as_bytes(), None, 20)
                .unwrap_err();
            assert!(format!("{problem:?}").contains(line), "{problem:?}");
        }
        assert_eq!(
            events(Format::JsonLines, b"\n\n"),
            Err(StatusCode::BAD_REQUEST)
        );
    }
}
