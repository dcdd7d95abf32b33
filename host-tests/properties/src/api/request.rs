//! Requests.

use std::str::FromStr;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::batch::{MAX_EVENT_BYTES, check_events, check_on_one_line};
use super::check_problem;
use runnel::api::format::{ContentKey, Format, Publication};
use runnel::api::query::Query;
use runnel::api::route::Route;
use runnel::config::BasePath;
use runnel::core::channel::{Channel, MAX_CHANNEL_BYTES};
use runnel::core::log::kv::key::{create_key, head_key, segment_key};
use runnel::core::log::kv::segment::SegmentId;
use runnel::core::sse::{Epoch, Seq};

/// Property: path, query, content type and body of a request are each parsed or a problem, and a
/// parsed value agrees with its text.
///
/// The first line of the input is the path, with the query after a `?`, the second the content type,
/// and the rest the body.
///
/// # Panics
/// If the property is violated.
pub fn request(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (target, content_type, body) = (line(), line(), line());
    // `http` rejects, among others, a path without a leading slash, so the component never sees one.
    let uri = Uri::builder().scheme("http").authority("localhost");
    let uri = uri.path_and_query(target).build().unwrap_or_default();
    check_path(uri.path());
    // Below each of the routes that take a channel, too.
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
    let route = match Route::parse(&BasePath::default(), path) {
        Ok(route) => route,
        Err(problem) => return check_problem(problem),
    };
    assert!(!route.methods().is_empty());
    let (prefix, channel) = match &route {
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
        Route::Base => return assert_eq!(path, ""),
    };
    let name = path
        .strip_prefix(prefix)
        .expect("a path begins with its route");
    let decoded = percent_decode_str(name).decode_utf8();
    assert_eq!(decoded.as_deref(), Ok(channel.as_str()));
    check_channel(channel);
    let decoded_path = format!("{prefix}{channel}");
    // An encoded slash does not change the route.
    if name == channel.as_str() || !channel.as_str().ends_with("/close") {
        assert_eq!(
            Route::parse(&BasePath::default(), &decoded_path).ok(),
            Some(route)
        );
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
        merged: Some(u64::MAX),
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
                let number = number.expect("the parameter is given");
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
    let format_of = |value| Format::from_headers(&HeaderMap::from_iter([(CONTENT_TYPE, value)]));
    let upper_case = HeaderValue::from_bytes(&content_type.to_ascii_uppercase()).ok()?;
    let upper_case = format_of(upper_case).ok();
    match format_of(value) {
        Ok(format) => {
            assert_eq!(
                upper_case.as_ref(),
                Some(&format),
                "media types are case-insensitive"
            );
            Some(format)
        }
        Err(problem) => {
            assert_eq!(upper_case, None, "media types are case-insensitive");
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
        panic!("a body of one event has {}", events.len());
    };
    let text = std::str::from_utf8(body).expect("a body is UTF-8");
    let json = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Form => assert!(matches!(key, None | Some(ContentKey::Form(_)))),
        Format::CloudEvent => {
            check_on_one_line(json, &event.data);
            assert!(event.event_type.is_some());
            assert!(matches!(key, Some(ContentKey::CloudEvent { .. })));
        }
        Format::Body { json: is_json, .. } => {
            if is_json {
                check_on_one_line(json, &event.data);
            } else {
                assert_eq!(event.data, text);
            }
            assert_eq!((event.event_type.as_deref(), key), (event_type, None));
        }
        Format::JsonLines => unreachable!("a batch has been checked"),
    }
}
