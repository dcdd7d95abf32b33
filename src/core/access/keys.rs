//! The keys of an issuer.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use jsonwebtoken::DecodingKey;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;

use super::algorithm::Algorithm;
use super::jwk;
use super::key::Key;
use super::key_error::{KeyError, MAX_KEYS, max_attempts};
use super::verifier::VerifyingKey;

const PEM_BEGIN: &str = "-----BEGIN ";

/// The keys of an issuer, all for the same algorithm.
#[derive(Clone)]
pub struct Keys {
    algorithm: Algorithm,
    keys: Vec<Key>,
}

impl Keys {
    /// Parses keys for `algorithm`.
    ///
    /// The text is one of:
    /// - a JSON Web Key Set (RFC 7517, 5), whose keys for other algorithms are ignored;
    /// - for HS256, secrets separated by white space;
    /// - for other algorithms, one or more public keys in PEM.
    ///
    /// # Errors
    /// Returns a [`KeyError`], which quotes no key, if any key is malformed, too weak or for another
    /// algorithm, or if there are too many keys or none.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        // Environment variables often have their line ends escaped; PEM has no backslashes.
        let unescaped = text.contains(PEM_BEGIN).then(|| text.replace("\\n", "\n"));
        let text = unescaped.as_deref().unwrap_or(text).trim();
        let keys = if text.starts_with('{') {
            jwk::parse_set(algorithm, text)?
        } else if algorithm == Algorithm::Hs256 {
            parse_secrets(text)?
        } else {
            parse_pem_blocks(algorithm, text)?
        };
        for key in &keys {
            VerifyingKey::new(algorithm.into(), &key.key)?;
        }
        if keys.is_empty() {
            return Err(KeyError::None(algorithm));
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        if keys.iter().filter(|key| key.kid.is_none()).count() > max_attempts(algorithm) {
            return Err(KeyError::TooManyUnnamed(algorithm));
        }
        Ok(Self { algorithm, keys })
    }

    /// Returns the algorithm that the keys are for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the keys to verify a token with, in order.
    ///
    /// With a `kid`, these are the keys of that `kid` and then the keys without one; without a `kid`,
    /// all keys. Either way there are at most [`max_attempts`].
    pub(super) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        let preferred = self
            .keys
            .iter()
            .filter(move |key| kid.is_none() || key.kid.as_deref() == kid);
        let unnamed = self
            .keys
            .iter()
            .filter(move |key| kid.is_some() && key.kid.is_none());
        preferred
            .chain(unnamed)
            .map(|key| &key.key)
            .take(max_attempts(self.algorithm))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys for {}", self.keys.len(), self.algorithm.name())
    }
}

fn parse_secrets(text: &str) -> Result<Vec<Key>, KeyError> {
    if text.contains(PEM_BEGIN) {
        return Err(KeyError::PemForSecret);
    }
    let secrets = text.split_ascii_whitespace();
    let keys = secrets.map(|secret| Key::unnamed(DecodingKey::from_secret(secret.as_bytes())));
    Ok(keys.collect())
}

fn parse_pem_blocks(algorithm: Algorithm, text: &str) -> Result<Vec<Key>, KeyError> {
    let mut blocks = text.split(PEM_BEGIN);
    if blocks.next() != Some("") {
        return Err(KeyError::Pem(algorithm));
    }
    blocks
        .map(|block| parse_pem(algorithm, &format!("{PEM_BEGIN}{}", block.trim_end())))
        .map(|key| key.map(Key::unnamed))
        .collect()
}

fn parse_pem(algorithm: Algorithm, pem: &str) -> Result<DecodingKey, KeyError> {
    let malformed = KeyError::Pem(algorithm);
    let label = pem.strip_prefix(PEM_BEGIN).unwrap_or_default();
    let (label, _) = label.split_once("-----").ok_or(malformed)?;
    let rsa = |key: RsaPublicKey| {
        DecodingKey::from_rsa_raw_components(&key.n().to_bytes_be(), &key.e().to_bytes_be())
    };
    let key = match (label, algorithm) {
        (label, _) if label.ends_with("PRIVATE KEY") => return Err(KeyError::Private),
        ("RSA PUBLIC KEY", Algorithm::Rs256) => RsaPublicKey::from_pkcs1_pem(pem).ok().map(rsa),
        ("PUBLIC KEY", Algorithm::Rs256) => RsaPublicKey::from_public_key_pem(pem).ok().map(rsa),
        ("PUBLIC KEY", Algorithm::Es256) => {
            let key = p256::ecdsa::VerifyingKey::from_public_key_pem(pem).ok();
            key.map(|key| DecodingKey::from_ec_der(key.to_encoded_point(false).as_bytes()))
        }
        ("PUBLIC KEY", Algorithm::EdDsa) => {
            let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem).ok();
            key.map(|key| DecodingKey::from_ed_der(key.as_bytes()))
        }
        _ => None,
    };
    key.ok_or(malformed)
}
