//! The token of a request.

use http::Uri;
use http::header::{AUTHORIZATION, COOKIE};
use http::uri::PathAndQuery;

use super::percent;
use super::problem::Problem;
use crate::core::access::TokenSource;

/// The query parameter of a token (RFC 6750, 2.3).
const TOKEN_PARAMETER: &[u8] = b"access_token";

/// The tokens that were removed from a request's query.
#[derive(Clone)]
struct QueryTokens(Vec<Vec<u8>>);

/// Removes the tokens from the query, so that no link, problem or log repeats them, and stores them
/// in the request for [`token`].
pub(super) fn remove_from_query<B>(request: &mut http::Request<B>) {
    let Some(query) = request.uri().query() else {
        return;
    };
    let (tokens, rest): (Vec<_>, Vec<_>) = query.split('&').partition(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        percent::decode_form(name) == TOKEN_PARAMETER
    });
    if tokens.is_empty() {
        return;
    }
    let values = tokens
        .iter()
        .map(|pair| pair.split_once('=').map_or("", |(_, value)| value));
    let tokens = QueryTokens(values.map(percent::decode_form).collect());
    let path = request.uri().path();
    let rest = if rest.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", rest.join("&"))
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(
        rest.parse()
            .unwrap_or_else(|_| PathAndQuery::from_static("/")),
    );
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.extensions_mut().insert(tokens);
}

/// Returns the token of a request, if it has one, without white space around it.
///
/// A `Bearer` token in the header `authorization` takes precedence over cookies of the name `cookie`
/// and, if `accept_query` is set, the query. Cookies and query can repeat the same token, but different
/// tokens are rejected: nothing shows which one the client means, and another site may have set the
/// others.
pub(super) fn token<B>(
    request: &http::Request<B>,
    cookie: &str,
    accept_query: bool,
) -> Result<Option<(Vec<u8>, TokenSource)>, Problem> {
    if let Some(token) = bearer_token(request)? {
        return Ok(Some((token, TokenSource::AuthorizationHeader)));
    }
    let headers = request.headers().get_all(COOKIE).iter();
    let in_cookies = headers
        .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
        .filter_map(|pair| cookie_value(pair, cookie))
        .map(|token| (token.to_vec(), TokenSource::Cookie));
    let in_query = request
        .extensions()
        .get::<QueryTokens>()
        .filter(|_| accept_query)
        .map_or(&[][..], |tokens| &tokens.0)
        .iter()
        .map(|token| (token.trim_ascii().to_vec(), TokenSource::Query));
    let mut tokens = in_cookies
        .chain(in_query)
        .filter(|(token, _)| !token.is_empty());
    let first = tokens.next();
    match &first {
        Some((token, _)) if tokens.any(|(other, _)| other != *token) => Err(
            Problem::invalid_token("the cookies or the query have different tokens; send only one"),
        ),
        _ => Ok(first),
    }
}

/// Returns the token in the header `authorization`, if it has one.
///
/// Credentials of other schemes are ignored: a proxy in front may have asked the client for `Basic`
/// ones, or have added its own.
pub(super) fn bearer_token<B>(request: &http::Request<B>) -> Result<Option<Vec<u8>>, Problem> {
    let headers = request.headers().get_all(AUTHORIZATION).iter();
    let mut tokens = headers.filter_map(|header| parse_bearer(header.as_bytes()));
    let token = tokens.next();
    if tokens.next().is_some() {
        return Err(Problem::invalid_token(
            "the header `authorization` has more than one `Bearer` token",
        ));
    }
    Ok(token.map(<[u8]>::to_vec))
}

/// Returns the token in the value of an `authorization` header (RFC 6750, 2.1); `None` if its scheme is
/// not `Bearer`.
fn parse_bearer(header: &[u8]) -> Option<&[u8]> {
    let header = header.trim_ascii();
    let end = header.iter().position(u8::is_ascii_whitespace);
    let (scheme, token) = header.split_at(end.unwrap_or(header.len()));
    scheme
        .eq_ignore_ascii_case(b"bearer")
        .then(|| token.trim_ascii())
}

