//! Sequences of commits to one log.

mod model;

use model::Model;

use runnel::core::log::{Batch, IdempotencyKey, NewEvent, Retention};

/// Bytes of data that an event may have: around what makes a segment, and what fits no other.
const DATA_BYTES: [usize; 8] = [0, 1, 40, 900, 5_000, 8_190, 16_370, 40_000];

/// What retention may keep.
const RETENTIONS: [Retention; 4] = [
    Retention {
        events: u64::MAX,
        bytes: u64::MAX,
        seconds: 0,
    },
    Retention {
        events: 5,
        bytes: u64::MAX,
        seconds: 0,
    },
    Retention {
        events: u64::MAX,
        bytes: 30_000,
        seconds: 0,
    },
    Retention {
        events: 1_000,
        bytes: 100_000,
        seconds: 60,
    },
];

/// How far the clock goes in one step, in milliseconds; it may go back.
const STEPS: [i64; 8] = [0, 1, 900, 31_000, 61_000, 3_600_000, 86_400_000, -5_000];

/// So many bytes are appended at most, so that an input takes little time.
const MOST_BYTES: usize = 200_000;

/// Law: whatever is appended, closed, purged or overtaken, and whenever: the log holds what was
/// acknowledged, in order and without holes, until retention drops it; a repeat is answered as the
/// first was; the store has what the head refers to and nothing that is forgotten.
///
/// The input is a sequence of commands, a byte each with its arguments after it.
///
/// # Panics
/// When the law is broken.
pub fn append(input: &[u8]) {
    let mut model = Model::default();
    let mut commands = Commands {
        rest: input,
        left: MOST_BYTES,
    };
    let mut retention = RETENTIONS[0];
    while let Some(command) = commands.next() {
        match command % 8 {
            0..=3 => {
                let group: Vec<_> = (0..=command / 8 % 4).map(|_| commands.batch()).collect();
                model.append(&group, &retention);
            }
            4 => {
                let batch = commands.batch();
                model.overtaken(&batch, &retention);
            }
            5 => model.pass(STEPS[usize::from(command / 8 % 8)]),
            6 => retention = RETENTIONS[usize::from(command / 8 % 4)],
            _ => model.purge(),
        }
    }
    model.check();
}

/// What is left of the input, and of the bytes to append.
struct Commands<'a> {
    rest: &'a [u8],
    left: usize,
}

impl Commands<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A batch of three bytes: how many events of which size, whether it closes the log (seldom),
    /// and how it is recognised when it is repeated.
    fn batch(&mut self) -> Batch {
        let mut byte = || self.next().unwrap_or_default();
        let (shape, end, repeat) = (byte(), byte(), byte());
        let close = end > 250;
        let least = u8::from(!close);
        let bytes = DATA_BYTES[usize::from(shape % 8)];
        let event = |_| {
            let data_bytes = bytes.min(self.left);
            self.left -= data_bytes;
            NewEvent {
                event_type: (end % 2 == 1).then(|| format!("type-{end}")),
                data: char::from(b'a' + repeat % 26)
                    .to_string()
                    .repeat(data_bytes),
                trace: None,
            }
        };
        let events = (0..(shape / 8 % 8).max(least)).map(event).collect();
        let repeat = (repeat >= 128).then_some(IdempotencyKey {
            key: [repeat % 8; 16],
            content: [repeat / 8 % 4; 16],
        });
        Batch {
            events,
            close,
            repeat,
        }
    }
}
