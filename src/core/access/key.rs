//! The keys that an issuer signs with.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use hmac::{Hmac, Mac as _};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};

use super::jwk;

/// The most keys: so many may be tried for a token that does not name one.
const MAX_KEYS: usize = 8;

/// The shortest HMAC secret, in bytes (RFC 7518, 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The smallest RSA modulus, in bits (RFC 7518, 3.3).
const MIN_MODULUS_BITS: usize = 2_048;

const PEM_BEGIN: &str = "-----BEGIN ";

/// How JWTs are signed (RFC 7518, 3.1; RFC 8037, 3.1).
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

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name in a JOSE header.
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
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = Self::ALL.into_iter().find(|one| one.name() == text);
        named.ok_or(())
    }
}

/// A key that signatures are verified with.
#[derive(Clone)]
pub(super) enum Key {
    Secret(Box<Hmac<Sha256>>),
    Rsa(Box<RsaPublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
}

impl Key {
    /// An HMAC secret of enough bytes.
    pub(super) fn secret(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(KeyError::ShortSecret);
        }
        let hmac = Hmac::new_from_slice(bytes).map_err(|_| KeyError::ShortSecret)?;
        Ok(Self::Secret(Box::new(hmac)))
    }

    /// An RSA key of enough bits.
    pub(super) fn rsa(key: RsaPublicKey) -> Result<Self, KeyError> {
        match key.n().bits() < MIN_MODULUS_BITS {
            true => Err(KeyError::ShortModulus),
            false => Ok(Self::Rsa(Box::new(key))),
        }
    }

    /// A point on P-256, uncompressed or compressed (SEC 1, 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
        Some(Self::P256(Box::new(key)))
    }

    /// A point on Ed25519 that is not one of the few with which anything verifies.
    pub(super) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Option<Self> {
        (!key.is_weak()).then(|| Self::Ed25519(Box::new(key)))
    }

    /// A public key in PEM.
    fn pem(algorithm: Algorithm, pem: &str) -> Result<Self, KeyError> {
        let unreadable = KeyError::Pem(algorithm);
        let label = pem.strip_prefix(PEM_BEGIN).unwrap_or_default();
        let (label, _) = label.split_once("-----").ok_or(unreadable)?;
        let key = match (label, algorithm) {
            (label, _) if label.ends_with("PRIVATE KEY") => return Err(KeyError::Private),
            ("RSA PUBLIC KEY", Algorithm::Rs256) => {
                return Self::rsa(RsaPublicKey::from_pkcs1_pem(pem).map_err(|_| unreadable)?);
            }
            ("PUBLIC KEY", Algorithm::Rs256) => {
                return Self::rsa(RsaPublicKey::from_public_key_pem(pem).map_err(|_| unreadable)?);
            }
            ("PUBLIC KEY", Algorithm::Es256) => {
                let key = p256::ecdsa::VerifyingKey::from_public_key_pem(pem);
                key.ok().map(|key| Self::P256(Box::new(key)))
            }
            ("PUBLIC KEY", Algorithm::EdDsa) => {
                let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem);
                key.ok().and_then(Self::ed25519)
            }
            _ => None,
        };
        key.ok_or(unreadable)
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(hmac) => {
                let mut hmac = hmac.clone();
                hmac.update(message);
                hmac.verify_slice(signature).is_ok()
            }
            Self::Rsa(key) => {
                let scheme = Pkcs1v15Sign::new::<Sha256>();
                let hash = Sha256::digest(message);
                key.verify(scheme, &hash, signature).is_ok()
            }
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

/// All keys of an issuer, for one algorithm.
#[derive(Clone)]
pub struct Keys {
    algorithm: Algorithm,
    keys: Vec<(Option<String>, Key)>,
}

