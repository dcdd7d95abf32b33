//! The tokens that an instance has accepted.

use std::cell::RefCell;

use sha2::{Digest as _, Sha256};

use crate::core::cache::BoundedCache;
use crate::core::limit::RateKey;

/// The most tokens that are remembered.
const CAPACITY: usize = 256;

/// Remembers tokens that were accepted from a client, by their SHA-256. It tells a client with a good token
/// from others at the same address that guess. It accepts nothing by itself: a remembered token may have
/// expired.
#[derive(Debug)]
pub struct AcceptedTokens(RefCell<BoundedCache<(RateKey, [u8; 32]), ()>>);

impl Default for AcceptedTokens {
    fn default() -> Self {
        // Each entry counts as one byte.
        Self(RefCell::new(BoundedCache::new(CAPACITY)))
    }
}

impl AcceptedTokens {
    /// Returns whether the token was accepted from the client.
    #[must_use]
    pub fn contains(&self, client: RateKey, token: &[u8]) -> bool {
        let key = (client, Sha256::digest(token).into());
        self.0.borrow().get(&key).is_some()
    }

    /// Remembers a token that was accepted from the client.
    pub fn insert(&self, client: RateKey, token: &[u8]) {
        let key = (client, Sha256::digest(token).into());
        self.0.borrow_mut().insert(key, (), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_remembered_for_its_client_only_and_the_memory_is_bounded() {
        let (tokens, [one, other]) = (
            AcceptedTokens::default(),
            ["1", "2"].map(RateKey::publisher),
        );
        tokens.insert(one, b"token");
        assert!(tokens.contains(one, b"token"));
        assert!(!tokens.contains(other, b"token") && !tokens.contains(one, b"guess"));
        for number in 0..CAPACITY {
            tokens.insert(other, &number.to_le_bytes());
        }
        assert!(!tokens.contains(one, b"token"));
        assert!(tokens.contains(other, &0_usize.to_le_bytes()));
    }
}
