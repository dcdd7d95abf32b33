//! HTTP in and out.

mod accept;
mod auth;
mod body;
mod channels;
mod console;
mod cors;
mod credentials;
pub mod format;
mod health;
mod life;
mod limits;
mod link;
mod long_poll;
mod metrics;
pub mod path;
mod percent;
pub mod problem;
mod publish;
pub mod query;
mod reader;
mod subscribe;
mod trace;

pub use body::{Body, Request, Response};

use http::header::ORIGIN;
use http::{Method, StatusCode};
use path::Route;
use problem::Problem;

use crate::core::channel::Channel;
use crate::core::metrics::{Counter, Label as _};
use crate::core::trace::Trace;
use crate::platform::config;
use crate::platform::log::{self, Level, Line};
use crate::platform::metrics::{self as metrics_of_instance, Activity};

/// Answers a request. Which Spin component asks does not matter here: spin.toml gives each only
/// its own routes.
pub async fn respond(mut request: Request) -> Response {
    credentials::remove_from_query(&mut request);
    let trace = trace::begin(&mut request);
    let mut response = match path::supports_cors(request.uri().path()) {
        true => across_origins(request, trace).await,
        false => of_console(request)
            .await
            .unwrap_or_else(Problem::into_response),
    };
    body::state_length(&mut response);
    trace::add_to(trace, &mut response);
    response
}

/// Answers a request that is not counted.
async fn of_console(request: Request) -> Result<Response, Problem> {
    log::configure().await.map_err(Problem::config)?;
    answer(request).await
}

async fn answer(request: Request) -> Result<Response, Problem> {
    let route = Route::parse(request.uri().path())?;
    dispatch(route, request).await
}

/// Answers a request that a page of another origin may make, and that is counted.
async fn across_origins(request: Request, trace: Trace) -> Response {
    let _activity = Activity::begin();
    let configured = async {
        log::configure().await?;
        config::metrics_interval().await?;
        config::origins().await
    };
    let origins = match configured.await {
        Ok(origins) => origins,
        Err(error) => return rejected(Problem::config(error), request.uri().path(), trace),
    };
    let origin = request.headers().get(ORIGIN).cloned();
    let path = request.uri().path().to_owned();
    let is_preflight = cors::is_preflight(&request);
    let answer = answer(request).await;
    let mut response = answer.unwrap_or_else(|problem| rejected(problem, &path, trace));
    cors::allow_origin(&origins, origin, is_preflight, &mut response);
    response
}

/// Tells of a request that is not served.
fn rejected(problem: Problem, path: &str, trace: Trace) -> Response {
    let (reason, status) = (problem.kind(), problem.status());
    metrics_of_instance::count(Counter::Rejected(reason), 1);
    let overload = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let route = Route::parse(path).ok();
    let channel = route.as_ref().and_then(Route::channel);
    let line = Line {
        event: "rejected",
        channel: channel.map(Channel::as_str),
        trace_id: Some(trace.id()),
        reason: Some(reason.value()),
        status: Some(status.as_u16()),
        ..Line::default()
    };
    log::write(if overload { Level::Warn } else { Level::Info }, &line);
    problem.into_response()
}

async fn dispatch(route: Route, request: Request) -> Result<Response, Problem> {
    let allowed = route.methods();
    if request.method() == Method::OPTIONS {
        return Ok(body::options(&allowed));
    }
    if !allowed.contains(request.method()) {
        return Err(Problem::method_not_allowed(&allowed));
    }
    match route {
        Route::Events(channel) => subscribe::subscribe(channel, &request).await,
        Route::Publish(channel) => publish::publish(&channel, request).await,
        Route::Close { closes, .. } if request.method() == Method::POST => {
            channels::close(&closes, &request).await
        }
        Route::Close { named: None, .. } => Err(Problem::method_not_allowed(&allowed)),
        Route::Channel(channel)
        | Route::Close {
            named: Some(channel),
            ..
        } => match *request.method() {
            Method::DELETE => channels::purge(&channel, &request).await,
            _ => channels::state(&channel, &request).await,
        },
        Route::Health => health::ready().await,
        Route::Live => Ok(health::live()),
        Route::Metrics => metrics::scrape(&request).await,
        Route::OpenApi => Ok(console::openapi()),
        Route::Console => Ok(console::page()),
    }
}
