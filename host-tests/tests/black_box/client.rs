//! A client that sends what it is told to, each request on a connection of its own.

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

/// How long anything may take: a machine may be slow, but not this slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A request to be sent.
#[derive(Clone)]
pub(crate) struct Request {
    server: Server,
    method: Method,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Bytes,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A response whose body is still to be read. Dropped, it closes its connection.
pub(crate) struct Open {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    pub(crate) connection: Connection,
}

/// What drives a connection.
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

    /// Sends these bytes and reads all that comes back until the server closes the connection,
    /// which the request should ask for.
    pub(crate) async fn send_raw(&self, bytes: &[u8]) -> Answer {
        let exchange = async {
            let mut connection = TcpStream::connect(&self.authority).await.unwrap();
            connection.write_all(bytes).await.unwrap();
            read_raw(&mut connection).await
        };
        timeout(PATIENCE, exchange).await.expect("no answer")
    }
}

/// Reads a response up to the end of the connection.
pub(crate) async fn read_raw(connection: &mut TcpStream) -> Answer {
    let mut bytes = vec![];
    connection.read_to_end(&mut bytes).await.unwrap();
    Answer::parse(&bytes)
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// With the publish token.
    pub(crate) fn authorized(self) -> Self {
        let value = format!("Bearer {}", self.server.token);
        self.header("authorization", value)
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// The answer as JSON to a request that accepts nothing else.
    pub(crate) async fn json(self) -> Value {
        self.long_poll().send().await.has(200).json()
    }

    /// A request for one answer instead of a stream.
    pub(crate) fn long_poll(self) -> Self {
        self.header("accept", "application/json")
    }

    /// The response, as soon as its head is there.
    pub(crate) async fn try_open(self) -> Result<Open, Error> {
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
        Ok(Open {
            status: head.status,
            headers: head.headers,
            body,
            connection,
        })
    }

    pub(crate) async fn try_send(self) -> Result<Answer, Error> {
        let open = self.try_open().await?;
        let body = open.body.collect().await?.to_bytes();
        Ok(Answer {
            status: open.status,
            headers: open.headers,
            body,
        })
    }

    pub(crate) async fn open(self) -> Open {
        let what = format!("{} {}", self.method, self.path);
        let opened = timeout(PATIENCE, self.try_open()).await;
        opened
            .unwrap_or_else(|_| panic!("no answer to {what}"))
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    pub(crate) async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        let sent = timeout(PATIENCE, self.try_send()).await;
        sent.unwrap_or_else(|_| panic!("no whole answer to {what}"))
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

impl Answer {
    /// Takes a response apart whose body ends with the connection or has a known length.
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

    pub(crate) fn has(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} is there twice: {self:?}");
        value
    }

    /// All values of a header, each of which may be a list, one by one.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().unwrap());
        values.flat_map(|value| value.split(", ")).collect()
    }

    /// The targets of the links in this relation (RFC 8288).
    pub(crate) fn links(&self, relation: &str) -> Vec<&str> {
        let end = format!(">; rel=\"{relation}\"");
        let links = self.list("link").into_iter();
        let targets = links.filter_map(|link| link.strip_prefix('<')?.strip_suffix(&end));
        targets.collect()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Holds the answer to be a problem (RFC 9457) of this status and type, whose detail says
    /// `about`.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str, about: &str) {
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
            "{detail:?} says nothing of {about:?}"
        );
    }
}
