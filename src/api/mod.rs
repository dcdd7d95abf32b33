//! HTTP in and out.

mod accept;
mod auth;
mod body;
mod channels;
mod console;
mod cors;
mod credentials;
pub mod format;
mod limits;
mod link;
mod long_poll;
pub mod path;
pub mod problem;
mod publish;
pub mod query;
mod reader;
mod subscribe;

pub use body::{Body, Request, Response};

use http::Method;
use http::header::ORIGIN;
use path::Route;
use problem::Problem;

use crate::platform::config;

/// Answers a request. Which Spin component asks does not matter here: spin.toml gives each only
/// its own routes.
pub async fn respond(mut request: Request) -> Response {
    credentials::take_from_query(&mut request);
    let mut response = match path::is_shared(request.uri().path()) {
        true => across_origins(request).await,
        false => answer(request).await,
    };
    body::state_length(&mut response);
    response
}

async fn answer(request: Request) -> Response {
    let answer = match Route::of(request.uri().path()) {
        Ok(route) => dispatch(route, request).await,
        Err(problem) => Err(problem),
    };
    answer.unwrap_or_else(Problem::into_response)
}

/// Answers a request that a page of another origin may make.
async fn across_origins(request: Request) -> Response {
    let origins = match config::origins().await {
        Ok(origins) => origins,
        Err(error) => return Problem::config(error).into_response(),
    };
    let origin = request.headers().get(ORIGIN).cloned();
    let is_preflight = cors::is_preflight(&request);
    let mut response = answer(request).await;
    cors::allow_origin(&origins, origin, is_preflight, &mut response);
    response
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
        Route::Health => console::health().await,
        Route::Description => Ok(console::description()),
        Route::Console => Ok(console::page()),
    }
}
