//! W3C Trace Context: the trace that a request belongs to.

use std::fmt;

/// The trace context of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace ID; never 0.
    id: u128,
    /// The ID of this server's span; never 0.
    span: u64,
    /// The flag `sampled`: the caller may have recorded trace data.
    sampled: bool,
}

impl Trace {
    /// Continues the trace of a `traceparent` header (W3C Trace Context, 3.2), or starts a new trace
    /// if there is no valid one. `random` and `span` are random numbers, drawn for each request.
    #[must_use]
    pub fn continue_or_start(traceparent: Option<&[u8]>, random: (u64, u64), span: u64) -> Self {
        let (id, sampled) = traceparent.and_then(parse).unwrap_or_else(|| {
            let id = (u128::from(random.0) << 64) | u128::from(random.1);
            (id.max(1), false)
        });
        let span = span.max(1);
        Self { id, span, sampled }
    }

    /// Returns the trace ID in 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:032x}", self.id)
    }

    /// Returns the ID of this server's span in 16 hexadecimal digits.
    #[must_use]
    pub fn span(&self) -> String {
        format!("{:016x}", self.span)
    }
}

/// Formats the value of a `traceparent` or `traceresponse` header.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.id, self.span)
    }
}

/// Parses the trace ID and the flag `sampled` of a `traceparent`. Versions after 00 can append fields.
fn parse(header: &[u8]) -> Option<(u128, bool)> {
    let header = str::from_utf8(header).ok()?;
    let mut fields = header.split('-');
    let version = hex(fields.next()?, 2)?;
    let (id, parent) = (hex(fields.next()?, 32)?, hex(fields.next()?, 16)?);
    let flags = hex(fields.next()?, 2)?;
    let is_version_00 = version == 0 && fields.next().is_none();
    let is_later_version = version > 0 && version < 0xff;
    let is_valid = (is_version_00 || is_later_version) && id != 0 && parent != 0;
    is_valid.then_some((id, flags & 1 == 1))
}

/// Parses exactly `digits` hexadecimal digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let are_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(are_hex))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn continued(header: &str) -> String {
        Trace::continue_or_start(Some(header.as_bytes()), (1, 2), 3).to_string()
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_its_own() {
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000003-01";
        assert_eq!(continued(HEADER), expected);
        let later = HEADER.replacen("00", "cc", 1) + "-what-will-be";
        assert_eq!(continued(&later), expected);
        let not_sampled = HEADER.replace("-01", "-fe");
        assert_eq!(continued(&not_sampled), expected.replace("-01", "-00"));
    }

    #[test]
    fn an_invalid_traceparent_starts_a_new_trace() {
        let new = "00-00000000000000010000000000000002-0000000000000003-00";
        assert_eq!(Trace::continue_or_start(None, (1, 2), 3).to_string(), new);
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(continued(header), new, "{header:?}");
        }
    }

    #[test]
    fn ids_are_never_0() {
        let trace = Trace::continue_or_start(None, (0, 0), 0);
        assert_eq!(trace.id(), format!("{:032x}", 1));
        assert_eq!(trace.span(), format!("{:016x}", 1));
    }

    proptest! {
        /// Property: any header results in a valid trace.
        #[test]
        fn any_header_results_in_a_valid_trace(
            header in prop::collection::vec(any::<u8>(), 0..80),
            random in any::<(u64, u64)>(),
            span in any::<u64>(),
        ) {
            let trace = Trace::continue_or_start(Some(&header), random, span);
            prop_assert_eq!(parse(trace.to_string().as_bytes()), Some((trace.id, trace.sampled)));
        }
    }
}
