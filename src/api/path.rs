//! The routes, and the channel in them.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::core::channel::Channel;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/events/{channel}`, or `/events` with the channels in the query
    Events(Option<Channel>),
    /// `/publish/{channel}`
    Publish(Channel),
    /// `/channels/{channel}`
    Channel(Channel),
    /// `/channels/{channel}/close`, which is also the `/channels/{channel}` of a channel so named
    Close {
        /// The channel that `POST` closes.
        closes: Channel,
        /// The channel that the other methods are about, if there can be one of this name.
        named: Option<Channel>,
    },
    /// `/health`
    Health,
    /// `/health/live`
    Live,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    Description,
    /// `/`
    Console,
}

impl Route {
    /// The route of a request's own path, as it was sent.
    pub fn of(path: &str) -> Result<Self, Problem> {
        match path {
            "/" => return Ok(Self::Console),
            "/health" => return Ok(Self::Health),
            "/health/live" => return Ok(Self::Live),
            "/metrics" => return Ok(Self::Metrics),
            "/openapi.json" => return Ok(Self::Description),
            "/events" => return Ok(Self::Events(None)),
            _ => {}
        }
        let mut parts = path.splitn(3, '/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("events"), name) => Ok(Self::Events(Some(channel(name)?))),
            (Some("publish"), name) => Ok(Self::Publish(channel(name)?)),
            (Some("channels"), name) => match name.and_then(|name| name.strip_suffix("/close")) {
                Some(closes) => Ok(Self::Close {
                    closes: channel(Some(closes))?,
                    named: channel(name).ok(),
                }),
                None => Ok(Self::Channel(channel(name)?)),
            },
            _ => Err(Problem::not_found(path)),
        }
    }

    /// The channel in the path, if there is one.
    pub(super) const fn channel(&self) -> Option<&Channel> {
        match self {
            Self::Events(channel) => channel.as_ref(),
            Self::Publish(channel) | Self::Channel(channel) => Some(channel),
            Self::Close { closes, .. } => Some(closes),
            Self::Health | Self::Live | Self::Metrics | Self::Description | Self::Console => None,
        }
    }

    /// The methods it answers, `OPTIONS` apart.
    pub fn methods(&self) -> Vec<Method> {
        match self {
            Self::Events(_)
            | Self::Health
            | Self::Live
            | Self::Metrics
            | Self::Description
            | Self::Console => vec![Method::GET, Method::HEAD],
            Self::Publish(_) => vec![Method::POST],
            Self::Close { named: None, .. } => vec![Method::POST],
            Self::Close { .. } => vec![Method::GET, Method::HEAD, Method::POST, Method::DELETE],
            Self::Channel(_) => vec![Method::GET, Method::HEAD, Method::DELETE],
        }
    }
}

/// Whether pages of other origins may use what is below this path, if they are allowed to at all.
pub(super) fn is_shared(path: &str) -> bool {
    let first = path.split('/').nth(1);
    matches!(first, Some("events" | "publish" | "channels"))
}

fn channel(name: Option<&str>) -> Result<Channel, Problem> {
    let decoded = decoded(name.unwrap_or_default())?;
    decoded.parse().map_err(Problem::channel)
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(digit(bytes.next()) && digit(bytes.next())) {
            return Err(Problem::percent_encoding(
                "a `%` is not followed by two hexadecimal digits",
            ));
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_err(|_| Problem::percent_encoding("it does not decode to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use proptest::prelude::*;

    proptest! {
        /// Law: any path is a route or a problem, and a channel in it is what it decodes to.
        #[test]
        fn any_path_is_read_or_refused(path in prop_oneof![
            any::<String>(),
            "/(events|publish|channels)(/(close|%2[fF]|%[0-9a-f]?[0-9a-f]?|[a-z.!é /]){0,6}){0,3}",
        ]) {
            if let Ok(Route::Events(Some(channel))) = Route::of(&path) {
                let name = path.strip_prefix("/events/").unwrap();
                prop_assert_eq!(channel.as_str(), decoded(name).unwrap());
            }
        }
    }

    fn named(name: &str) -> Channel {
        name.parse().unwrap()
    }

    #[test]
    fn every_route_is_found_with_its_channel() {
        assert_eq!(Route::of("/").unwrap(), Route::Console);
        assert_eq!(Route::of("/health").unwrap(), Route::Health);
        assert_eq!(Route::of("/health/live").unwrap(), Route::Live);
        assert_eq!(Route::of("/metrics").unwrap(), Route::Metrics);
        assert_eq!(Route::of("/openapi.json").unwrap(), Route::Description);
        assert_eq!(Route::of("/events").unwrap(), Route::Events(None));
        assert_eq!(
            Route::of("/events/a/b").unwrap(),
            Route::Events(Some(named("a/b")))
        );
        assert_eq!(
            Route::of("/events/a%2Fb%3a1").unwrap(),
            Route::Events(Some(named("a/b:1")))
        );
        assert_eq!(Route::of("/publish/a").unwrap(), Route::Publish(named("a")));
        assert_eq!(
            Route::of("/channels/a/b").unwrap(),
            Route::Channel(named("a/b"))
        );
        assert_eq!(
            Route::of("/channels/a/close").unwrap(),
            Route::Close {
                closes: named("a"),
                named: Some(named("a/close"))
            }
        );
        let longest = "a".repeat(160);
        assert_eq!(
            Route::of(&format!("/channels/{longest}/close")).unwrap(),
            Route::Close {
                closes: named(&longest),
                named: None
            }
        );
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in [
            "/x",
            "/event/a",
            "/healthy",
            "/health/",
            "/Events/a",
            "//events/a",
        ] {
            assert_eq!(
                Route::of(path).unwrap_err().status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[test]
    fn bad_channels_are_bad_requests() {
        for path in [
            "/events/",
            "/events//a",
            "/events/a/",
            "/events/a//b",
            "/events/..",
            "/events/%2e%2e/a",
            "/events/%",
            "/events/%4",
            "/events/%zz",
            "/events/%ff",
            "/events/a%00",
            "/events/a%0a",
            "/events/a%20b",
            "/publish/",
            "/channels//close",
            "/channels/close/",
        ] {
            assert_eq!(
                Route::of(path).unwrap_err().status(),
                StatusCode::BAD_REQUEST,
                "{path}"
            );
        }
        assert_eq!(
            Route::of(&format!("/events/{}", "a".repeat(161)))
                .unwrap_err()
                .status(),
            400
        );
    }
}
