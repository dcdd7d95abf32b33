//! The limits on requests: sizes and rates.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName};

use super::Instance;
use super::problem::Problem;
use crate::config::{PublishConfig, RequestLimits, SubscribeConfig};
use crate::core::access::Principal;
use crate::core::channel::Channel;
use crate::core::limit::{ClientNetwork, RateKey, RetryAfter};

/// The headers whose size is limited, besides those of a CloudEvent: all that are read, except
/// `Last-Event-ID`, for which no subscriber is rejected.
const LIMITED: [HeaderName; 6] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    IF_NONE_MATCH,
    HeaderName::from_static("prefer"),
];

/// The header with the address of the client. A client can send it too, but Spin appends its own.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("spin-client-addr");

/// Rejects queries and headers over the configured limits.
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
        if LIMITED.contains(name) || name.as_str().starts_with("ce-") {
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

/// Takes one permit from the publisher's and one from the channel's rate limit.
pub(super) async fn acquire_publish_permits(
    instance: &Instance,
    publisher: &Principal,
    channel: &Channel,
    config: &PublishConfig,
) -> Result<(), Problem> {
    let limiter = &instance.limiter;
    let key = RateKey::publisher(publisher.identity().unwrap_or_default());
    let acquired = limiter.acquire(key, config.publish_rate).await;
    acquired.map_err(|RetryAfter(wait)| {
        Problem::rate_limited("this credential publishes too often", wait)
    })?;
    let key = RateKey::channel(channel);
    let acquired = limiter.acquire(key, config.channel_rate).await;
    acquired.map_err(|RetryAfter(wait)| {
        Problem::rate_limited("this channel is published to too often", wait)
    })
}

/// Takes one permit from the client's rate limit on streams and long-polls.
pub(super) async fn acquire_subscribe_permit(
    instance: &Instance,
    headers: &HeaderMap,
    config: &SubscribeConfig,
) -> Result<(), RetryAfter> {
    let Some(client) = client(headers) else {
        return Ok(());
    };
    let key = RateKey::client(client);
    let limiter = &instance.limiter;
    limiter.acquire_loosely(key, config.stream_rate).await
}

/// Returns the client: that of the last address in the headers, which Spin has appended.
pub(super) fn client(headers: &HeaderMap) -> Option<ClientNetwork> {
    let address = headers.get_all(CLIENT_ADDRESS).iter().next_back()?;
    ClientNetwork::parse(address.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_client_is_identified_by_the_last_address() {
        let mut headers = HeaderMap::new();
        assert_eq!(client(&headers), None);
        for address in ["10.0.0.1:1", "10.0.0.2:2"] {
            headers.append(CLIENT_ADDRESS, HeaderValue::from_static(address));
        }
        assert_eq!(client(&headers), ClientNetwork::parse("10.0.0.2:2"));
    }

    #[test]
    fn queries_and_headers_are_accepted_up_to_their_limits() {
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
