//! HTTP in and out.

mod accept;
mod auth;
mod body;
mod channels;
mod console;
mod format;
mod link;
mod long_poll;
mod path;
mod problem;
mod publish;
mod query;
mod reader;
mod subscribe;

pub use body::{Body, Request, Response};

use http::Method;
use path::Route;
use problem::Problem;

/// Answers a request. Which Spin component asks does not matter here: spin.toml gives each only
/// its own routes.
pub async fn respond(request: Request) -> Response {
    let answer = match Route::of(request.uri().path()) {
        Ok(route) => dispatch(route, request).await,
        Err(problem) => Err(problem),
    };
    let mut response = answer.unwrap_or_else(Problem::into_response);
    body::state_length(&mut response);
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
        Route::Channel(channel) | Route::Close { named: channel, .. } => match *request.method() {
            Method::DELETE => channels::purge(&channel, &request).await,
            _ => channels::state(&channel, &request).await,
        },
        Route::Health => console::health().await,
        Route::Description => Ok(console::description()),
        Route::Console => Ok(console::page()),
    }
}
