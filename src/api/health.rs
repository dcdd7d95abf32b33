//! Whether this server works.

use std::pin::pin;

use futures::future::{Either, select};
use http::StatusCode;
use serde::Serialize;

use super::body::{self, Response};
use super::problem::Problem;
use crate::platform::{clock, log, store};

/// How long the store may take to answer, in milliseconds.
const PATIENCE_MILLIS: u64 = 2_000;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

/// `GET /health/live`: whether instances start and answer.
pub(super) fn live() -> Response {
    let health = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    };
    body::json(StatusCode::OK, &health)
}

/// `GET /health`: whether the store answers as well, in time.
pub(super) async fn ready() -> Result<Response, Problem> {
    let read = pin!(store::get("health"));
    let timeout = pin!(clock::sleep_millis(PATIENCE_MILLIS));
    let error = match select(read, timeout).await {
        Either::Left((Ok(_), _)) => return Ok(live()),
        Either::Left((Err(error), _)) => error,
        Either::Right(_) => format!("no answer within {PATIENCE_MILLIS} ms"),
    };
    log::error("health_failed", None, error);
    Err(Problem::store())
}
