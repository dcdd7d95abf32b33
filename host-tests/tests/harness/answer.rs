//! What a publisher was answered, and what that says about the log.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use runnel_host::Body;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What an answer claims to have become of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It was carried out; the id of the last event, if the answer has one.
    Done(Option<String>),
    /// Nothing was changed.
    NotDone,
    /// It may have been carried out.
    Unknown,
}

impl Answer {
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// A header; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `type` of a problem.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().to_owned()
    }

    /// The id of an event that was accepted.
    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 201, "{self:?}");
        self.header("event-id").to_owned()
    }

    /// What it claims. Anything but success or a temporary failure fails the test.
    pub(crate) fn said(&self) -> Said {
        match self.status {
            201 => Said::Done(Some(self.id())),
            204 => Said::Done(None),
            503 => {
                assert!(self.header("retry-after").parse::<u64>().unwrap() > 0);
                match self.problem().as_str() {
                    "urn:runnel:problem:store" | "urn:runnel:problem:contended" => Said::NotDone,
                    "urn:runnel:problem:outcome-unknown" => Said::Unknown,
                    other => panic!("503 of type {other}"),
                }
            }
            _ => panic!("neither success nor a temporary failure: {self:?}"),
        }
    }
}
