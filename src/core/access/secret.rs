//! Tokens that are simply known.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A token that is known to the server, kept and compared as its SHA-256: neither its length nor how
/// much of a guess was right can be told from the time that it takes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Keeps a token.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether this is the token.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        are_equal(&self.0, &Sha256::digest(given).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Looks at every element, wherever the first difference is.
fn are_equal<T: ConstantTimeEq>(a: &[T; 32], b: &[T; 32]) -> bool {
    a.as_slice().ct_eq(b.as_slice()).into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use subtle::Choice;

    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let secret = Secret::new("s3cret");
        assert!(secret.is(b"s3cret"));
        let others: [&[u8]; 7] = [
            b"",
            b"s3cre",
            b"s3cret2",
            b"S3cret",
            b"t3cret",
            b"s3cret\0",
            b"\xff",
        ];
        assert!(others.iter().all(|given| !secret.is(given)));
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// A byte that counts how often any is compared.
    #[derive(Clone, Copy)]
    struct Counted(u8);

    impl ConstantTimeEq for Counted {
        fn ct_eq(&self, other: &Self) -> Choice {
            COMPARED.set(COMPARED.get() + 1);
            self.0.ct_eq(&other.0)
        }
    }

    #[test]
    fn every_byte_is_compared_wherever_the_first_difference_is() {
        let kept = [Counted(7); 32];
        for difference in (0..32).map(Some).chain([None]) {
            let mut given = kept;
            if let Some(at) = difference {
                given[at].0 ^= 1;
            }
            COMPARED.set(0);
            assert_eq!(are_equal(&kept, &given), difference.is_none());
            assert_eq!(COMPARED.get(), 32, "{difference:?}");
        }
    }
}