impl Keys {
    /// Reads keys for `algorithm`: a JSON Web Key Set (RFC 7517, 5), of which the keys for others are
    /// passed over; or else public keys in PEM, one after the other, or for HS256 secrets with white
    /// space between them.
    ///
    /// # Errors
    /// What is wrong with them. No key is quoted.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        // What comes through an environment often has its line ends escaped; no PEM has backslashes.
        let text = match text.contains(PEM_BEGIN) {
            true => text.replace("\\n", "\n"),
            false => text.to_owned(),
        };
        let text = text.trim();
        let keys = match (algorithm, text.starts_with('{'), text.contains(PEM_BEGIN)) {
            (_, true, _) => jwk::keys(algorithm, text)?,
            (Algorithm::Hs256, _, true) => return Err(KeyError::PemForSecret),
            (Algorithm::Hs256, _, false) => {
                let secrets = text.split_ascii_whitespace();
                let keys = secrets.map(|secret| Ok((None, Key::secret(secret.as_bytes())?)));
                keys.collect::<Result<Vec<_>, KeyError>>()?
            }
            (_, false, _) => {
                let mut blocks = text.split(PEM_BEGIN);
                if blocks.next() != Some("") {
                    return Err(KeyError::Pem(algorithm));
                }
                let blocks = blocks.map(|block| format!("{PEM_BEGIN}{}", block.trim_end()));
                let keys = blocks.map(|pem| Ok((None, Key::pem(algorithm, &pem)?)));
                keys.collect::<Result<Vec<_>, KeyError>>()?
            }
        };
        match keys.len() {
            0 => Err(KeyError::None(algorithm)),
            1..=MAX_KEYS => Ok(Self { algorithm, keys }),
            _ => Err(KeyError::Many),
        }
    }

    /// How they sign.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether one of them has signed the message: one that has the name `kid` or none.
    pub(super) fn have_signed(&self, kid: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        let named = |name: &Option<String>| match (kid, name) {
            (Some(kid), Some(name)) => kid == name,
            _ => true,
        };
        let mut keys = self.keys.iter().filter(|(name, _)| named(name));
        keys.any(|(_, key)| key.has_signed(message, signature))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys for {}", self.keys.len(), self.algorithm.name())
    }
}

/// Why something is not keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is none for this algorithm.
    None(Algorithm),
    /// There are too many.
    Many,
    /// A secret is too short.
    ShortSecret,
    /// An RSA key is too short.
    ShortModulus,
    /// What should be a secret is a key in PEM, which for the most part is public.
    PemForSecret,
    /// It is not a public key for this algorithm in PEM.
    Pem(Algorithm),
    /// It is a private key, which should stay with the issuer.
    Private,
    /// It is not a JSON Web Key Set, or a key in it is badly formed.
    Set,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(algorithm) => write!(f, "has no key for {}", algorithm.name()),
            Self::Many => write!(f, "has more than {MAX_KEYS} keys"),
            Self::ShortSecret => write!(
                f,
                "has a secret that is too short; accepted are secrets of at least {MIN_SECRET_BYTES} bytes, \
                 with white space between them, or a JSON Web Key Set"
            ),
            Self::ShortModulus => write!(
                f,
                "has an RSA key that is too short; accepted are keys of at least {MIN_MODULUS_BITS} bits"
            ),
            Self::PemForSecret => write!(
                f,
                "has a key in PEM, and HS256 needs secrets of at least {MIN_SECRET_BYTES} bytes, \
                 with white space between them, or a JSON Web Key Set"
            ),
            Self::Pem(algorithm) => write!(
                f,
                "has something else than public keys for {}; accepted are one or several in PEM \
                 (`-----BEGIN PUBLIC KEY-----`), or a JSON Web Key Set",
                algorithm.name()
            ),
            Self::Private => write!(
                f,
                "has a private key, which should stay with the issuer; accepted are public keys"
            ),
            Self::Set => write!(
                f,
                "is not a JSON Web Key Set (RFC 7517), or a key in it is badly formed"
            ),
        }
    }
}

impl std::error::Error for KeyError {}
