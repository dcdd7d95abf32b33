//! The token that comes with a request.

use http::Uri;
use http::header::{AUTHORIZATION, COOKIE};
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::core::access::TokenSource;

/// The query parameter of a token (RFC 6750, 2.3).
const PARAMETER: &[u8] = b"access_token";

/// The tokens that stood in a request's query.
#[derive(Clone)]
struct InQuery(Vec<Vec<u8>>);

/// Takes the tokens out of the query, so that no link, problem or log repeats them. [`of`] still knows
/// them.
pub(super) fn take_from_query<B>(request: &mut http::Request<B>) {
    let Some(query) = request.uri().query() else {
        return;
    };
    let (tokens, rest): (Vec<_>, Vec<_>) = query.split('&').partition(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        decoded(name) == PARAMETER
    });
    if tokens.is_empty() {
        return;
    }
    let values = tokens
        .iter()
        .map(|pair| decoded(pair.split_once('=').map_or("", |(_, value)| value)));
    let in_query = InQuery(values.collect());
    let path = request.uri().path();
    let rest = match rest.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", rest.join("&")),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(
        rest.parse()
            .unwrap_or_else(|_| PathAndQuery::from_static("/")),
    );
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.extensions_mut().insert(in_query);
}

/// The token, if there is one: that in the header `authorization`, or else the one in cookies of this
/// name and, if it may be there, in the query. Those may be several if they are the same; which of
/// different ones was meant, and who has put the others there, cannot be told.
pub(super) fn of<B>(
    request: &http::Request<B>,
    cookie: &str,
    in_query: bool,
) -> Result<Option<(Vec<u8>, TokenSource)>, Problem> {
    if let Some(token) = in_header(request)? {
        return Ok(Some((token, TokenSource::AuthorizationHeader)));
    }
    let headers = request.headers().get_all(COOKIE).iter();
    let cookies = headers.flat_map(|header| header.as_bytes().split(|&byte| byte == b';'));
    let cookies = cookies.filter_map(|pair| cookie_value(pair, cookie));
    let given = request.extensions().get::<InQuery>();
    let given = given.filter(|_| in_query).map_or(&[][..], |given| &given.0);
    let mut found = cookies
        .map(|token| (token.to_vec(), TokenSource::Cookie))
        .chain(
            given
                .iter()
                .map(|token| (token.clone(), TokenSource::Query)),
        )
        .filter(|(token, _)| !token.is_empty());
    let first = found.next();
    match &first {
        Some((token, _)) if found.any(|(other, _)| other != *token) => Err(Problem::unauthorized(
            "different tokens are given in cookies or in the query; give one",
        )),
        _ => Ok(first),
    }
}

/// The token in the header `authorization`, if there is that header.
pub(super) fn in_header<B>(request: &http::Request<B>) -> Result<Option<Vec<u8>>, Problem> {
    let mut headers = request.headers().get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else {
        return Ok(None);
    };
    match headers.next() {
        Some(_) => Err(Problem::unauthorized(
            "the header `authorization` is given more than once",
        )),
        None => bearer(header.as_bytes()).map(Some),
    }
}

/// The token in an `authorization` header (RFC 6750, 2.1).
fn bearer(header: &[u8]) -> Result<Vec<u8>, Problem> {
    let space = header.iter().position(|&byte| byte == b' ');
    let (scheme, token) = header.split_at(space.unwrap_or(header.len()));
    match scheme.eq_ignore_ascii_case(b"bearer") {
        true => Ok(token.trim_ascii().to_vec()),
        false => Err(Problem::unauthorized(
            "the authorization scheme is not `Bearer`",
        )),
    }
}

/// The value in a `name=value` of a cookie header (RFC 6265, 4.2.1), without quotes, if the name is
/// this one.
fn cookie_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
    let value = value.strip_prefix(b"=")?;
    let quoted = value.strip_prefix(b"\"");
    let quoted = quoted.and_then(|value| value.strip_suffix(b"\""));
    Some(quoted.unwrap_or(value))
}

/// What is encoded as a form (WHATWG URL, 5.1).
fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &[u8])]) -> http::Request<()> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        take_from_query(&mut request);
        request
    }

    /// The token and its place; `Err` if it is refused.
    fn found(uri: &str, headers: &[(&str, &[u8])]) -> Result<Option<(String, TokenSource)>, ()> {
        let found = of(&request(uri, headers), "t", true).map_err(|_| ())?;
        Ok(found.map(|(token, place)| (String::from_utf8_lossy(&token).into_owned(), place)))
    }

    fn token(token: &str, place: TokenSource) -> Result<Option<(String, TokenSource)>, ()> {
        Ok(Some((token.to_owned(), place)))
    }

    #[test]
    fn the_header_counts_alone() {
        for value in [&b"Bearer a"[..], b"bearer  a ", b"BEARER a"] {
            let headers = [("authorization", value), ("cookie", b"t=b")];
            let found = found("/x?access_token=c", &headers);
            assert_eq!(found, token("a", TokenSource::AuthorizationHeader));
        }
        for value in [&b""[..], b"Basic a", b"a", b"Bearer,a", b"Bearer\ta"] {
            let headers = [("authorization", value), ("cookie", b"t=b")];
            assert_eq!(found("/", &headers), Err(()), "{value:?}");
        }
        let twice = [("authorization", &b"Bearer a"[..]); 2];
        assert_eq!(found("/", &twice), Err(()));
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
                token("a", TokenSource::Cookie),
                "{value:?}"
            );
        }
        assert_eq!(
            found("/", &[("cookie", b"t=a"), ("cookie", b"x=b")]),
            token("a", TokenSource::Cookie)
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
    fn different_tokens_are_refused() {
        assert_eq!(found("/", &[("cookie", b"t=a; t=b")]), Err(()));
        assert_eq!(
            found("/", &[("cookie", b"t=a"), ("cookie", b"t=b")]),
            Err(())
        );
        assert_eq!(found("/?access_token=b", &[("cookie", b"t=a")]), Err(()));
        assert_eq!(found("/?access_token=b&access_token=a", &[]), Err(()));
        assert_eq!(
            found("/?access_token=a&access_token=a", &[("cookie", b"t=a")]),
            token("a", TokenSource::Cookie)
        );
    }

    #[test]
    fn a_token_is_taken_out_of_the_query_whether_it_may_be_there_or_not() {
        for (uri, left) in [
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
            assert_eq!(request.uri().to_string(), left);
        }
        let in_query = request("/a?access_token=x%2B+y", &[]);
        let found = of(&in_query, "t", true).ok().flatten();
        assert_eq!(found, Some((b"x+ y".to_vec(), TokenSource::Query)));
        assert!(matches!(of(&in_query, "t", false), Ok(None)));
    }
}
