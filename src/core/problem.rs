//! The kinds of problems that a request can meet.

macro_rules! problem_kinds {
    ($($(#[$doc:meta])* $kind:ident: $name:literal, $status:literal, $title:literal;)+) => {
        /// The kind of a problem (RFC 9457), and the label of the requests that were rejected for it.
        ///
        /// Metrics are stored by a kind's position, so new kinds are added at the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)+
        }

        impl ProblemKind {
            /// All kinds, in order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The names of all kinds, in order.
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// Returns the name: the last part of the problem's `type`, and the label in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// Returns the HTTP status of the response.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$kind => $status,)+
                }
            }

            /// Returns the `title`.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)+
                }
            }
        }
    };
}

problem_kinds! {
    /// Nothing is served at the path.
    NotFound: "not-found", 404, "Not found";
    /// Nothing was ever published to the channel.
    UnknownChannel: "unknown-channel", 404, "Unknown channel";
    /// The path does not support the method.
    Method: "method", 405, "Method not allowed";
    /// The channel name is malformed.
    ChannelName: "channel-name", 400, "Bad channel name";
    /// The channel name in the path is not valid percent-encoding.
    PercentEncoding: "percent-encoding", 400, "Bad percent-encoding";
    /// A query parameter is malformed or contradicts the request.
    Query: "query", 400, "Bad query parameter";
    /// A header is malformed or contradicts the request.
    Header: "header", 400, "Bad header";
    /// The event type is malformed or reserved.
    EventType: "event-type", 400, "Bad event type";
    /// The body is malformed.
    Body: "body", 400, "Bad body";
    /// The body, an event or a batch exceeds its limit.
    TooLarge: "too-large", 413, "Too large";
    /// The content type or content encoding is not supported.
    MediaType: "media-type", 415, "Unsupported media type";
    /// The body did not arrive in time.
    BodyTimeout: "body-timeout", 408, "Body too slow";
    /// A rate limit is exceeded.
    RateLimited: "rate-limited", 429, "Too many requests";
    /// The token is missing or not accepted.
    Unauthorized: "unauthorized", 401, "Unauthorized";
    /// The token does not grant the permission.
    Forbidden: "forbidden", 403, "Forbidden";
    /// The token is in a cookie, and the request comes from an origin that is not trusted.
    Origin: "origin", 403, "Origin not trusted";
    /// The channel is closed.
    Closed: "closed", 409, "Channel closed";
    /// The idempotency key was used for another request.
    KeyReused: "idempotency-key-reused", 422, "Idempotency key reused";
    /// A variable is missing or has a value that is not accepted.
    Configuration: "configuration", 500, "Bad configuration";
    /// The store fails or does not answer.
    Store: "store", 503, "Store unavailable";
    /// Too many publishers write to the channel.
    Contended: "contended", 503, "Channel contended";
    /// The store failed during a commit, and its outcome is unknown.
    OutcomeUnknown: "outcome-unknown", 503, "Outcome unknown";
    /// The stored log cannot be decoded.
    LogUnreadable: "log-unreadable", 500, "Log unreadable";
    /// The instance has no room for another stream or waiting long-poll. The response to a stream over
    /// this or another limit has status 200 and ends at once: an `EventSource` does not reconnect after any
    /// other status.
    TooManyStreams: "too-many-streams", 503, "Too many streams";
    /// The client opens streams or polls too often.
    StreamRate: "stream-rate", 429, "Subscribed too often";
    /// The body has a transfer coding other than `chunked`.
    TransferCoding: "transfer-coding", 501, "Unknown transfer coding";
    /// The client has sent too many wrong tokens.
    WrongTokens: "wrong-tokens", 429, "Too many wrong tokens";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_the_kinds() {
        for kind in ProblemKind::ALL {
            assert_eq!(ProblemKind::NAMES[*kind as usize], kind.name());
        }
    }
}
