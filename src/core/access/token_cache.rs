//! A cache of verified tokens.

use std::cell::RefCell;
use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::Principal;
use crate::core::time::Timestamp;

/// The most tokens that are cached.
const CAPACITY: usize = 256;

/// Caches the principals of verified JWTs, by the token's SHA-256, until they expire. Verifying a token
/// takes as long as committing an event, and clients send the same token again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCache(RefCell<HashMap<[u8; 32], Principal>>);

impl TokenCache {
    /// Returns the principal of a token that was verified before and has not expired.
    pub(super) fn get(&self, token: &[u8], now: Timestamp) -> Option<Principal> {
        let by_digest = self.0.borrow();
        let principal = by_digest.get(&digest(token))?;
        is_valid(principal, now).then(|| principal.clone())
    }

    /// Caches the principal of a verified token. A full cache drops the expired entries, or, if none have
    /// expired, all entries.
    pub(super) fn insert(&self, token: &[u8], principal: &Principal, now: Timestamp) {
        let mut by_digest = self.0.borrow_mut();
        if by_digest.len() >= CAPACITY {
            by_digest.retain(|_, principal| is_valid(principal, now));
        }
        if by_digest.len() >= CAPACITY {
            by_digest.clear();
        }
        by_digest.insert(digest(token), principal.clone());
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn is_valid(principal: &Principal, now: Timestamp) -> bool {
    principal.expires().is_some_and(|expires| now < expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::access::Permissions;

    fn expiring_at(expires: u64) -> Principal {
        Principal::with_jwt(b"", None, Permissions::all(), Timestamp(expires))
    }

    #[test]
    fn a_token_is_cached_until_it_expires() {
        let cache = TokenCache::default();
        cache.insert(b"a", &expiring_at(10), Timestamp(1));
        assert_eq!(cache.get(b"a", Timestamp(9)), Some(expiring_at(10)));
        assert_eq!(cache.get(b"a", Timestamp(10)), None);
        assert_eq!(cache.get(b"b", Timestamp(1)), None);
    }

    #[test]
    fn a_full_cache_drops_expired_tokens_and_never_exceeds_its_capacity() {
        let cache = TokenCache::default();
        for number in 0..u64::try_from(CAPACITY).unwrap() {
            let expires = if number % 2 == 0 { 5 } else { 50 };
            cache.insert(&number.to_le_bytes(), &expiring_at(expires), Timestamp(1));
        }
        cache.insert(b"a", &expiring_at(50), Timestamp(5));
        assert_eq!(cache.0.borrow().len(), CAPACITY / 2 + 1);
        for number in 0..10_000_u64 {
            cache.insert(&number.to_be_bytes(), &expiring_at(50), Timestamp(5));
            assert!(cache.0.borrow().len() <= CAPACITY);
        }
    }
}
