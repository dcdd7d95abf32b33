//! Routes.

use http::Method;

use super::percent;
use super::problem::Problem;
use crate::config::BasePath;
use crate::core::channel::Channel;

/// The resource that a path names. The paths below are those after the base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/events/{channel}`, or `/events` with the channels in the query.
    Events(Option<Channel>),
    /// `/publish/{channel}`.
    Publish(Channel),
    /// `/channels/{channel}`.
    Channel(Channel),
    /// `/channels/{channel}/close`. A channel can have a name that ends like this path.
    Close {
        /// The channel that `POST` closes.
        closes: Channel,
        /// The channel that the other methods apply to: the one named by the whole rest of the path.
        /// `None` if that would be too long a name.
        named: Option<Channel>,
    },
    /// `/health`.
    Health,
    /// `/health/live`.
    Live,
    /// `/metrics`.
    Metrics,
    /// `/openapi.json`.
    OpenApi,
    /// `/`.
    Console,
    /// The base path itself, without a slash after it.
    Base,
}

impl Route {
    /// Parses the path of a request, still percent-encoded.
    ///
    /// # Errors
    /// Returns a problem if nothing is served at the path, or if the channel name in it is malformed.
    pub fn parse(base: &BasePath, path: &str) -> Result<Self, Problem> {
        let not_found = || Problem::not_found(base, path);
        let rest = base.strip(path).ok_or_else(not_found)?;
        match rest {
            "" => return Ok(Self::Base),
            "/" => return Ok(Self::Console),
            "/health" => return Ok(Self::Health),
            "/health/live" => return Ok(Self::Live),
            "/metrics" => return Ok(Self::Metrics),
            "/openapi.json" => return Ok(Self::OpenApi),
            "/events" => return Ok(Self::Events(None)),
            _ => {}
        }
        let mut parts = rest.splitn(3, '/').skip(1);
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
            _ => Err(not_found()),
        }
    }

    /// Returns the channel in the path, if there is one.
    pub(super) const fn channel(&self) -> Option<&Channel> {
        match self {
            Self::Events(channel) => channel.as_ref(),
            Self::Publish(channel) | Self::Channel(channel) => Some(channel),
            Self::Close { closes, .. } => Some(closes),
            Self::Health
            | Self::Live
            | Self::Metrics
            | Self::OpenApi
            | Self::Console
            | Self::Base => None,
        }
    }

    /// Returns the supported methods, except `OPTIONS`.
    pub fn methods(&self) -> Vec<Method> {
        match self {
            Self::Events(_)
            | Self::Health
            | Self::Live
            | Self::Metrics
            | Self::OpenApi
            | Self::Console
            | Self::Base => vec![Method::GET, Method::HEAD],
            Self::Publish(_) => vec![Method::POST],
            Self::Close { named: None, .. } => vec![Method::POST],
            Self::Close { .. } => vec![Method::GET, Method::HEAD, Method::POST, Method::DELETE],
            Self::Channel(_) => vec![Method::GET, Method::HEAD, Method::DELETE],
        }
    }
}

/// Returns whether pages of other origins can be allowed to use the path.
pub(super) fn supports_cors(base: &BasePath, path: &str) -> bool {
    let first = base.strip(path).and_then(|rest| rest.split('/').nth(1));
    matches!(first, Some("events" | "publish" | "channels"))
}

fn channel(name: Option<&str>) -> Result<Channel, Problem> {
    let name = name.unwrap_or_default();
    if !percent::is_well_formed(name) {
        return Err(Problem::percent_encoding(
            "has a `%` that is not followed by two hexadecimal digits",
        ));
    }
    let name = percent::decode(name).map_err(Problem::percent_encoding)?;
    name.parse().map_err(Problem::channel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use proptest::prelude::*;

    fn parse(path: &str) -> Result<Route, Problem> {
        Route::parse(&BasePath::default(), path)
    }

    proptest! {
        /// Property: any path is parsed or rejected, and a channel is the decoded rest of the path.
        #[test]
        fn any_path_is_parsed_or_rejected(path in prop_oneof![
            any::<String>(),
            "/(events|publish|channels)(/(close|%2[fF]|%[0-9a-f]?[0-9a-f]?|[a-z.!é /]){0,6}){0,3}",
        ]) {
            if let Ok(Route::Events(Some(channel))) = parse(&path) {
                let name = path.strip_prefix("/events/").unwrap();
                prop_assert_eq!(channel.as_str(), percent::decode(name).unwrap());
            }
        }
    }

    fn named(name: &str) -> Channel {
        name.parse().unwrap()
    }

    #[test]
    fn every_route_is_parsed_with_its_channel() {
        assert_eq!(parse("/").unwrap(), Route::Console);
        assert_eq!(parse("/health").unwrap(), Route::Health);
        assert_eq!(parse("/health/live").unwrap(), Route::Live);
        assert_eq!(parse("/metrics").unwrap(), Route::Metrics);
        assert_eq!(parse("/openapi.json").unwrap(), Route::OpenApi);
        assert_eq!(parse("/events").unwrap(), Route::Events(None));
        assert_eq!(
            parse("/events/a/b").unwrap(),
            Route::Events(Some(named("a/b")))
        );
        assert_eq!(
            parse("/events/a%2Fb%3a1").unwrap(),
            Route::Events(Some(named("a/b:1")))
        );
        assert_eq!(parse("/publish/a").unwrap(), Route::Publish(named("a")));
        assert_eq!(
            parse("/channels/a/b").unwrap(),
            Route::Channel(named("a/b"))
        );
        assert_eq!(
            parse("/channels/a/close").unwrap(),
            Route::Close {
                closes: named("a"),
                named: Some(named("a/close"))
            }
        );
        let longest = "a".repeat(160);
        assert_eq!(
            parse(&format!("/channels/{longest}/close")).unwrap(),
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
                parse(path).unwrap_err().status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[test]
    fn malformed_channel_names_are_bad_requests() {
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
                parse(path).unwrap_err().status(),
                StatusCode::BAD_REQUEST,
                "{path}"
            );
        }
        assert_eq!(
            parse(&format!("/events/{}", "a".repeat(161)))
                .unwrap_err()
                .status(),
            400
        );
    }
}