/// Returns the value, without quotes, of a `name=value` pair of a cookie header (RFC 6265, 4.2.1),
/// if it has this name.
fn cookie_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
    let value = value.strip_prefix(b"=")?;
    let quoted = value.strip_prefix(b"\"");
    let quoted = quoted.and_then(|value| value.strip_suffix(b"\""));
    Some(quoted.unwrap_or(value).trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::api::sample::any_header_value;

    fn request(uri: &str, headers: &[(&str, &[u8])]) -> http::Request<()> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        remove_from_query(&mut request);
        request
    }

    type Found = Result<Option<(String, TokenSource)>, StatusCode>;

    const REJECTED: Found = Err(StatusCode::UNAUTHORIZED);

    fn found(uri: &str, headers: &[(&str, &[u8])]) -> Found {
        let found = token(&request(uri, headers), "t", true).map_err(|problem| problem.status())?;
        Ok(found.map(|(token, source)| (String::from_utf8_lossy(&token).into_owned(), source)))
    }

    fn a_from(source: TokenSource) -> Found {
        Ok(Some(("a".to_owned(), source)))
    }

    #[test]
    fn the_header_takes_precedence_over_cookies_and_query() {
        for value in [&b"Bearer a"[..], b"bearer  a ", b"BEARER a", b"Bearer\ta"] {
            let headers = [("authorization", value), ("cookie", b"t=b")];
            let found = found("/x?access_token=c", &headers);
            assert_eq!(found, a_from(TokenSource::AuthorizationHeader));
        }
        let none = [("authorization", &b"Bearer"[..]), ("cookie", b"t=a")];
        let none = found("/", &none);
        assert_eq!(
            none,
            Ok(Some((String::new(), TokenSource::AuthorizationHeader)))
        );
        let twice = [("authorization", &b"Bearer a"[..]); 2];
        assert_eq!(found("/", &twice), REJECTED);
    }

    #[test]
    fn credentials_of_other_schemes_are_ignored() {
        for value in [
            &b""[..],
            b"Basic Ym9iOmI=",
            b"a",
            b"Bearer,a",
            b"Bearera",
            b"\xff \xff",
        ] {
            let other = ("authorization", value);
            assert_eq!(found("/", &[other]), Ok(None), "{value:?}");
            let in_cookie = found("/", &[other, ("cookie", b"t=a")]);
            assert_eq!(in_cookie, a_from(TokenSource::Cookie), "{value:?}");
            let bearer = ("authorization", &b"Bearer a"[..]);
            for headers in [[other, bearer], [bearer, other]] {
                let in_header = found("/", &headers);
                assert_eq!(in_header, a_from(TokenSource::AuthorizationHeader));
            }
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        for value in [
            &b"t=a"[..],
            b"x=1; t=a",
            b"x=1;t=a;y",
            b"t=\"a\"",
            b"t=a; t=a",
            b"t=; t=a",
            b"T=b; t =b; at=b; ta=b; t=a",
        ] {
            assert_eq!(
                found("/", &[("cookie", value)]),
                a_from(TokenSource::Cookie),
                "{value:?}"
            );
        }
        assert_eq!(
            found("/", &[("cookie", b"t=a"), ("cookie", b"x=b")]),
            a_from(TokenSource::Cookie)
        );
        for value in [
            &b""[..],
            b"t",
            b"t=",
            b"t=\"\"",
            b"tt=a",
            b"x=t=a",
            b"\xff=\xfe",
        ] {
            assert_eq!(found("/", &[("cookie", value)]), Ok(None), "{value:?}");
        }
    }

    #[test]
    fn different_tokens_are_rejected() {
        assert_eq!(found("/", &[("cookie", b"t=a; t=b")]), REJECTED);
        assert_eq!(
            found("/", &[("cookie", b"t=a"), ("cookie", b"t=b")]),
            REJECTED
        );
        assert_eq!(found("/?access_token=b", &[("cookie", b"t=a")]), REJECTED);
        assert_eq!(found("/?access_token=b&access_token=a", &[]), REJECTED);
        assert_eq!(
            found("/?access_token=a&access_token=a", &[("cookie", b"t=a")]),
            a_from(TokenSource::Cookie)
        );
    }

    #[test]
    fn tokens_are_removed_from_the_query_even_if_they_are_not_accepted_there() {
        for (uri, rest) in [
            ("/a?access_token=x", "/a"),
            ("/a?access_token=x&b=1", "/a?b=1"),
            ("/a?b=1&access_token=x&c=%20", "/a?b=1&c=%20"),
            ("/a?b&access%5Ftoken=x&%61ccess_token", "/a?b"),
            ("/a?access_token=%ff%0d%0a&b=1", "/a?b=1"),
            (
                "https://h.example:1/a?access_token=x&b=1",
                "https://h.example:1/a?b=1",
            ),
            ("/a?b=access_token", "/a?b=access_token"),
            ("/a", "/a"),
        ] {
            let request = request(uri, &[]);
            assert_eq!(request.uri().to_string(), rest);
        }
        let in_query = request("/a?access_token=x%2B+y", &[]);
        let found = token(&in_query, "t", true).ok().flatten();
        assert_eq!(found, Some((b"x+ y".to_vec(), TokenSource::Query)));
        assert!(matches!(token(&in_query, "t", false), Ok(None)));
    }

    #[test]
    fn white_space_around_a_token_is_ignored() {
        let in_query = found("/?access_token=a%0A", &[]);
        assert_eq!(in_query, a_from(TokenSource::Query));
        let in_both = found(
            "/?access_token=%20a%0d%0a",
            &[("cookie", b"x=1;  t=a ; y=2")],
        );
        assert_eq!(in_both, a_from(TokenSource::Cookie));
        assert_eq!(found("/?access_token=%20%0a", &[]), Ok(None));
    }

    proptest! {
        /// Property: any bytes in any of the headers are a token or none, without a panic.
        #[test]
        fn any_header_has_a_token_or_none(value in any_header_value()) {
            for name in [AUTHORIZATION, COOKIE] {
                for prefix in ["", "Bearer ", "t="] {
                    let value = [prefix.as_bytes(), value.as_bytes()].concat();
                    found("/", &[(name.as_str(), &value)]).ok();
                }
            }
        }
    }
}
