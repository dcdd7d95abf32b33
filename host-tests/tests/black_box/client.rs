//! A client that sends requests exactly as built, each on its own connection.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::server::Server;

/// Timeout of every wait, generous enough for a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The reason why a request got no response.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A request that is being built.
#[derive(Clone)]
pub(crate) struct Request {
    server: Server,
    method: Method,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Bytes,
}

/// A response with its complete body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A response whose body has not been read yet. Dropping it closes the connection.
pub(crate) struct OpenResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    pub(crate) connection: Connection,
}

/// Handle of the task that drives a connection. Dropping it closes the connection.
pub(crate) struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request {
            server: self.clone(),
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: vec![],
            body: Bytes::new(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// Sends raw bytes and reads the response until the server closes the connection. The request
    /// must therefore contain `connection: close`.
    pub(crate) async fn send_raw(&self, bytes: &[u8]) -> Response {
        let exchange = async {
            let mut connection = TcpStream::connect(&self.authority).await.unwrap();
            connection.write_all(bytes).await.unwrap();
            read_raw(&mut connection).await
        };
        timeout(PATIENCE, exchange)
            .await
            .expect("no response in time")
    }
}

/// Reads a response until the server closes the connection.
pub(crate) async fn read_raw(connection: &mut TcpStream) -> Response {
    let mut bytes = vec![];
    connection.read_to_end(&mut bytes).await.unwrap();
    Response::parse(&bytes)
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// Adds the publish token.
    pub(crate) fn authorized(self) -> Self {
        let value = format!("Bearer {}", self.server.token);
        self.header("authorization", value)
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends the request with `Accept: application/json`, expects 200 and returns the JSON body.
    pub(crate) async fn fetch_json(self) -> Value {
        self.accept_json().send().await.expect_status(200).json()
    }

    /// Accepts JSON: `GET /events` then responds with one page instead of a stream.
    pub(crate) fn accept_json(self) -> Self {
        self.header("accept", "application/json")
    }

    /// Sends the request and returns as soon as the response head has arrived.
    pub(crate) async fn try_open(self) -> Result<OpenResponse, Error> {
        let stream = TcpStream::connect(&self.server.authority).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = Connection(tokio::spawn(connection).abort_handle());
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(self.path)
            .header("host", &self.server.authority);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(self.body))?);
        let (head, body) = response.await?.into_parts();
        Ok(OpenResponse {
            status: head.status,
            headers: head.headers,
            body,
            connection,
        })
    }

    pub(crate) async fn try_send(self) -> Result<Response, Error> {
        let response = self.try_open().await?;
        let body = response.body.collect().await?.to_bytes();
        Ok(Response {
            status: response.status,
            headers: response.headers,
            body,
        })
    }

    pub(crate) async fn open(self) -> OpenResponse {
        let request_line = format!("{} {}", self.method, self.path);
        let opened = timeout(PATIENCE, self.try_open()).await;
        opened
            .unwrap_or_else(|_| panic!("{request_line}: no response in time"))
            .unwrap_or_else(|error| panic!("{request_line}: {error}"))
    }

    pub(crate) async fn send(self) -> Response {
        let request_line = format!("{} {}", self.method, self.path);
        let sent = timeout(PATIENCE, self.try_send()).await;
        sent.unwrap_or_else(|_| panic!("{request_line}: no complete response in time"))
            .unwrap_or_else(|error| panic!("{request_line}: {error}"))
    }
}

impl Response {
    /// Parses a raw response that is not chunked.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
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

    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Returns the value of a header that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(
            values.next(),
            None,
            "{name} occurs more than once: {self:?}"
        );
        value
    }

    /// Returns all elements of a header whose values are comma-separated lists.
    pub(crate) fn header_list(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().unwrap());
        values.flat_map(|value| value.split(", ")).collect()
    }

    /// Returns the targets of the links with this relation type (RFC 8288).
    pub(crate) fn links(&self, relation: &str) -> Vec<&str> {
        let end = format!(">; rel=\"{relation}\"");
        let links = self.header_list("link").into_iter();
        let targets = links.filter_map(|link| link.strip_prefix('<')?.strip_suffix(&end));
        targets.collect()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that the response is a problem (RFC 9457) with this status and type, and that its
    /// detail contains `about`.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, kind: &str, about: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["type"], format!("urn:runnel:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(about),
            "{detail:?} does not contain {about:?}"
        );
    }
}
