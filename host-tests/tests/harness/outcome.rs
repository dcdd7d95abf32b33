//! The claims of responses about the log.

use runnel_testing::Response;

/// The claim of a response about its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The request took effect. Holds the id of the last event, if the response has one.
    Committed(Option<String>),
    /// Nothing was changed.
    NotCommitted,
    /// The request may have taken effect.
    Unknown,
}

impl Outcome {
    /// Classifies a response. Anything but success or a temporary failure fails the test.
    pub(crate) fn of(response: &Response) -> Self {
        match response.status.as_u16() {
            201 => Self::Committed(Some(response.event_id())),
            204 => Self::Committed(None),
            503 => {
                assert!(response.retry_after() > 0);
                match response.problem_type().as_str() {
                    "urn:runnel:problem:store" | "urn:runnel:problem:contended" => {
                        Self::NotCommitted
                    }
                    "urn:runnel:problem:outcome-unknown" => Self::Unknown,
                    other => panic!("503 of type {other}"),
                }
            }
            _ => panic!("neither success nor a temporary failure: {response:?}"),
        }
    }
}
