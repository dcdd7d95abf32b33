//! A request that belongs to an operation, and what is expected of the answer.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::client::Answer;
use crate::server::Server;

/// The request headers that a description leaves to OpenAPI itself.
const HEADERS_APART: [&str; 2] = ["accept", "authorization"];

/// The trace of every request: it is described for all of them together.
pub(super) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A request of an operation, and how it is to be answered.
pub(super) struct Call {
    pub(super) method: &'static str,
    /// The path as it is described.
    pub(super) template: &'static str,
    channel: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    body: Option<(&'static str, Bytes)>,
    pub(super) status: u16,
    /// The media type of the answer, or the type of the problem; empty if there is no body.
    pub(super) what: &'static str,
}

/// A call that is still to be told what it expects.
pub(super) fn call(method: &'static str, template: &'static str) -> Call {
    Call {
        method,
        template,
        channel: String::new(),
        query: String::new(),
        headers: vec![],
        body: None,
        status: 0,
        what: "",
    }
}

impl Call {
    /// The channel as it stands in the path.
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

    /// Asks for JSON.
    pub(super) fn json(self) -> Self {
        self.header("accept", "application/json")
    }

    pub(super) fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = Some((content_type, body.into()));
        self
    }

    /// Expects this status and media type.
    pub(super) fn gives(mut self, status: u16, what: &'static str) -> Self {
        (self.status, self.what) = (status, what);
        self
    }

    /// The operation, for people and as a key.
    pub(super) fn operation(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// The parameters that are given: where, and the name.
    pub(super) fn parameters(&self) -> BTreeSet<(String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let in_query = pairs.map(|pair| ("query", pair.split('=').next().unwrap_or_default()));
        let headers = self.headers.iter().map(|(name, _)| *name);
        let in_header = headers.filter(|name| !HEADERS_APART.contains(name));
        let in_path = self.template.contains("{channel}");
        in_query
            .chain(in_header.map(|name| ("header", name)))
            .chain(in_path.then_some(("path", "channel")))
            .map(|(place, name)| (place.to_owned(), name.to_owned()))
            .collect()
    }

    /// Sends it, with the token if it `needs_token` and nothing else was said.
    pub(super) async fn send(&self, server: &Server, needs_token: bool) -> Answer {
        let path = self.template.replace("{channel}", &self.channel);
        let mark = if self.query.is_empty() { "" } else { "?" };
        let request = server.request(self.method, &format!("{path}{mark}{}", self.query));
        let request = request.header("traceparent", TRACEPARENT);
        let own = self
            .headers
            .iter()
            .any(|(name, _)| *name == "authorization");
        let request = match needs_token && !own {
            true => request.authorized(),
            false => request,
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
