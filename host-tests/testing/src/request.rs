//! Requests over HTTP, each on a connection of its own.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::TIMEOUT;
use crate::response::Response;
use crate::server::Server;

/// A failure of the transport: no connection, or a response that breaks off.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A request to a [`Server`].
#[derive(Clone)]
pub struct Request {
    server: Server,
    method: Method,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Bytes,
    client: Ipv4Addr,
}

/// A response whose body is not read yet. Dropping it closes the connection.
pub struct OpenResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The unread body.
    pub body: Incoming,
    /// The connection that the body arrives on.
    pub connection: Connection,
}

/// The task that drives a connection. Dropping it closes the connection.
pub struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Request {
    pub(crate) fn new(server: Server, method: Method, path: &str) -> Self {
        Self {
            server,
            method,
            path: path.to_owned(),
            headers: vec![],
            body: Bytes::new(),
            client: Ipv4Addr::UNSPECIFIED,
        }
    }

    /// Sends the request from this address of this machine, such as another one for loopback.
    pub fn from_address(mut self, address: [u8; 4]) -> Self {
        self.client = address.into();
        self
    }

    /// Adds a header; `host` replaces that of the server.
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// Adds the publish token.
    pub fn authorized(self) -> Self {
        let token = self.server.token.clone();
        self.bearer(&token)
    }

    /// Adds a token as RFC 6750 has it.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a token as a cookie.
    pub fn cookie(self, token: &str) -> Self {
        self.header("cookie", format!("runnel_token={token}"))
    }

    /// Sets the body and its type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sets the body without a type.
    pub fn untyped_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Accepts JSON: `GET /events` then responds with one page instead of a stream.
    pub fn accept_json(self) -> Self {
        self.header("accept", "application/json")
    }

    /// Sends the request with [`Request::accept_json`], expects 200, and returns the JSON body.
    pub async fn fetch_json(self) -> Value {
        self.accept_json().send().await.expect_status(200).json()
    }

    /// Sends the request and returns as soon as the head of the response has arrived.
    ///
    /// # Errors
    /// Fails if the transport does.
    pub async fn try_open(self) -> Result<OpenResponse, Error> {
        let stream = self.connect().await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = Connection(tokio::spawn(connection).abort_handle());
        let mut request = http::Request::builder().method(self.method).uri(self.path);
        if self.headers.iter().all(|(name, _)| *name != "host") {
            request = request.header("host", &self.server.authority);
        }
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

    async fn connect(&self) -> Result<TcpStream, Error> {
        if self.client.is_unspecified() {
            return Ok(TcpStream::connect(&self.server.authority).await?);
        }
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.client, 0).into())?;
        Ok(socket.connect(self.server.authority.parse()?).await?)
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Errors
    /// Fails if the transport does.
    pub async fn try_send(self) -> Result<Response, Error> {
        let open = self.try_open().await?;
        let body = open.body.collect().await?.to_bytes();
        Ok(Response {
            status: open.status,
            headers: open.headers,
            body,
        })
    }

    /// As [`Request::try_open`], within [`TIMEOUT`]. Fails the test on an error.
    pub async fn open(self) -> OpenResponse {
        let request = format!("{} {}", self.method, self.path);
        let opened = timeout(TIMEOUT, self.try_open()).await;
        opened
            .unwrap_or_else(|_| panic!("no response to {request}"))
            .unwrap_or_else(|error| panic!("{request}: {error}"))
    }

    /// As [`Request::try_send`], within [`TIMEOUT`]. Fails the test on an error.
    pub async fn send(self) -> Response {
        let request = format!("{} {}", self.method, self.path);
        let sent = timeout(TIMEOUT, self.try_send()).await;
        sent.unwrap_or_else(|_| panic!("no complete response to {request}"))
            .unwrap_or_else(|error| panic!("{request}: {error}"))
    }
}
