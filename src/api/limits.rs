//! What a request may be like, and how many there may be.

use std::cell::Cell;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName};

use super::problem::Problem;
use crate::core::access::Principal;
use crate::core::channel::Channel;
use crate::core::limit::RateKey;
use crate::platform::config::{PublishConfig, RequestLimits};
use crate::platform::limiter;

/// The headers that are read, beside those of a CloudEvent. `Last-Event-ID` is not among them: a
/// subscriber is not refused for it.
const READ: [HeaderName; 6] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    IF_NONE_MATCH,
    HeaderName::from_static("prefer"),
];

/// The header that says where a client is. A client can send it, too, but Spin appends its own.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("spin-client-addr");

/// Refuses what is longer than anything that is meant.
pub(super) fn check(
    query: Option<&str>,
    headers: &HeaderMap,
    limits: RequestLimits,
) -> Result<(), Problem> {
    let (bytes, most) = (query.unwrap_or_default().len(), limits.query_bytes);
    if bytes > most {
        return Err(Problem::query(format_args!(
            "the query has {bytes} bytes; at most {most} are accepted"
        )));
    }
    for name in headers.keys() {
        if READ.contains(name) || name.as_str().starts_with("ce-") {
            let values = headers.get_all(name).iter();
            let (bytes, most) = (
                values.map(|value| value.len()).sum::<usize>(),
                limits.header_bytes,
            );
            if bytes > most {
                return Err(Problem::header(format_args!(
                    "the header {name} has {bytes} bytes; at most {most} are accepted"
                )));
            }
        }
    }
    Ok(())
}

/// Lets a publisher change a channel, if neither has had too much of that.
pub(super) async fn admit(
    publisher: &Principal,
    channel: &Channel,
    config: &PublishConfig,
) -> Result<(), Problem> {
    let publisher = RateKey::publisher(publisher.identity().unwrap_or_default());
    let admitted = limiter::publishers(publisher, config.publish_rate).await;
    admitted.map_err(|wait| {
        let wait = Duration::from_millis(wait);
        Problem::rate_limited("this credential publishes too often", wait)
    })?;
    let admitted = limiter::publishers(RateKey::channel(channel), config.channel_rate).await;
    admitted.map_err(|wait| {
        let wait = Duration::from_millis(wait);
        Problem::rate_limited("this channel is published to too often", wait)
    })
}

/// Who opens a stream: the last address given, which is Spin's.
pub(super) fn client(headers: &HeaderMap) -> Option<RateKey> {
    let address = headers.get_all(CLIENT_ADDRESS).iter().next_back()?;
    RateKey::client(address.to_str().ok()?)
}

thread_local! {
    static STREAMS: Cell<usize> = const { Cell::new(0) };
}

/// One of the streams that an instance has room for, until it is dropped.
pub(super) struct StreamPermit(());

impl StreamPermit {
    /// A seat, if not all of so many are taken.
    pub(super) fn take(seats: usize) -> Option<Self> {
        let taken = STREAMS.get();
        (taken < seats).then(|| {
            STREAMS.set(taken.saturating_add(1));
            Self(())
        })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        STREAMS.set(STREAMS.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn seats_are_given_back() {
        let first = StreamPermit::take(1);
        assert!(first.is_some() && StreamPermit::take(1).is_none());
        drop(first);
        assert!(StreamPermit::take(1).is_some());
    }

    #[test]
    fn the_clients_address_is_the_last_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(client(&headers), None);
        for address in ["10.0.0.1:1", "10.0.0.2:2"] {
            headers.append(CLIENT_ADDRESS, HeaderValue::from_static(address));
        }
        assert_eq!(client(&headers), RateKey::client("10.0.0.2:2"));
    }

    #[test]
    fn queries_and_headers_are_accepted_up_to_their_bounds() {
        let limits = RequestLimits {
            query_bytes: 10,
            header_bytes: 20,
        };
        for (bytes, accepted) in [(9, true), (10, true), (11, false)] {
            let query = "x".repeat(bytes);
            let checked = check(Some(&query), &HeaderMap::new(), limits);
            assert_eq!(checked.is_ok(), accepted, "{bytes}");
        }
        for name in ["idempotency-key", "authorization", "ce-id"] {
            for (bytes, accepted) in [(19, true), (20, true), (21, false)] {
                let mut headers = HeaderMap::new();
                for part in ["x".repeat(10), "x".repeat(bytes - 10)] {
                    let name = HeaderName::from_static(name);
                    headers.append(name, HeaderValue::from_str(&part).unwrap());
                }
                let checked = check(None, &headers, limits);
                assert_eq!(checked.is_ok(), accepted, "{name} {bytes}");
            }
        }
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&"x".repeat(65_536)).unwrap();
        headers.insert("last-event-id", value.clone());
        headers.insert("cookie", value);
        assert!(check(None, &headers, limits).is_ok());
    }
}
