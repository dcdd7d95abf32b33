//! Tokens whose signatures were found good.

use std::cell::RefCell;
use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::Principal;
use crate::core::time::Timestamp;

/// The most tokens that are remembered.
const MOST: usize = 256;

/// Remembers JWTs by their SHA-256 until they expire: verifying one takes as long as committing an
/// event, and the same one comes again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCache(RefCell<HashMap<[u8; 32], Principal>>);

impl TokenCache {
    /// What the token is good for, if it was verified before and has not expired since.
    pub(super) fn get(&self, token: &[u8], now: Timestamp) -> Option<Principal> {
        let known = self.0.borrow();
        let credential = known.get(&key(token))?;
        is_good(credential, now).then(|| credential.clone())
    }

    /// Remembers a token that was verified.
    pub(super) fn put(&self, token: &[u8], credential: &Principal, now: Timestamp) {
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST {
            known.retain(|_, credential| is_good(credential, now));
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key(token), credential.clone());
    }
}

fn key(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn is_good(credential: &Principal, now: Timestamp) -> bool {
    credential.expires.is_some_and(|expires| now < expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::access::Permissions;

    fn until(expires: u64) -> Principal {
        Principal {
            grant: Permissions::everything(),
            expires: Some(Timestamp(expires)),
            identity: None,
        }
    }

    #[test]
    fn a_token_is_known_until_it_expires() {
        let known = TokenCache::default();
        known.put(b"a", &until(10), Timestamp(1));
        assert_eq!(known.get(b"a", Timestamp(9)), Some(until(10)));
        assert_eq!(known.get(b"a", Timestamp(10)), None);
        assert_eq!(known.get(b"b", Timestamp(1)), None);
    }

    #[test]
    fn what_has_expired_makes_room_and_there_is_never_more() {
        let known = TokenCache::default();
        for number in 0..u64::try_from(MOST).unwrap() {
            let expires = if number % 2 == 0 { 5 } else { 50 };
            known.put(&number.to_le_bytes(), &until(expires), Timestamp(1));
        }
        known.put(b"a", &until(50), Timestamp(5));
        assert_eq!(known.0.borrow().len(), MOST / 2 + 1);
        for number in 0..10_000_u64 {
            known.put(&number.to_be_bytes(), &until(50), Timestamp(5));
            assert!(known.0.borrow().len() <= MOST);
        }
    }
}
