//! Shared tokens.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A token that the server shares with its clients.
///
/// It is stored and compared as its SHA-256, in constant time, so that timing reveals neither the token's
/// length nor how much of a guess is right.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Creates the secret for a token.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Returns whether `token` is the shared token.
    #[must_use]
    pub fn matches(&self, token: &[u8]) -> bool {
        self.0.as_slice().ct_eq(&Sha256::digest(token)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_matches() {
        let secret = Secret::new("s3cret");
        assert!(secret.matches(b"s3cret"));
        let others: [&[u8]; 7] = [
            b"",
            b"s3cre",
            b"s3cret2",
            b"S3cret",
            b"t3cret",
            b"s3cret\0",
            b"\xff",
        ];
        assert!(others.iter().all(|token| !secret.matches(token)));
    }

    #[test]
    fn debug_output_does_not_reveal_the_token() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "Secret");
    }
}
