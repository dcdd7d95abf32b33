//! Signature algorithms.

use std::str::FromStr;

use thiserror::Error;

/// Signature algorithms of JWTs (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// The text is not the name of a supported [`Algorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected HS256, RS256, ES256 or EdDSA, which is also called Ed25519")]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// Every supported algorithm.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// Returns the name used in JOSE headers; of two names the older one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Parses a name as it is used in JOSE headers. `Ed25519` replaces `EdDSA`, which leaves the curve open
    /// (RFC 9864, 2.2 and 4.1.2).
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        if text == "Ed25519" {
            return Ok(Self::EdDsa);
        }
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or(UnknownAlgorithm)
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::HS256,
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}
