//! Who may publish.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use super::problem::Problem;

/// Who publishes, to the limiter: all who have the publish token are one.
pub(super) const PUBLISHER: &str = "publish_token";

/// Checks the `authorization` header against the publish token (RFC 6750, `Bearer`), in a time
/// that does not tell how much of it was right.
pub(super) fn publisher(headers: &HeaderMap, token: &str) -> Result<(), Problem> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthorized(
            "this needs the header `authorization: Bearer TOKEN` with the publish token",
        ));
    };
    let (scheme, given) = split_at_space(header.as_bytes());
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Problem::unauthorized(
            "the authorization scheme is not `Bearer`",
        ));
    }
    if bool::from(given.ct_eq(token.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::unauthorized("the token is not the publish token"))
    }
}

fn split_at_space(value: &[u8]) -> (&[u8], &[u8]) {
    match value.iter().position(|&byte| byte == b' ') {
        Some(space) => (&value[..space], value[space..].trim_ascii()),
        None => (value, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(value: Option<&[u8]>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        publisher(&headers, "s3cret").is_ok()
    }

    #[test]
    fn only_the_token_opens() {
        assert!(check(Some(b"Bearer s3cret")));
        assert!(check(Some(b"bearer  s3cret ")));
        let refused: [&[u8]; 9] = [
            b"",
            b"Bearer",
            b"Bearer ",
            b"Bearer s3cre",
            b"Bearer s3cret2",
            b"Bearer S3cret",
            b"Basic s3cret",
            b"s3cret",
            b"Bearer \xff",
        ];
        assert!(refused.iter().all(|value| !check(Some(value))));
        assert!(!check(None));
    }
}
