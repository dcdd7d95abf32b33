//! Sequences of commits to one log.

mod model;

use std::time::Duration;

use model::Model;

use runnel::core::log::{Batch, IdempotencyKey, NewEvent, Retention};

/// Bytes of data of an event: sizes around that of a segment, and some that fit no segment with others.
const DATA_BYTES: [usize; 8] = [0, 1, 40, 900, 5_000, 8_190, 16_370, 40_000];

/// The retentions to choose from.
const RETENTIONS: [Retention; 4] = [
    Retention {
        events: u64::MAX,
        bytes: u64::MAX,
        max_age: None,
    },
    Retention {
        events: 5,
        bytes: u64::MAX,
        max_age: None,
    },
    Retention {
        events: u64::MAX,
        bytes: 30_000,
        max_age: None,
    },
    Retention {
        events: 1_000,
        bytes: 100_000,
        max_age: Some(Duration::from_secs(60)),
    },
];

/// The milliseconds by which the clock can advance, or go back.
const CLOCK_ADVANCES_MS: [i64; 8] = [0, 1, 900, 31_000, 61_000, 3_600_000, 86_400_000, -5_000];

/// The bytes that are appended at most, so that an input takes little time.
const MAX_BYTES: usize = 200_000;

/// Property: after any sequence of appends, closes, purges and plans that lose the race, the log holds
/// the acknowledged events, in order and without holes, until retention drops them. A repeated batch
/// gets the result of the first. The store has every segment that the head refers to, and no orphan.
///
/// The input is a sequence of commands: a byte each, followed by its arguments.
///
/// # Panics
/// If the property is violated.
pub fn append(input: &[u8]) {
    let mut model = Model::default();
    let mut commands = Commands {
        rest: input,
        remaining_bytes: MAX_BYTES,
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
                model.lose_race(&batch, &retention);
            }
            5 => model.advance_clock(CLOCK_ADVANCES_MS[usize::from(command / 8 % 8)]),
            6 => retention = RETENTIONS[usize::from(command / 8 % 4)],
            _ => model.purge(),
        }
    }
    model.check();
}

/// The commands that remain in the input.
struct Commands<'a> {
    rest: &'a [u8],
    /// The bytes that may still be appended.
    remaining_bytes: usize,
}

impl Commands<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Reads a batch from three bytes: the number and size of its events, if it closes the log
    /// (seldom), and its idempotency key.
    fn batch(&mut self) -> Batch {
        let mut byte = || self.next().unwrap_or_default();
        let (shape, end, key) = (byte(), byte(), byte());
        let close = end > 250;
        let min_events = u8::from(!close);
        let bytes = DATA_BYTES[usize::from(shape % 8)];
        let event = |_| {
            let data_bytes = bytes.min(self.remaining_bytes);
            self.remaining_bytes -= data_bytes;
            NewEvent {
                event_type: (end % 2 == 1).then(|| format!("type-{end}")),
                data: char::from(b'a' + key % 26).to_string().repeat(data_bytes),
                trace: None,
            }
        };
        let events = (0..(shape / 8 % 8).max(min_events)).map(event).collect();
        let idempotency_key = (key >= 128).then_some(IdempotencyKey {
            key: [key % 8; 16],
            content: [key / 8 % 4; 16],
        });
        Batch {
            events,
            close,
            idempotency_key,
        }
    }
}
