//! The codings of a request body, and the part of the content that it is.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_RANGE, TRANSFER_ENCODING};

use super::problem::Problem;

/// Rejects a body that is not the whole content as it is.
///
/// Decompressing could take any amount of memory, so no body is decompressed. The host decodes the transfer
/// coding `chunked`; some hosts remove the header, too, and then answer other codings themselves.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(coding) = other_member(headers, TRANSFER_ENCODING, b"chunked") {
        return Err(Problem::transfer_coding(format_args!(
            "the body has the transfer-encoding {coding:?}; only chunked is accepted"
        )));
    }
    if let Some(coding) = other_member(headers, CONTENT_ENCODING, b"identity") {
        return Err(Problem::content_coding(format_args!(
            "the body has the content-encoding {coding:?}; send it uncompressed"
        )));
    }
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Problem::header(
            "the header content-range is not accepted; send the whole content",
        ));
    }
    Ok(())
}

/// Returns a member of a header that lists codings (RFC 9110, 5.6.1), if any is not `accepted`.
fn other_member(headers: &HeaderMap, name: http::HeaderName, accepted: &[u8]) -> Option<String> {
    let values = headers.get_all(name).iter();
    let mut members = values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty());
    let other = members.find(|member| !member.eq_ignore_ascii_case(accepted))?;
    Some(String::from_utf8_lossy(other).into_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::api::sample::any_header_value;

    fn status(headers: &[(HeaderName, &[u8])]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        check(&map).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_chunked_body_without_other_codings_is_accepted() {
        assert_eq!(status(&[]), 200);
        for value in [&b"chunked"[..], b"Chunked", b"chunked, ", b""] {
            assert_eq!(status(&[(TRANSFER_ENCODING, value)]), 200, "{value:?}");
        }
        for value in [&b"identity"[..], b"", b"Identity , identity"] {
            assert_eq!(status(&[(CONTENT_ENCODING, value)]), 200, "{value:?}");
        }
        assert_eq!(
            status(&[
                (CONTENT_ENCODING, b"identity"),
                (CONTENT_ENCODING, b"identity")
            ]),
            200
        );
    }

    #[test]
    fn a_body_with_another_coding_is_rejected() {
        for value in [
            &b"gzip, chunked"[..],
            b"chunked, gzip",
            b"gzip",
            b"identity, chunked",
            b"xchunked",
            b"\xff",
        ] {
            assert_eq!(status(&[(TRANSFER_ENCODING, value)]), 501, "{value:?}");
        }
        for value in [
            &b"gzip"[..],
            b"identity, gzip",
            b"br;q=1",
            b"aws-chunked",
            b"\xff",
        ] {
            assert_eq!(status(&[(CONTENT_ENCODING, value)]), 415, "{value:?}");
        }
        for (name, first, second, expected) in [
            (TRANSFER_ENCODING, "gzip", "chunked", 501),
            (CONTENT_ENCODING, "identity", "gzip", 415),
        ] {
            let headers = [(name.clone(), first.as_bytes()), (name, second.as_bytes())];
            assert_eq!(status(&headers), expected);
        }
    }

    #[test]
    fn a_part_of_the_content_is_rejected() {
        assert_eq!(status(&[(CONTENT_RANGE, b"bytes 0-9/20")]), 400);
    }

    proptest! {
        /// Property: any bytes in any of the headers are answered without a panic.
        #[test]
        fn any_header_is_accepted_or_rejected(value in any_header_value()) {
            for name in [TRANSFER_ENCODING, CONTENT_ENCODING, CONTENT_RANGE] {
                status(&[(name, value.as_bytes())]);
            }
        }
    }
}
