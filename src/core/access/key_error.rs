//! The limits on keys, and the error for keys outside them.

use thiserror::Error;

use super::algorithm::Algorithm;

/// The most keys of an issuer. Large issuers publish a dozen, of which a token names one.
pub(super) const MAX_KEYS: usize = 32;

/// The most secrets that one token is verified with.
const MAX_SECRETS: usize = 8;

/// The shortest HMAC secret, in bytes (RFC 7518, 3.2).
pub(super) const MIN_SECRET_BYTES: usize = 32;

/// The smallest RSA modulus, in bits (RFC 7518, 3.3).
pub(super) const MIN_MODULUS_BITS: usize = 2_048;

/// Returns the most keys that one token is verified with.
///
/// Anyone can send a token that no key verifies. For public keys, whose signatures are expensive to
/// verify, two suffice: the old key and the new one during a rotation.
pub(super) const fn max_attempts(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Hs256 => MAX_SECRETS,
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => 2,
    }
}

/// Keys that cannot be used. The texts continue a sentence whose subject is the configuration
/// variable, and never quote a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No key is for this algorithm.
    #[error("has no key for {}", .0.name())]
    None(Algorithm),
    /// There are too many keys.
    #[error("has more than {MAX_KEYS} keys")]
    TooMany,
    /// Too many keys for this algorithm have no `kid`.
    #[error(
        "has more than {} keys for {} without a `kid`; put further keys in a JSON Web Key Set and \
         give each its `kid`",
        max_attempts(*.0), .0.name()
    )]
    TooManyUnnamed(Algorithm),
    /// A secret is too short.
    #[error(
        "has a secret that is too short; expected secrets of at least {MIN_SECRET_BYTES} bytes, \
         separated by white space, or a JSON Web Key Set"
    )]
    ShortSecret,
    /// An RSA key is too short.
    #[error("has an RSA key that is too short; expected at least {MIN_MODULUS_BITS} bits")]
    ShortModulus,
    /// A key in PEM is given as a secret. Such a key is usually public.
    #[error(
        "has a key in PEM, but HS256 needs secrets of at least {MIN_SECRET_BYTES} bytes, separated \
         by white space, or a JSON Web Key Set"
    )]
    PemForSecret,
    /// The text is not a public key for this algorithm in PEM.
    #[error(
        "has something other than public keys for {}; expected one or more keys in PEM \
         (`-----BEGIN PUBLIC KEY-----`), or a JSON Web Key Set",
        .0.name()
    )]
    Pem(Algorithm),
    /// A key is private and should have stayed with the issuer.
    #[error("has a private key, which should stay with the issuer; expected public keys")]
    Private,
    /// The text is not a JSON Web Key Set.
    #[error("is not a JSON Web Key Set (RFC 7517)")]
    KeySet,
    /// A key is malformed, or one of the weak keys under which any signature verifies.
    #[error("has a key that is malformed or weak")]
    Invalid,
}
