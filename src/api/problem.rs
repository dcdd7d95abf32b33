//! Errors as RFC 9457 problem details.

use std::fmt::Display;

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::body::{Body, Response, allow};
use crate::core::access::Permission;
use crate::core::channel::{Channel, ChannelError};
use crate::core::log::{AppendError, CommitError};
use crate::core::metrics::{Label as _, ProblemKind};
use crate::core::sse::EventTypeError;
use crate::platform::config::ConfigError;

/// What went wrong with a request, in the words of `application/problem+json`.
///
/// `type` is a URN that stays the same for the same kind of problem; `detail` is for people.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: ProblemKind,
    title: &'static str,
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
    fn new(
        status: StatusCode,
        kind: ProblemKind,
        title: &'static str,
        detail: impl Display,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.to_string(),
            headers: vec![],
        }
    }

    fn bad_request(kind: ProblemKind, title: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, title, detail)
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn kind(&self) -> ProblemKind {
        self.kind
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn not_found(path: &str) -> Self {
        let detail = format!(
            "nothing is served at {path}; there are /events/{{channel}}, /publish/{{channel}}, \
             /channels/{{channel}}, /health, /health/live, /metrics, /openapi.json \
             and /"
        );
        Self::new(
            StatusCode::NOT_FOUND,
            ProblemKind::NotFound,
            "Not found",
            detail,
        )
    }

    pub(super) fn no_channel(channel: impl Display) -> Self {
        let detail = format!("nothing was ever published to the channel {channel}");
        Self::new(
            StatusCode::NOT_FOUND,
            ProblemKind::UnknownChannel,
            "Unknown channel",
            detail,
        )
    }

    pub(super) fn method_not_allowed(allowed: &[Method]) -> Self {
        let value = allow(allowed);
        let detail = format!(
            "this resource answers {}",
            value.to_str().unwrap_or_default()
        );
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ProblemKind::Method,
            "Method not allowed",
            detail,
        )
        .with(ALLOW, value)
    }

    pub(super) fn channel(error: ChannelError) -> Self {
        Self::bad_request(ProblemKind::ChannelName, "Bad channel name", error)
    }

    pub(super) fn percent_encoding(detail: &str) -> Self {
        let detail = format!("the channel name in the path is badly percent-encoded: {detail}");
        Self::bad_request(ProblemKind::PercentEncoding, "Bad percent-encoding", detail)
    }

    pub(super) fn query(detail: impl Display) -> Self {
        Self::bad_request(ProblemKind::Query, "Bad query parameter", detail)
    }

    pub(super) fn header(detail: impl Display) -> Self {
        Self::bad_request(ProblemKind::Header, "Bad header", detail)
    }

    pub(super) fn event_type(error: EventTypeError) -> Self {
        Self::bad_request(ProblemKind::EventType, "Bad event type", error)
    }

    pub(super) fn body(detail: impl Display) -> Self {
        Self::bad_request(ProblemKind::Body, "Bad body", detail)
    }

    pub(super) fn too_large(detail: impl Display) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ProblemKind::TooLarge,
            "Too large",
            detail,
        )
    }

    pub(super) fn media_type(detail: impl Display) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ProblemKind::MediaType,
            "Unsupported media type",
            detail,
        )
    }

    /// The body took longer than it may.
    pub(super) fn body_timeout(millis: u64) -> Self {
        let seconds = millis / 1_000;
        let detail = format!("the body did not arrive within {seconds} s; nothing was appended");
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            ProblemKind::BodyTimeout,
            "Body too slow",
            detail,
        )
    }

    /// A rate is exceeded; there is something again in so many milliseconds.
    pub(super) fn rate_limited(what: impl Display, wait_millis: u64) -> Self {
        let seconds = wait_millis.div_ceil(1_000).max(1);
        let detail = format!("{what}; nothing was changed. Try again in {seconds} s");
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemKind::RateLimited,
            "Too many requests",
            detail,
        )
        .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn denied(
        status: StatusCode,
        title: &'static str,
        detail: impl Display,
        challenge: &'static str,
    ) -> Self {
        let kind = if status == StatusCode::FORBIDDEN {
            ProblemKind::Forbidden
        } else {
            ProblemKind::Unauthorized
        };
        Self::new(status, kind, title, detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// There is no token (RFC 6750, 3); the places where there may be one.
    pub(super) fn no_token(places: &str) -> Self {
        let detail = format_args!("this needs a token, in {places}");
        Self::denied(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            detail,
            "Bearer realm=\"runnel\"",
        )
    }

    /// There is a token, and it is not good (RFC 6750, 3.1).
    pub(super) fn unauthorized(detail: impl Display) -> Self {
        let challenge = "Bearer realm=\"runnel\", error=\"invalid_token\"";
        Self::denied(StatusCode::UNAUTHORIZED, "Unauthorized", detail, challenge)
    }

    /// The token is good, but not for this.
    pub(super) fn forbidden(right: Permission, channel: &Channel) -> Self {
        let detail = match right {
            Permission::Publish => {
                format!("the token is not good for publishing to the channel {channel}")
            }
            Permission::Subscribe => {
                format!("the token is not good for subscribing to the channel {channel}")
            }
        };
        let challenge = "Bearer realm=\"runnel\", error=\"insufficient_scope\"";
        Self::denied(StatusCode::FORBIDDEN, "Forbidden", detail, challenge)
    }

    /// A page that is not trusted has sent a cookie.
    pub(super) fn origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            ProblemKind::Origin,
            "Origin not trusted",
            "with a token in a cookie this needs an `origin` that is this server's own or listed in \
             `cors_origins`; a token in the header `authorization` is good from everywhere",
        )
    }

    pub(super) fn refused(refused: AppendError) -> Self {
        match refused {
            AppendError::Closed => Self::new(
                StatusCode::CONFLICT,
                ProblemKind::Closed,
                "Channel closed",
                refused,
            ),
            AppendError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                ProblemKind::KeyReused,
                "Idempotency key reused",
                refused,
            ),
        }
    }

    pub(super) fn config(error: ConfigError) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemKind::Configuration,
            "Bad configuration",
            error,
        )
    }

    /// The store could not be read.
    pub(super) fn store() -> Self {
        Self::unavailable(
            ProblemKind::Store,
            "Store unavailable",
            "the store does not answer",
            2,
        )
    }

    pub(super) fn commit(failure: &CommitError) -> Self {
        match failure {
            CommitError::Contended => Self::unavailable(
                ProblemKind::Contended,
                "Channel contended",
                "too many publishers write to this channel at once; nothing was appended",
                1,
            ),
            CommitError::Store(_) => Self::unavailable(
                ProblemKind::Store,
                "Store unavailable",
                "the store does not answer; nothing was appended",
                2,
            ),
            CommitError::Away(millis) => Self::unavailable(
                ProblemKind::Store,
                "Store unavailable",
                "the store has been failing and is left alone for a moment; nothing was appended",
                millis.div_ceil(1_000).max(1),
            ),
            CommitError::Unknown(_) => Self::unavailable(
                ProblemKind::OutcomeUnknown,
                "Outcome unknown",
                "the store failed in mid-commit: the events may have been appended. Repeating the \
                 request is safe if it carries an Idempotency-Key",
                2,
            ),
            CommitError::Format(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                ProblemKind::LogUnreadable,
                "Log unreadable",
                "the stored log of this channel cannot be read; nothing was changed",
            ),
        }
    }

    fn unavailable(
        kind: ProblemKind,
        title: &'static str,
        detail: &str,
        retry_after_seconds: u64,
    ) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
            .with(RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// The response that tells the client of it.
    #[must_use]
    pub fn into_response(self) -> Response {
        let details = Details {
            r#type: format!("urn:runnel:problem:{}", self.kind.value()),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = Response::new(Body::Full(body.into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.headers);
        response
    }
}
