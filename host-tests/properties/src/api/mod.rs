//! The parsers of the HTTP interface.

mod batch;
mod request;

pub use batch::ndjson;
pub use request::request;

use runnel::api::Body;
use runnel::api::problem::Problem;

/// Property: a problem is a client error with the members of RFC 9457.
fn check_problem(problem: Problem) {
    let response = problem.into_response();
    let status = response.status();
    assert!(status.is_client_error(), "{status}");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let Body::Full(body) = response.into_body() else {
        panic!("a problem is not streamed");
    };
    let details: serde_json::Value = serde_json::from_slice(&body).expect("a problem is JSON");
    assert_eq!(details["status"], status.as_u16());
    let has_text = |member: &str| {
        details[member]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    assert!(
        has_text("type") && has_text("title") && has_text("detail"),
        "{details}"
    );
}
