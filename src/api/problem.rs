//! Problem details (RFC 9457).

use std::fmt::Display;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::body::{Body, Response, allow};
use crate::config::{BasePath, ConfigError};
use crate::core::access::Permission;
use crate::core::channel::{Channel, ChannelError};
use crate::core::limit::RetryAfter;
use crate::core::log::{AppendError, CommitError, ReadError};
use crate::core::problem::ProblemKind;
use crate::core::sse::EventTypeError;
use crate::core::time::millis;

/// The wait that is recommended to clients while the store is unavailable.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(2);

/// The wait that is recommended to clients that poll when there are too many streams.
const CROWDED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The wait that is recommended to publishers when too many write to a channel.
const CONTENDED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reason that a request is rejected, as the content of an `application/problem+json` response.
///
/// The kind determines status, `type` and `title` (see [`ProblemKind`]); `detail` is for people.
#[derive(Debug)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Details<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    fn new(kind: ProblemKind, detail: impl Display) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            headers: vec![],
        }
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_retry_after(self, wait: Duration) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(retry_after_seconds(wait)))
    }

    pub(super) fn kind(&self) -> ProblemKind {
        self.kind
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn not_found(base: &BasePath, path: &str) -> Self {
        let detail = format_args!(
            "nothing is served at {path}; the paths are {base}/events/{{channel}}, \
             {base}/publish/{{channel}}, {base}/channels/{{channel}}, {base}/health, \
             {base}/health/live, {base}/metrics, {base}/openapi.json and {base}/"
        );
        Self::new(ProblemKind::NotFound, detail)
    }

    pub(super) fn unknown_channel(channel: &Channel) -> Self {
        let detail = format_args!("nothing was ever published to the channel {channel}");
        Self::new(ProblemKind::UnknownChannel, detail)
    }

    pub(super) fn method_not_allowed(allowed: &[Method]) -> Self {
        let value = allow(allowed);
        let methods = value.to_str().unwrap_or_default();
        let detail = format_args!("this resource supports the methods {methods}");
        Self::new(ProblemKind::Method, detail).with_header(ALLOW, value)
    }

    pub(super) fn channel(error: ChannelError) -> Self {
        Self::new(ProblemKind::ChannelName, error)
    }

    pub(super) fn percent_encoding(detail: impl Display) -> Self {
        let detail = format_args!("the channel name in the path {detail}");
        Self::new(ProblemKind::PercentEncoding, detail)
    }

    pub(super) fn query(detail: impl Display) -> Self {
        Self::new(ProblemKind::Query, detail)
    }

    pub(super) fn header(detail: impl Display) -> Self {
        Self::new(ProblemKind::Header, detail)
    }

    pub(super) fn event_type(error: EventTypeError) -> Self {
        Self::new(ProblemKind::EventType, error)
    }

    pub(super) fn body(detail: impl Display) -> Self {
        Self::new(ProblemKind::Body, detail)
    }

    pub(super) fn too_large(detail: impl Display) -> Self {
        Self::new(ProblemKind::TooLarge, detail)
    }

    pub(super) fn media_type(detail: impl Display) -> Self {
        Self::new(ProblemKind::MediaType, detail)
    }

    /// Rejects a body with a content coding (RFC 9110, 12.5.3).
    pub(super) fn content_coding(detail: impl Display) -> Self {
        Self::media_type(detail).with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    /// Rejects a body with a transfer coding that the host has not decoded (RFC 9112, 6.1).
    pub(super) fn transfer_coding(detail: impl Display) -> Self {
        Self::new(ProblemKind::TransferCoding, detail)
    }

    pub(super) fn body_timeout(timeout: Duration) -> Self {
        let seconds = timeout.as_secs();
        let detail =
            format_args!("the body did not arrive within {seconds} s; nothing was appended");
        Self::new(ProblemKind::BodyTimeout, detail)
    }

    /// Rejects a request over a rate limit. The next permit accrues after `wait`.
    pub(super) fn rate_limited(limit: impl Display, wait: Duration) -> Self {
        let seconds = retry_after_seconds(wait);
        let detail = format_args!("{limit}; nothing was changed. Try again in {seconds} s");
        Self::new(ProblemKind::RateLimited, detail).with_retry_after(wait)
    }

    /// Rejects a long-poll of a client that subscribes too often.
    pub(super) fn stream_rate(RetryAfter(wait): RetryAfter) -> Self {
        let seconds = retry_after_seconds(wait);
        let detail = format_args!("this client polls too often. Try again in {seconds} s");
        Self::new(ProblemKind::StreamRate, detail).with_retry_after(wait)
    }

    /// Rejects a long-poll that would have to wait, for lack of room.
    pub(super) fn too_many_streams() -> Self {
        let detail = "there is nothing to report yet, and there are too many streams to wait";
        Self::new(ProblemKind::TooManyStreams, detail).with_retry_after(CROWDED_RETRY_AFTER)
    }

    /// Rejects a request whose token is not looked at, since its client has sent too many wrong ones.
    pub(super) fn wrong_tokens(RetryAfter(wait): RetryAfter) -> Self {
        let seconds = retry_after_seconds(wait);
        let detail = format_args!(
            "this client has sent too many wrong tokens, so none is accepted from it for now. Try again \
             in {seconds} s"
        );
        Self::new(ProblemKind::WrongTokens, detail).with_retry_after(wait)
    }

    /// Rejects a request without a token. `accepted` names the parts of a request that can have one.
    pub(super) fn missing_token(accepted: &str) -> Self {
        let detail = format_args!("this request needs a token, in {accepted}");
        // RFC 6750, 3.1: a request without a token is answered without an error code.
        Self::new(ProblemKind::Unauthorized, detail).with_challenge("Bearer realm=\"runnel\"")
    }

    /// Rejects a request whose token is not accepted.
    pub(super) fn invalid_token(detail: impl Display) -> Self {
        Self::new(ProblemKind::Unauthorized, detail)
            .with_challenge("Bearer realm=\"runnel\", error=\"invalid_token\"")
    }

    /// Rejects a request whose token is accepted but does not grant the permission.
    pub(super) fn forbidden(permission: Permission, channel: &Channel) -> Self {
        let operation = match permission {
            Permission::Publish => "publish",
            Permission::Subscribe => "subscribe",
        };
        let detail = format_args!(
            "the token does not grant permission to {operation} to the channel {channel}"
        );
        Self::new(ProblemKind::Forbidden, detail)
            .with_challenge("Bearer realm=\"runnel\", error=\"insufficient_scope\"")
    }

    /// Adds a challenge (RFC 6750, 3).
    fn with_challenge(self, challenge: &'static str) -> Self {
        self.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Rejects a change that a page of an untrusted origin requests with a token in a cookie.
    pub(super) fn untrusted_origin() -> Self {
        Self::new(
            ProblemKind::Origin,
            "a request with its token in a cookie needs an `origin` that is this server's own (see \
             `public_origins`) or listed in `cors_origins`; a token in the header `authorization` is \
             accepted from every origin",
        )
    }

    pub(super) fn append(error: &AppendError) -> Self {
        match error {
            AppendError::Closed => Self::new(ProblemKind::Closed, error),
            AppendError::KeyReused => Self::new(ProblemKind::KeyReused, error),
            AppendError::Commit(error) => Self::commit(error),
        }
    }

    pub(super) fn config(error: ConfigError) -> Self {
        Self::new(ProblemKind::Configuration, error)
    }

    /// Reports that the store cannot be read.
    pub(super) fn store() -> Self {
        Self::new(ProblemKind::Store, "the store does not answer")
            .with_retry_after(STORE_RETRY_AFTER)
    }

    pub(super) fn read(error: &ReadError) -> Self {
        match error {
            ReadError::Store(_) => Self::store(),
            ReadError::Format(_) | ReadError::Missing { .. } => Self::new(
                ProblemKind::LogUnreadable,
                "the stored log of this channel cannot be decoded",
            ),
        }
    }

    pub(super) fn commit(error: &CommitError) -> Self {
        match error {
            CommitError::Contended => Self::new(
                ProblemKind::Contended,
                "too many publishers are writing to this channel at once; nothing was appended",
            )
            .with_retry_after(CONTENDED_RETRY_AFTER),
            CommitError::Store(_) | CommitError::Timeout => Self::new(
                ProblemKind::Store,
                "the store does not answer; nothing was appended",
            )
            .with_retry_after(STORE_RETRY_AFTER),
            CommitError::CircuitOpen(wait) => Self::new(
                ProblemKind::Store,
                "the store has been failing and is not being tried for a moment; nothing was appended",
            )
            .with_retry_after(*wait),
            CommitError::OutcomeUnknown(_) => Self::new(
                ProblemKind::OutcomeUnknown,
                "the store failed during the commit, and the events may have been appended. The request \
                 can be repeated safely if it has an Idempotency-Key",
            )
            .with_retry_after(STORE_RETRY_AFTER),
            CommitError::Format(_) => Self::new(
                ProblemKind::LogUnreadable,
                "the stored log of this channel cannot be decoded; nothing was changed",
            ),
        }
    }

    /// Returns the response.
    #[must_use]
    pub fn into_response(self) -> Response {
        let status = self.status();
        let details = Details {
            r#type: format!("urn:runnel:problem:{}", self.kind.name()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = Response::new(Body::Full(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.headers);
        response
    }
}

/// Returns the value of `retry-after`: whole seconds, rounded up, at least 1.
fn retry_after_seconds(wait: Duration) -> u64 {
    millis(wait).div_ceil(1_000).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Returns the objects below `node` that describe a problem: those with a `type` and a `status`.
    fn described_problems<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
        match node {
            Value::Object(members) => {
                if members.contains_key("type") && members.contains_key("status") {
                    found.push(node);
                }
                members
                    .values()
                    .for_each(|node| described_problems(node, found));
            }
            Value::Array(nodes) => nodes
                .iter()
                .for_each(|node| described_problems(node, found)),
            _ => {}
        }
    }

    fn kind_of(urn: &Value) -> ProblemKind {
        let name = urn.as_str().unwrap().strip_prefix("urn:runnel:problem:");
        let name = name.unwrap_or_else(|| panic!("{urn} is not the type of a problem"));
        let mut kinds = ProblemKind::ALL.iter();
        let kind = kinds.find(|kind| kind.name() == name);
        *kind.unwrap_or_else(|| panic!("{urn} does not exist"))
    }

    #[test]
    fn the_openapi_description_has_every_problem_with_its_status_and_title() {
        let openapi: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let mut problems = vec![];
        described_problems(&openapi["paths"], &mut problems);
        described_problems(&openapi["components"]["responses"], &mut problems);
        let mut described = BTreeSet::new();
        for problem in problems {
            if let Some(types) = problem["type"]["enum"].as_array() {
                for kind in types.iter().map(kind_of) {
                    assert_eq!(problem["status"]["const"], kind.status(), "{kind:?}");
                    described.insert(kind.name());
                }
            } else {
                let kind = kind_of(&problem["type"]);
                assert_eq!(problem["status"], kind.status(), "{kind:?}");
                assert_eq!(problem["title"], kind.title());
            }
        }
        // These are responses of paths and methods that are not described.
        described.extend(["not-found", "method"]);
        assert_eq!(described, ProblemKind::NAMES.iter().copied().collect());
    }
}
