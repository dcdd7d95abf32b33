//! Content negotiation.

use http::HeaderMap;
use http::header::ACCEPT;

/// Returns whether the header `accept` names the media type (RFC 9110, 12.5.1). A wildcard names none.
pub(super) fn names(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|range| range.eq_ignore_ascii_case(media_type));
        let has_zero_weight = |part: &str| {
            let weight = part.strip_prefix("q=").or(part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
        };
        named && !parts.any(has_zero_weight)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_media_type_is_accepted_if_it_is_named_with_a_weight_above_zero() {
        let names = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(value));
            names(&headers, "application/json")
        };
        for value in [
            "application/json",
            "text/html, Application/JSON;q=0.5",
            "application/json ; charset=utf-8",
        ] {
            assert!(names(value), "{value}");
        }
        for value in [
            "",
            "*/*",
            "application/*",
            "application/problem+json",
            "application/json;q=0",
            "application/json; q=0.0",
        ] {
            assert!(!names(value), "{value}");
        }
    }
}
