//! HTTP in and out.

mod accept;
mod attempt;
mod auth;
mod body;
mod channels;
mod coding;
mod console;
mod cors;
mod credentials;
pub mod format;
mod health;
mod limits;
mod link;
mod long_poll;
mod metrics;
mod percent;
pub mod problem;
mod publish;
pub mod query;
pub mod route;
mod stream_span;
mod subscribe;
mod trace;

pub use crate::platform::Instance;
pub use body::{Body, Request, Response};

use cors::CrossOrigin;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, StatusCode};
use problem::Problem;
use route::Route;

use crate::config::BasePath;
use crate::core::channel::Channel;
use crate::core::logging::{Level, Line};
use crate::core::metrics::Counter;
use crate::core::trace::Trace;

/// Answers a request. Every Spin component runs this code, but spin.toml gives each only its own routes.
pub async fn respond(instance: &Instance, mut request: Request) -> Response {
    credentials::remove_from_query(&mut request);
    let trace = trace::begin(&instance.env, &mut request);
    let mut response = match instance.config.base_path().await {
        Ok(base) if route::supports_cors(&base, request.uri().path()) => {
            respond_with_cors(instance, &base, request, trace).await
        }
        Ok(base) => respond_uncounted(instance, &base, request)
            .await
            .unwrap_or_else(Problem::into_response),
        Err(error) => Problem::config(error).into_response(),
    };
    // Caches may otherwise keep many responses, among them 204, 404 and 405 (RFC 9111, 4.2.2).
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(no_store);
    body::set_content_length(&mut response);
    trace::add_to(trace, &mut response);
    response
}

/// Answers a request of an operator or of the console, which is not counted.
async fn respond_uncounted(
    instance: &Instance,
    base: &BasePath,
    request: Request,
) -> Result<Response, Problem> {
    instance.configure_log().await.map_err(Problem::config)?;
    let route = Route::parse(base, request.uri().path())?;
    dispatch(instance, base, route, request).await
}

/// Answers a request that pages of other origins may make, and counts it.
async fn respond_with_cors(
    instance: &Instance,
    base: &BasePath,
    request: Request,
    trace: Trace,
) -> Response {
    let log = instance.configure_log().await;
    let metrics = instance.configure_metrics().await;
    let _activity = instance.metrics_writer.begin_activity();
    let route = Route::parse(base, request.uri().path());
    let channel = route.as_ref().ok().and_then(Route::channel).cloned();
    let channel = channel.as_ref();
    let origins = match log.and(metrics) {
        Ok(()) => instance.config.origins().await,
        Err(error) => Err(error),
    };
    let origins = match origins {
        Ok(origins) => origins,
        Err(error) => return reject(instance, Problem::config(error), channel, trace),
    };
    let cross_origin = CrossOrigin::of(&request);
    let answer = match route {
        Ok(route) => dispatch(instance, base, route, request).await,
        Err(problem) => Err(problem),
    };
    let mut response = answer.unwrap_or_else(|problem| reject(instance, problem, channel, trace));
    cross_origin.allow(&origins, &mut response);
    response
}

/// Counts and logs a request that is rejected, and answers it.
fn reject(
    instance: &Instance,
    problem: Problem,
    channel: Option<&Channel>,
    trace: Trace,
) -> Response {
    let (kind, status) = (problem.kind(), problem.status());
    instance.metrics.add(Counter::Rejected(kind), 1);
    let line = Line {
        event: "rejected",
        channel: channel.map(Channel::as_str),
        trace_id: Some(trace.id()),
        reason: Some(kind.name()),
        status: Some(status.as_u16()),
        ..Line::default()
    };
    let is_overload = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let level = if is_overload {
        Level::Warn
    } else {
        Level::Info
    };
    instance.logger.write(level, &line);
    problem.into_response()
}

async fn dispatch(
    instance: &Instance,
    base: &BasePath,
    route: Route,
    request: Request,
) -> Result<Response, Problem> {
    let allowed = route.methods();
    if request.method() == Method::OPTIONS {
        return Ok(body::options(&allowed));
    }
    if !allowed.contains(request.method()) {
        return Err(Problem::method_not_allowed(&allowed));
    }
    match route {
        Route::Events(channel) => subscribe::subscribe(instance, base, channel, &request).await,
        Route::Publish(channel) => publish::publish(instance, base, &channel, request).await,
        Route::Close { closes, .. } if request.method() == Method::POST => {
            channels::close(instance, &closes, &request).await
        }
        Route::Close { named: None, .. } => Err(Problem::method_not_allowed(&allowed)),
        Route::Channel(channel)
        | Route::Close {
            named: Some(channel),
            ..
        } => match *request.method() {
            Method::DELETE => channels::purge(instance, &channel, &request).await,
            _ => channels::state(instance, &channel, &request).await,
        },
        Route::Health => health::ready(instance).await,
        Route::Live => Ok(health::live()),
        Route::Metrics => metrics::scrape(instance, &request).await,
        Route::OpenApi => Ok(console::openapi(base)),
        Route::Console => Ok(console::page(base, &instance.env)),
        Route::Base => Ok(console::redirect(base, request.uri())),
    }
}

#[cfg(test)]
mod sample {
    use http::HeaderValue;
    use proptest::prelude::*;

    /// Any bytes that a header can have, not only UTF-8.
    pub(super) fn any_header_value() -> impl Strategy<Value = HeaderValue> {
        let byte = prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8];
        let bytes = prop::collection::vec(byte, 0..20);
        bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
    }
}
