//! A request for an operation of the description, with the expected response.

use std::collections::BTreeSet;

use bytes::Bytes;
use runnel_testing::{Response, Server};

/// Request headers that OpenAPI does not describe as parameters.
const IGNORED_HEADERS: [&str; 2] = ["accept", "authorization"];

/// The `traceparent` that every call sends. It is described once for all operations.
pub(super) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A request for an operation, with the expected response.
pub(super) struct Call {
    pub(super) method: &'static str,
    /// The path template of the operation.
    pub(super) template: &'static str,
    channel: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    body: Option<(&'static str, Bytes)>,
    pub(super) status: u16,
    /// The media type of the response, or the type of its problem. Empty if there is no body.
    pub(super) body_kind: &'static str,
}

/// Creates a call without an expected response.
pub(super) fn call(method: &'static str, template: &'static str) -> Call {
    Call {
        method,
        template,
        channel: String::new(),
        query: String::new(),
        headers: vec![],
        body: None,
        status: 0,
        body_kind: "",
    }
}

impl Call {
    /// Sets the channel, percent-encoded as in the path.
    pub(super) fn channel(mut self, name: &str) -> Self {
        name.clone_into(&mut self.channel);
        self
    }

    pub(super) fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn accept_json(self) -> Self {
        self.header("accept", "application/json")
    }

    pub(super) fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = Some((content_type, body.into()));
        self
    }

    /// Sets the expected status, and the media type or problem type.
    pub(super) fn expects(mut self, status: u16, body_kind: &'static str) -> Self {
        (self.status, self.body_kind) = (status, body_kind);
        self
    }

    /// Returns the method and the path template.
    pub(super) fn operation(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// Returns the parameters of the request, as pairs of location and name.
    pub(super) fn parameters(&self) -> BTreeSet<(String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let in_query = pairs.map(|pair| ("query", pair.split('=').next().unwrap_or_default()));
        let headers = self.headers.iter().map(|(name, _)| *name);
        let in_header = headers.filter(|name| !IGNORED_HEADERS.contains(name));
        let in_path = self.template.contains("{channel}");
        in_query
            .chain(in_header.map(|name| ("header", name)))
            .chain(in_path.then_some(("path", "channel")))
            .map(|(location, name)| (location.to_owned(), name.to_owned()))
            .collect()
    }

    /// Sends the request. Adds the publish token if `needs_token`, unless the call sets
    /// `authorization`.
    pub(super) async fn send(&self, server: &Server, needs_token: bool) -> Response {
        let path = self.template.replace("{channel}", &self.channel);
        let separator = if self.query.is_empty() { "" } else { "?" };
        let request = server.request(self.method, &format!("{path}{separator}{}", self.query));
        let request = request.header("traceparent", TRACEPARENT);
        let has_authorization = self
            .headers
            .iter()
            .any(|(name, _)| *name == "authorization");
        let request = if needs_token && !has_authorization {
            request.authorized()
        } else {
            request
        };
        let headers = self.headers.iter();
        let request = headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        let request = match self.body.clone() {
            Some((content_type, body)) => request.body(content_type, body),
            None => request,
        };
        request.send().await
    }
}
