//! Requests.

use std::str::FromStr;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::batch::{MAX_EVENT_BYTES, check_events};
use super::check_problem;
use runnel::api::format::{Format, Publication};
use runnel::api::path::Route;
use runnel::api::query::Query;
use runnel::core::channel::{Channel, MAX_CHANNEL_BYTES};
use runnel::core::log::{SegmentId, create_key, head_key, segment_key};
use runnel::core::sse::{Epoch, Seq};

/// Law: path, query, content type and body of a request are each read or a problem, and what was
/// read is what they say.
///
/// The input's first line is the path, with the query after a `?`; the second is the content type;
/// the rest is the body.
///
/// # Panics
/// When the law is broken.
pub fn request(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (target, content_type, body) = (line(), line(), line());
    // As the component is given it: `http` refuses, among others, a path that begins with no slash.
    let uri = Uri::builder().scheme("http").authority("localhost");
    let uri = uri.path_and_query(target).build().unwrap_or_default();
    check_path(uri.path());
    // The paths that there are, whatever this one begins with.
    for route in ["/events", "/publish", "/channels"] {
        check_path(&format!("{route}{}", uri.path()));
    }
    let query = check_query(uri.query());
    let event_type = query.as_ref().and_then(|query| query.get("event"));
    if let Some(format) = check_format(content_type) {
        check_body(format, body, event_type);
    }
}

fn check_path(path: &str) {
    let route = match Route::parse(path) {
        Ok(route) => route,
        Err(problem) => return check_problem(problem),
    };
    assert!(!route.methods().is_empty());
    let (start, channel) = match &route {
        Route::Events(None) => return assert_eq!(path, "/events"),
        Route::Events(Some(channel)) => ("/events/", channel),
        Route::Publish(channel) => ("/publish/", channel),
        Route::Channel(channel) => ("/channels/", channel),
        Route::Close { closes, named } => {
            check_channel(closes);
            let Some(named) = named else {
                return assert!(closes.as_str().len() + "/close".len() > MAX_CHANNEL_BYTES);
            };
            assert_eq!(format!("{closes}/close"), named.as_str());
            ("/channels/", named)
        }
        Route::OpenApi => return assert_eq!(path, "/openapi.json"),
        Route::Health => return assert_eq!(path, "/health"),
        Route::Live => return assert_eq!(path, "/health/live"),
        Route::Metrics => return assert_eq!(path, "/metrics"),
        Route::Console => return assert_eq!(path, "/"),
    };
    let name = path.strip_prefix(start).expect("a route is of its path");
    let decoded = percent_decode_str(name).decode_utf8();
    assert_eq!(decoded.as_deref(), Ok(channel.as_str()));
    check_channel(channel);
    let plain = format!("{start}{channel}");
    // A slash that was encoded does not make the route another one.
    if name == channel.as_str() || !channel.as_str().ends_with("/close") {
        assert_eq!(Route::parse(&plain).ok(), Some(route));
    }
}

fn check_channel(channel: &Channel) {
    let name = channel.as_str();
    assert!((1..=MAX_CHANNEL_BYTES).contains(&name.len()));
    assert!(
        name.split('/')
            .all(|segment| !["", ".", ".."].contains(&segment))
    );
    assert_eq!(Channel::from_str(name).as_ref(), Ok(channel));
    let segment = SegmentId {
        epoch: Epoch::from_random(u64::MAX),
        first: Seq(u64::MAX),
    };
    let keys = [
        head_key(channel),
        create_key(channel, u64::MAX),
        segment_key(channel, segment),
    ];
    for key in keys {
        assert!(key.len() < 255 && key.is_ascii() && !key.contains(['/', '\\', '?', '#']));
        assert_eq!(key.split('!').nth(1), Some(name.replace('/', "+").as_str()));
    }
}

fn check_query(text: Option<&str>) -> Option<Query> {
    let query = match Query::parse(text, &[]) {
        Ok(query) => query,
        Err(problem) => {
            check_problem(problem);
            return None;
        }
    };
    for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        assert_eq!(query.get(&name), Some(&*value));
        match query.number(&name, 1..=u64::MAX) {
            Ok(number) => {
                let number = number.expect("it is given");
                let digits = value.trim_start_matches('0');
                assert!(number > 0 && number.to_string() == digits);
            }
            Err(problem) => check_problem(problem),
        }
        match query.flag(&name) {
            Ok(flag) => assert_eq!(flag.map(|flag| flag.to_string()).as_deref(), Some(&*value)),
            Err(problem) => check_problem(problem),
        }
    }
    Some(query)
}

fn check_format(content_type: &[u8]) -> Option<Format> {
    let value = HeaderValue::from_bytes(content_type).ok()?;
    let of = |value| Format::from_headers(&HeaderMap::from_iter([(CONTENT_TYPE, value)]));
    let shouted = HeaderValue::from_bytes(&content_type.to_ascii_uppercase()).ok()?;
    let shouted = of(shouted).ok();
    match of(value) {
        Ok(format) => {
            assert_eq!(shouted.as_ref(), Some(&format), "media types have no case");
            Some(format)
        }
        Err(problem) => {
            assert_eq!(shouted, None, "media types have no case");
            check_problem(problem);
            None
        }
    }
}

fn check_body(format: Format, body: &[u8], event_type: Option<&str>) {
    let Publication { events, key } = match format.clone().parse(body, event_type, MAX_EVENT_BYTES)
    {
        Ok(publication) => publication,
        Err(problem) => return check_problem(problem),
    };
    check_events(&events);
    if format == Format::JsonLines {
        return assert_eq!(key, None);
    }
    let [event] = events.as_slice() else {
        panic!("{} events of a body that is one", events.len());
    };
    match format {
        Format::Form => {}
        Format::CloudEvent => {
            assert_eq!(event.data.as_bytes(), body);
            assert!(event.event_type.is_some() && key.is_some_and(|key| key.len() == 3));
        }
        _ => {
            assert_eq!(event.data.as_bytes(), body);
            assert_eq!((event.event_type.as_deref(), key), (event_type, None));
        }
    }
}
