//! The response of an event stream, tracked byte by byte.

use super::{CutPoint, Gate};

#[derive(Default)]
pub(super) struct ResponseTracker {
    head: Vec<u8>,
    body: Body,
}

#[derive(Default)]
struct Body {
    bytes: usize,
    last: u8,
    in_event: bool,
}

impl ResponseTracker {
    /// Returns the number of `bytes` to forward, and `true` if the stream is cut after them. A cut
    /// closes the gate.
    pub(super) fn forward(
        &mut self,
        bytes: &[u8],
        gate: &mut Gate,
        cut_point: CutPoint,
    ) -> (usize, bool) {
        for (forwarded, byte) in bytes.iter().enumerate() {
            if self.is_cut_by(gate, cut_point) {
                return (forwarded, true);
            }
            if self.has_head() {
                self.body.push(*byte);
                if let Gate::ClosesAfter(left) = gate {
                    *left = left.saturating_sub(1);
                }
            } else {
                self.head.push(*byte);
            }
        }
        (bytes.len(), self.is_cut_by(gate, cut_point))
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.body.bytes
    }

    pub(super) fn is_between_events(&self) -> bool {
        !self.body.in_event
    }

    fn has_head(&self) -> bool {
        self.head.ends_with(b"\r\n\r\n")
    }

    fn is_cut_by(&self, gate: &mut Gate, cut_point: CutPoint) -> bool {
        let is_cut_point = cut_point == CutPoint::Anywhere || self.is_between_events();
        if *gate == Gate::ClosesAfter(0) && self.has_head() && is_cut_point {
            *gate = Gate::Closed;
        }
        *gate == Gate::Closed
    }
}

impl Body {
    /// An empty line ends an event. The size of the next chunk may follow it.
    fn push(&mut self, byte: u8) {
        self.bytes += 1;
        if self.last == b'\n' && byte == b'\n' {
            self.in_event = false;
        } else if !byte.is_ascii_hexdigit() && byte != b'\r' && byte != b'\n' {
            self.in_event = true;
        }
        self.last = byte;
    }
}
