//! An HTTP response on its way to the client, byte by byte.

use super::{Cutting, Gate};

#[derive(Default)]
pub(super) struct Wire {
    head: Vec<u8>,
    body: Body,
}

#[derive(Default)]
struct Body {
    bytes: usize,
    last: u8,
    in_event: bool,
}

impl Wire {
    /// How many of these bytes may pass, and whether the stream is cut after them. The gate is down
    /// then.
    pub(super) fn admit(
        &mut self,
        bytes: &[u8],
        gate: &mut Gate,
        cutting: Cutting,
    ) -> (usize, bool) {
        for (passing, byte) in bytes.iter().enumerate() {
            if self.is_cut_by(gate, cutting) {
                return (passing, true);
            }
            if self.head.ends_with(b"\r\n\r\n") {
                self.body.take(*byte);
                if let Gate::Fuse(left) = gate {
                    *left = left.saturating_sub(1);
                }
            } else {
                self.head.push(*byte);
            }
        }
        (bytes.len(), self.is_cut_by(gate, cutting))
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.body.bytes
    }

    pub(super) fn is_between_events(&self) -> bool {
        !self.body.in_event
    }

    fn is_cut_by(&self, gate: &mut Gate, cutting: Cutting) -> bool {
        let begun = self.head.ends_with(b"\r\n\r\n");
        let allowed = cutting == Cutting::Anywhere || self.is_between_events();
        if *gate == Gate::Fuse(0) && begun && allowed {
            *gate = Gate::Down;
        }
        *gate == Gate::Down
    }
}

impl Body {
    /// An empty line ends an event. What follows may be the size of the next chunk.
    fn take(&mut self, byte: u8) {
        self.bytes += 1;
        if self.last == b'\n' && byte == b'\n' {
            self.in_event = false;
        } else if !byte.is_ascii_hexdigit() && byte != b'\r' && byte != b'\n' {
            self.in_event = true;
        }
        self.last = byte;
    }
}
