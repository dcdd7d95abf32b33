//! The host: dispatches requests to components, with or without a network.

mod builder;
mod spin_request;
mod well_known;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::handler::{ProxyHandler, TrapOrPanicError};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error};

pub use builder::{HostBuilder, HostError};
pub(crate) use spin_request::Unanswered;

use crate::application::Application;
use crate::route_table::RouteTable;
use crate::runtime::{Body, ComponentHandler, HostContext};

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// A running application. Clones are handles to the same one.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    application: Arc<Application>,
    routes: RouteTable,
    components: BTreeMap<String, ProxyHandler<ComponentHandler>>,
    context: Arc<HostContext>,
}

impl Host {
    /// Returns a builder of a host for `application`.
    pub fn builder(application: &Arc<Application>) -> HostBuilder {
        HostBuilder::new(application.clone())
    }

    /// Serves one request without a network. A request that names no host goes to `localhost`.
    ///
    /// The body of the response is the guest's stream: each frame is polled from it, and dropping it
    /// disconnects the client. Where Spin itself would answer, so does this host: 404 without a
    /// route, 500 after a trap. A request that would get no answer over a network gets 400.
    pub async fn request<B>(&self, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxedError>,
    {
        if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
            request
                .headers_mut()
                .insert(HOST, HeaderValue::from_static("localhost"));
        }
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match self.dispatch(request, client).await {
            Ok(response) => response,
            Err(error) => text_response(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        }
    }

    /// Returns the number of live component instances.
    pub fn live_instances(&self) -> usize {
        self.0.context.live_instances.get()
    }

    /// Returns the number of store handles that guests hold open.
    pub fn live_stores(&self) -> usize {
        self.0.context.live_stores.get()
    }

    /// Returns the bytes of linear memory of all live instances.
    pub fn live_memory(&self) -> usize {
        self.0.context.live_memory.get()
    }

    /// Returns the number of WebAssembly instructions that ended instances executed. Always 0 unless
    /// the application was loaded by [`Application::load_metered`].
    pub fn instructions(&self) -> u64 {
        self.0.context.instructions.get()
    }

    /// Returns the number of component instances started so far.
    pub fn started_instances(&self) -> u64 {
        self.0.context.started_instances.get()
    }

    /// Makes the next read of a store trap, which ends the instance and all its requests as a panic
    /// would.
    pub fn trap_next_read(&self) {
        self.0.context.trap_next_read.store(true, Ordering::SeqCst);
    }

    /// Returns the captured output; empty unless [`HostBuilder::capture_output`] was called.
    pub fn output(&self) -> String {
        self.0.context.output()
    }

    /// Logs a line for the operator.
    pub(crate) fn log(&self, line: &str) {
        self.0.context.log(line);
    }

    /// Serves a request of `client` by the component of its route, in the order and with the answers of
    /// Spin's `HttpServer::handle`.
    ///
    /// # Errors
    /// If Spin would not answer.
    pub(crate) async fn dispatch<B>(
        &self,
        mut request: Request<B>,
        client: SocketAddr,
    ) -> Result<Response<Body>, Unanswered>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxedError>,
    {
        spin_request::strip_headers(request.headers_mut());
        let path = request.uri().path().to_owned();
        if let Some(response) = well_known::respond(&path, &self.0.application) {
            return Ok(response);
        }
        let Some(matched) = self.0.routes.find(&path) else {
            return Ok(text_response(
                StatusCode::NOT_FOUND,
                "no route for this path\n",
            ));
        };
        spin_request::make_uri_absolute(&mut request)?;
        let Some(component) = self.0.components.get(&matched.route.component) else {
            return Ok(text_response(
                StatusCode::NOT_FOUND,
                "no component for this route\n",
            ));
        };
        if let Err(error) = spin_request::add_spin_headers(&mut request, &matched, client) {
            return Ok(text_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                &format!("{error}\n"),
            ));
        }
        let request = request.map(|body| body.map_err(body_error).boxed_unsync());
        let failure = match component.handle((), request).await {
            Ok(response) => match forbidden_header(&response) {
                None => return Ok(response),
                Some(name) => Some(format!("set the header {name}, which Spin forbids")),
            },
            // A trap has been logged with its backtrace.
            Err(error) if error.is::<TrapOrPanicError>() => None,
            Err(error) => Some(format!("returned no response to {path:?}: {error:#}")),
        };
        if let Some(failure) = failure {
            let component = &matched.route.component;
            self.log(&format!("the component {component:?} {failure}"));
        }
        Ok(text_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the component failed; the reason is in the server's log\n",
        ))
    }
}

/// Returns a header of the response that a component on Spin cannot set.
fn forbidden_header(response: &Response<Body>) -> Option<&HeaderName> {
    let mut names = response.headers().keys();
    names.find(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name))
}

fn text_response(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn body_error(error: impl Into<BoxedError>) -> Error {
    match error.into().downcast::<hyper::Error>() {
        Ok(error) => Error::from(*error),
        Err(error) => Error::InternalError(Some(error.to_string())),
    }
}
