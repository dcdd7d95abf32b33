//! The host: routes requests to components, with or without a network.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpListener;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::handler::{ProxyHandler, TrapOrPanicError};

use crate::component::Application;
use crate::route::{RouteMatch, Routes};
use crate::runtime::{Body, Environment, Grant, Workers};
use crate::server::{ServeOptions, Server};
use crate::store::{KeyValue, Memory};

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// A running application. Clones are handles to the same one.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    routes: Routes,
    components: BTreeMap<String, ProxyHandler<Workers>>,
    environment: Arc<Environment>,
}

/// What a [`Host`] is made of.
pub struct HostBuilder {
    application: Arc<Application>,
    stores: BTreeMap<String, Arc<dyn KeyValue>>,
    variables: BTreeMap<String, String>,
    seed: Option<u64>,
    start_time: SystemTime,
    capture_output: bool,
}

impl HostBuilder {
    /// The store of the label `default`. Without it, an empty store in memory.
    #[must_use]
    pub fn store(self, store: Arc<dyn KeyValue>) -> Self {
        self.store_named("default", store)
    }

    /// The store of a label.
    #[must_use]
    pub fn store_named(mut self, label: &str, store: Arc<dyn KeyValue>) -> Self {
        self.stores.insert(label.to_owned(), store);
        self
    }

    /// Sets a variable of the application, over its default.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Makes the random numbers of all guests follow from `seed`: the same in every run in which
    /// instances start in the same order.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What the guests' wall clock shows when the host is built. Without it, the real time. From
    /// there both of their clocks run as tokio's does.
    #[must_use]
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = time;
        self
    }

    /// Keeps what guests print, and what the host has to say about them, for [`Host::output`],
    /// instead of passing it on.
    #[must_use]
    pub fn capture_output(mut self) -> Self {
        self.capture_output = true;
        self
    }

    /// Makes the host. It starts nothing: instances come with requests.
    ///
    /// # Errors
    /// If a variable is unknown or has no value, or a component may open a store there is none for.
    pub fn build(self) -> Result<Host> {
        let manifest = self.application.manifest();
        for name in self.variables.keys() {
            ensure!(
                manifest.variables.contains_key(name),
                "there is no variable {name:?}"
            );
        }
        let environment = Arc::new(Environment::new(
            self.seed,
            self.start_time,
            self.capture_output
                .then(|| MemoryOutputPipe::new(usize::MAX)),
        ));
        let mut components = BTreeMap::new();
        for (name, config) in &manifest.component {
            let mut stores = BTreeMap::new();
            for label in &config.key_value_stores {
                let store = self.stores.get(label).with_context(|| {
                    format!("component.{name}.key_value_stores: this host has no store {label:?}")
                })?;
                stores.insert(label.clone(), store.clone());
            }
            let workers = Workers {
                service: self
                    .application
                    .service(&config.source)
                    .with_context(|| format!("the component {name:?} was not compiled"))?
                    .clone(),
                environment: environment.clone(),
                grant: Arc::new(Grant {
                    component: name.clone(),
                    variables: manifest.component_variables(name, &self.variables)?,
                    stores,
                }),
            };
            components.insert(name.clone(), ProxyHandler::new(workers));
        }
        Ok(Host(Arc::new(Inner {
            routes: manifest.routes()?,
            components,
            environment,
        })))
    }
}

impl Host {
    /// Begins a host of `application`.
    pub fn builder(application: &Arc<Application>) -> HostBuilder {
        HostBuilder {
            application: application.clone(),
            stores: BTreeMap::from([(
                "default".to_owned(),
                Arc::new(Memory::default()) as Arc<dyn KeyValue>,
            )]),
            variables: BTreeMap::new(),
            seed: None,
            start_time: SystemTime::now(),
            capture_output: false,
        }
    }

    /// Serves one request without a network; a request that names no host goes to `localhost`.
    ///
    /// The body of the response is the guest's stream: each frame is polled from it, and dropping
    /// it is a client that disconnects. What Spin answers itself (no route, a trap) this answers
    /// too: 404, 500.
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
        self.handle(request, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
    }

    /// Serves HTTP on `listener` until [`Server::shutdown`].
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn serve(&self, listener: TcpListener) -> Result<Server> {
        self.serve_with(listener, ServeOptions::default())
    }

