//! Complete responses.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use runnel_host::Body;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A response whose body has been read.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// Reads the body of a response of a host in this process.
    pub async fn collect(response: http::Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Reads a response that is not chunked, up to the end of the connection.
    pub async fn read_from(connection: &mut TcpStream) -> Self {
        let mut bytes = vec![];
        connection.read_to_end(&mut bytes).await.unwrap();
        Self::parse(&bytes)
    }

    /// Parses a response that is not chunked.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("not a response: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.trim().parse().unwrap());
        }
        Self {
            status: status.unwrap().parse().unwrap(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// Asserts the status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Returns the value of a header, which must not be repeated.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} is repeated: {self:?}");
        value
    }

    /// Returns all values of a header, each of which may be a list, one by one.
    pub fn header_list(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().unwrap());
        values.flat_map(|value| value.split(", ")).collect()
    }

    /// Returns the targets of the links with this relation (RFC 8288).
    pub fn links(&self, relation: &str) -> Vec<&str> {
        let end = format!(">; rel=\"{relation}\"");
        let links = self.header_list("link").into_iter();
        let targets = links.filter_map(|link| link.strip_prefix('<')?.strip_suffix(&end));
        targets.collect()
    }

    /// Returns the id of the event that was accepted.
    #[track_caller]
    pub fn event_id(&self) -> String {
        assert_eq!(self.status, 201, "{self:?}");
        self.header("event-id").expect("an event id").to_owned()
    }

    /// Returns the seconds of `retry-after`.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        let seconds = self.header("retry-after").expect("a retry-after header");
        seconds.parse().unwrap()
    }

    /// Parses a JSON body.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.parse_json()
    }

    /// Returns the `type` of a problem (RFC 9457).
    #[track_caller]
    pub fn problem_type(&self) -> String {
        let problem = self.problem();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["type"].as_str().unwrap().to_owned()
    }

    /// Asserts that the response is a problem (RFC 9457) of this status and type, whose detail mentions
    /// `about`.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, kind: &str, about: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let problem = self.problem();
        assert_eq!(problem["type"], format!("urn:runnel:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(about),
            "{detail:?} does not mention {about:?}"
        );
    }

    #[track_caller]
    fn problem(&self) -> Value {
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        self.parse_json()
    }

    #[track_caller]
    fn parse_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
