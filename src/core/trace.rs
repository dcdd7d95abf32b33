//! Trace context, as the W3C has it: which trace a request belongs to.

use std::fmt;

/// Where a request stands in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace; not 0.
    id: u128,
    /// What this server does in it; not 0.
    span: u64,
    /// Whether the caller may have recorded its part.
    sampled: bool,
}

impl Trace {
    /// Goes on with the trace of a `traceparent` header (W3C Trace Context, 3.2), or begins one if
    /// there is none that can be read. The random numbers are drawn anew for each request.
    #[must_use]
    pub fn of(traceparent: Option<&[u8]>, random: (u64, u64), span: u64) -> Self {
        let (id, sampled) = traceparent.and_then(parse).unwrap_or_else(|| {
            let id = (u128::from(random.0) << 64) | u128::from(random.1);
            (id.max(1), false)
        });
        let span = span.max(1);
        Self { id, span, sampled }
    }

    /// The id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:032x}", self.id)
    }

    /// The id of what this server does in it: 16 hexadecimal digits.
    #[must_use]
    pub fn span(&self) -> String {
        format!("{:016x}", self.span)
    }
}

/// The value of a `traceparent` or `traceresponse` header.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.id, self.span)
    }
}

/// The trace of a `traceparent`, and whether it is sampled. Later versions may have more at the end.
fn parse(header: &[u8]) -> Option<(u128, bool)> {
    let header = str::from_utf8(header).ok()?;
    let mut fields = header.split('-');
    let version = hex(fields.next()?, 2)?;
    let (id, parent) = (hex(fields.next()?, 32)?, hex(fields.next()?, 16)?);
    let flags = hex(fields.next()?, 2)?;
    let is_known = version == 0 && fields.next().is_none();
    let is_later = version > 0 && version < 0xff;
    let is_good = (is_known || is_later) && id != 0 && parent != 0;
    is_good.then_some((id, flags & 1 == 1))
}

/// So many hexadecimal digits, in lower case.
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

    fn of(header: &str) -> String {
        Trace::of(Some(header.as_bytes()), (1, 2), 3).to_string()
    }

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000003-01";
        assert_eq!(of(HEADER), expected);
        let later = HEADER.replacen("00", "cc", 1) + "-what-will-be";
        assert_eq!(of(&later), expected);
        let not_sampled = HEADER.replace("-01", "-fe");
        assert_eq!(of(&not_sampled), expected.replace("-01", "-00"));
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        let new = "00-00000000000000010000000000000002-0000000000000003-00";
        assert_eq!(Trace::of(None, (1, 2), 3).to_string(), new);
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
            assert_eq!(of(header), new, "{header:?}");
        }
    }

    #[test]
    fn ids_are_never_0() {
        let trace = Trace::of(None, (0, 0), 0);
        assert_eq!(trace.id(), format!("{:032x}", 1));
        assert_eq!(trace.span(), format!("{:016x}", 1));
    }

    proptest! {
        /// Law: what is given back can be read, whatever was given.
        #[test]
        fn any_header_makes_a_good_trace(
            header in prop::collection::vec(any::<u8>(), 0..80),
            random in any::<(u64, u64)>(),
            span in any::<u64>(),
        ) {
            let trace = Trace::of(Some(&header), random, span);
            prop_assert_eq!(parse(trace.to_string().as_bytes()), Some((trace.id, trace.sampled)));
        }
    }
}
