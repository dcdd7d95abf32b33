//! Mutations of inputs.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Bytes with a meaning in encodings of integers, in lines, in JSON and in paths.
const SPECIAL_BYTES: &[u8] = b"\0\x01\x7f\x80\xff\r\n :\"\\{},~-/%?&=0";

/// Random mutations that depend only on the seed.
pub(crate) struct Mutations<'a> {
    random: SmallRng,
    others: &'a [&'a [u8]],
}

impl<'a> Mutations<'a> {
    /// Returns mutations that may copy parts of `others`, which must not be empty.
    pub(crate) fn new(seed: u64, others: &'a [&'a [u8]]) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        Self { random, others }
    }

    /// Returns a copy of `input` with one to four changes.
    pub(crate) fn of(&mut self, input: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..self.random.random_range(1..=4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.random_range(0..=bytes.len());
        let end = at + self.random.random_range(0..=(bytes.len() - at).min(16));
        let special = SPECIAL_BYTES[self.random.random_range(0..SPECIAL_BYTES.len())];
        match self.random.random_range(0..7) {
            0 => bytes.insert(at, special),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => {
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            4 => {
                let other = self.others[self.random.random_range(0..self.others.len())];
                let from = self.random.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            5 if at < bytes.len() => bytes[at] = special,
            _ if at < bytes.len() => bytes[at] ^= 1 << self.random.random_range(0..8),
            _ => bytes.push(self.random.random()),
        }
    }
}
