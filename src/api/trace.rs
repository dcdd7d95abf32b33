//! The trace of a request, taken up and given back.

use http::{HeaderName, HeaderValue};

use super::body::Response;
use crate::core::trace::Trace;
use crate::platform::random;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a server says of the trace it took part in (W3C Trace Context, level 2).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Takes up the trace that the request says it belongs to, or begins one. [`of`] knows it from now on.
pub(super) fn take_up<B>(request: &mut http::Request<B>) -> Trace {
    let headers = request.headers().get_all(TRACEPARENT).iter();
    let mut headers = headers.map(HeaderValue::as_bytes);
    // Of several none is to be believed.
    let given = headers.next().filter(|_| headers.next().is_none());
    let trace = Trace::of(given, (random::u64(), random::u64()), random::u64());
    request.extensions_mut().insert(trace);
    trace
}

/// The trace of a request.
pub(super) fn of(extensions: &http::Extensions) -> Trace {
    let trace = extensions.get().copied();
    trace.unwrap_or_else(|| Trace::of(None, (0, 0), 0))
}

/// Tells the client.
pub(super) fn give_back(trace: Trace, response: &mut Response) {
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(TRACERESPONSE, value);
    }
}
