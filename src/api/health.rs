//! The health of this server.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use http::StatusCode;
use serde::Serialize;

use super::Instance;
use super::body::{self, Response};
use super::problem::Problem;
use crate::core::environment::Environment as _;

/// The time within which the store must answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

/// `GET /health/live`: succeeds if an instance starts.
pub(super) fn live() -> Response {
    let health = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    };
    body::json(StatusCode::OK, &health)
}

/// `GET /health`: succeeds if the store also answers within [`STORE_TIMEOUT`].
pub(super) async fn ready(instance: &Instance) -> Result<Response, Problem> {
    let read = pin!(instance.store.get("health"));
    let timeout = pin!(instance.env.sleep(STORE_TIMEOUT));
    let error = match select(read, timeout).await {
        Either::Left((Ok(_), _)) => return Ok(live()),
        Either::Left((Err(error), _)) => error.to_string(),
        Either::Right(_) => format!("no answer within {} ms", STORE_TIMEOUT.as_millis()),
    };
    instance.logger.error("health_failed", None, error);
    Err(Problem::store())
}
