//! Random numbers.

/// A random number that nobody can foresee.
#[must_use]
pub fn u64() -> u64 {
    wasi::random::random::get_random_u64()
}
