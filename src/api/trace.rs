//! The trace context in requests and responses.

use http::{HeaderName, HeaderValue};

use super::body::Response;
use crate::core::environment::Environment;
use crate::core::trace::Trace;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The response header for the trace context (W3C Trace Context, level 2).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Continues the trace of the request, or starts one, and stores it in the request for [`of`].
pub(super) fn begin<B>(env: &impl Environment, request: &mut http::Request<B>) -> Trace {
    let headers = request.headers().get_all(TRACEPARENT).iter();
    let mut headers = headers.map(HeaderValue::as_bytes);
    // Of several headers none can be trusted.
    let traceparent = headers.next().filter(|_| headers.next().is_none());
    let trace = Trace::continue_or_start(traceparent, (env.random(), env.random()), env.random());
    request.extensions_mut().insert(trace);
    trace
}

/// Returns the trace of the request with these extensions.
pub(super) fn of(extensions: &http::Extensions) -> Trace {
    let trace = extensions.get().copied();
    trace.unwrap_or_else(|| Trace::continue_or_start(None, (0, 0), 0))
}

/// Adds the trace to the response.
pub(super) fn add_to(trace: Trace, response: &mut Response) {
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(TRACERESPONSE, value);
    }
}