    /// [`Host::serve`], with options.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn serve_with(&self, listener: TcpListener, options: ServeOptions) -> Result<Server> {
        Server::start(self.clone(), listener, options)
    }

    /// How many component instances are alive.
    pub fn live_instances(&self) -> usize {
        self.0.environment.live_instances.get()
    }

    /// How many store handles guests hold open.
    pub fn live_stores(&self) -> usize {
        self.0.environment.live_stores.get()
    }

    /// How many bytes of linear memory all live instances have together.
    pub fn live_memory(&self) -> usize {
        self.0.environment.live_memory.get()
    }

    /// How many WebAssembly instructions instances executed, of those that have ended; 0 unless the
    /// application is one of [`Application::load_counting`].
    pub fn instructions(&self) -> u64 {
        self.0.environment.instructions.get()
    }

    /// How many component instances were started so far.
    pub fn started_instances(&self) -> u64 {
        self.0.environment.started_instances()
    }

    /// Ends the instance that reads the store next, and all that it serves, as a panic in it would.
    pub fn trap_next_read(&self) {
        self.0.environment.trap.store(true, Ordering::SeqCst);
    }

    /// What guests have printed, if [`HostBuilder::capture_output`] was asked for.
    pub fn output(&self) -> String {
        self.0.environment.output()
    }

    /// Notes something for the operator.
    pub(crate) fn log(&self, line: &str) {
        self.0.environment.log(line);
    }

    pub(crate) async fn handle<B>(
        &self,
        mut request: Request<B>,
        client: SocketAddr,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxedError>,
    {
        let path = request.uri().path().to_owned();
        let Some(found) = self.0.routes.find(&path) else {
            return plain(StatusCode::NOT_FOUND, "no route for this path\n");
        };
        let Some(component) = self.0.components.get(&found.route.component) else {
            return plain(StatusCode::NOT_FOUND, "no component for this route\n");
        };
        if let Err(reason) = prepare(&mut request, &found, client) {
            return plain(StatusCode::BAD_REQUEST, &format!("{reason:#}\n"));
        }
        let request = request.map(|body| body.map_err(body_error).boxed_unsync());
        match component.handle((), request).await {
            Ok(response) => response,
            Err(error) => {
                // A trap is in the log already, with its backtrace.
                if !error.is::<TrapOrPanicError>() {
                    self.log(&format!(
                        "the component {:?} gave no answer to {path:?}: {error:#}",
                        found.route.component
                    ));
                }
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the component failed; the reason is in the server's log\n",
                )
            }
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}

fn body_error(error: impl Into<BoxedError>) -> Error {
    match error.into().downcast::<hyper::Error>() {
        Ok(error) => Error::from(*error),
        Err(error) => Error::InternalError(Some(error.to_string())),
    }
}

/// Makes a request what Spin hands to a component: an absolute URI, no `connection` header, and
/// Spin's own headers behind those of the client.
fn prepare<B>(request: &mut Request<B>, found: &RouteMatch<'_>, client: SocketAddr) -> Result<()> {
    request.headers_mut().remove(CONNECTION);
    let uri = absolute(request.uri(), request.headers())?;
    let url = uri.to_string();
    *request.uri_mut() = uri;
    let client = client.to_string();
    let spins = [
        ("spin-path-info", found.path_info.as_str()),
        ("spin-full-url", &url),
        ("spin-matched-route", &found.route.pattern),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", &found.route.pattern),
        ("spin-component-route", found.route.without_wildcard()),
        ("spin-client-addr", &client),
    ];
    for (name, value) in spins {
        let value = HeaderValue::from_str(value).with_context(|| format!("in {name}"))?;
        request.headers_mut().append(name, value);
    }
    Ok(())
}

fn absolute(uri: &Uri, headers: &HeaderMap) -> Result<Uri> {
    let mut parts = uri.clone().into_parts();
    let named: Option<Authority> = match headers.get(HOST) {
        Some(host) => Some(
            host.as_bytes()
                .try_into()
                .context("the host header names no host")?,
        ),
        None => None,
    };
    if let (Some(host), Some(authority)) = (&named, &parts.authority) {
        ensure!(
            host == authority,
            "the host header and the request's URI name different hosts"
        );
    }
    parts.authority = named.or(parts.authority);
    ensure!(parts.authority.is_some(), "the request names no host");
    parts.scheme = Some(Scheme::HTTP);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).context("the request's URI is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(request: http::request::Builder, pattern: &str) -> Result<Request<()>> {
        let routes = Routes::new([(pattern, "web")].into_iter()).unwrap();
        let mut request = request.body(()).unwrap();
        let path = request.uri().path().to_owned();
        let found = routes.find(&path).unwrap();
        prepare(&mut request, &found, "10.0.0.1:99".parse().unwrap())?;
        Ok(request)
    }

    #[test]
    fn a_component_gets_an_absolute_uri_and_spins_headers() {
        let request = prepared(
            Request::get("/events/a%20b?x=1")
                .header("host", "example.org:3000")
                .header("connection", "keep-alive"),
            "/events/...",
        )
        .unwrap();
        assert_eq!(request.uri(), "http://example.org:3000/events/a%20b?x=1");
        let header = |name| request.headers()[name].to_str().unwrap();
        assert_eq!(header("spin-path-info"), "/a%20b");
        assert_eq!(
            header("spin-full-url"),
            "http://example.org:3000/events/a%20b?x=1"
        );
        assert_eq!(header("spin-matched-route"), "/events/...");
        assert_eq!(header("spin-component-route"), "/events");
        assert_eq!(header("spin-client-addr"), "10.0.0.1:99");
        assert!(!request.headers().contains_key("connection"));
    }

    #[test]
    fn a_clients_own_spin_header_comes_first() {
        let request = prepared(
            Request::get("http://h/events/a").header("spin-path-info", "/forged"),
            "/events/...",
        )
        .unwrap();
        let values: Vec<_> = request.headers().get_all("spin-path-info").iter().collect();
        assert_eq!(values, ["/forged", "/a"]);
        // As in Spin's `prepare_request_headers`: its own are appended, so the last one is true.
        let request = Request::get("http://h/events/a")
            .header("spin-client-addr", "192.0.2.1:1")
            .header("spin-client-addr", "192.0.2.2:2");
        let request = prepared(request, "/events/...").unwrap();
        let mut values = request.headers().get_all("spin-client-addr").iter();
        assert_eq!(values.next_back().unwrap(), "10.0.0.1:99");
    }

    #[test]
    fn a_request_must_name_one_host() {
        assert!(prepared(Request::get("/"), "/...").is_err());
        assert!(prepared(Request::get("http://a/").header("host", "b"), "/...").is_err());
        assert!(prepared(Request::get("/").header("host", "a b"), "/...").is_err());
        assert!(prepared(Request::get("http://a/").header("host", "a"), "/...").is_ok());
    }
}
