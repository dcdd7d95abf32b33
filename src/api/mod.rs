//! HTTP in and out.

mod accept;
mod auth;
mod body;
mod channels;
mod console;
mod cors;
pub mod format;
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
use path::Route;
use problem::Problem;

use crate::platform::config;

/// Answers a request. Which Spin component asks does not matter here: spin.toml gives each only
/// its own routes.
pub async fn respond(request: Request) -> Response {
    let mut response = match Route::of(request.uri().path()) {
        Ok(route) if route.is_shared() => across_origins(route, request).await,
        Ok(route) => dispatch(route, request).await,
        Err(problem) => Err(problem),
    }
    .unwrap_or_else(Problem::into_response);
    body::state_length(&mut response);
    response
}

/// Answers a request that a page of another origin may make.
async fn across_origins(route: Route, request: Request) -> Result<Response, Problem> {
    let origins = config::origins().await.map_err(Problem::config)?;
    let methods = route.methods();
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let answer = dispatch(route, request).await;
    let mut response = answer.unwrap_or_else(Problem::into_response);
    cors::allow_origin(&origins, &method, &headers, &methods, &mut response);
    Ok(response)
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
        Route::Channel(channel) | Route::Close { named: channel, .. } => match *request.method() {
            Method::DELETE => channels::purge(&channel, &request).await,
            _ => channels::state(&channel, &request).await,
        },
        Route::Health => console::health().await,
        Route::Description => Ok(console::description()),
        Route::Console => Ok(console::page()),
    }
}
