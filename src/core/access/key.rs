//! The keys that an issuer signs with.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use jsonwebtoken::DecodingKey;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;

use super::jwk;
use super::verifying::VerifyingKey;

/// The most keys.
const MAX_KEYS: usize = 8;

/// The most keys that a token is tried with if that is work, for anybody can ask for it: the old one
/// and the new one.
const MAX_TRIES: usize = 2;

/// The shortest HMAC secret, in bytes (RFC 7518, 3.2).
pub(super) const MIN_SECRET_BYTES: usize = 32;

/// The smallest RSA modulus, in bits (RFC 7518, 3.3).
pub(super) const MIN_MODULUS_BITS: usize = 2_048;

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

    /// The most keys that a token is tried with.
    const fn tries(self) -> usize {
        match self {
            Self::Hs256 => MAX_KEYS,
            Self::Rs256 | Self::Es256 | Self::EdDsa => MAX_TRIES,
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

/// A public key in PEM.
fn pem(algorithm: Algorithm, pem: &str) -> Result<DecodingKey, KeyError> {
    let unreadable = KeyError::Pem(algorithm);
    let label = pem.strip_prefix(PEM_BEGIN).unwrap_or_default();
    let (label, _) = label.split_once("-----").ok_or(unreadable)?;
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
    key.ok_or(unreadable)
}

/// All keys of an issuer, for one algorithm.
#[derive(Clone)]
pub struct Keys {
    algorithm: Algorithm,
    keys: Vec<(Option<String>, DecodingKey)>,
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
                let keys = secrets.map(|secret| DecodingKey::from_secret(secret.as_bytes()));
                keys.map(|key| (None, key)).collect()
            }
            (_, false, _) => {
                let mut blocks = text.split(PEM_BEGIN);
                if blocks.next() != Some("") {
                    return Err(KeyError::Pem(algorithm));
                }
                let blocks = blocks.map(|block| format!("{PEM_BEGIN}{}", block.trim_end()));
                let keys = blocks.map(|block| Ok((None, pem(algorithm, &block)?)));
                keys.collect::<Result<Vec<_>, KeyError>>()?
            }
        };
        for (_, key) in &keys {
            VerifyingKey::read(algorithm.into(), key)?;
        }
        let nameless = keys.iter().filter(|(name, _)| name.is_none()).count();
        match keys.len() {
            0 => Err(KeyError::None(algorithm)),
            1..=MAX_KEYS if nameless > algorithm.tries() => Err(KeyError::Nameless(algorithm)),
            1..=MAX_KEYS => Ok(Self { algorithm, keys }),
            _ => Err(KeyError::Many),
        }
    }

    /// How they sign.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The keys that may have signed a token with this `kid`: those of that name and then those
    /// without one; or of a token without it any, but never more than may be tried.
    pub(super) fn of(&self, kid: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        let having = move |named: bool| {
            let keys = self.keys.iter();
            keys.filter(move |(name, _)| match (kid, name) {
                (Some(kid), Some(name)) => named && kid == name,
                (Some(_), None) => !named,
                (None, _) => named,
            })
        };
        let keys = having(true).chain(having(false)).map(|(_, key)| key);
        keys.take(self.algorithm.tries())
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
    /// There are too many without a name for this algorithm.
    Nameless(Algorithm),
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
    /// It is not a JSON Web Key Set.
    Set,
    /// A key is badly formed, or one of the few with which anything verifies.
    Unfit,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(algorithm) => write!(f, "has no key for {}", algorithm.name()),
            Self::Many => write!(f, "has more than {MAX_KEYS} keys"),
            Self::Nameless(algorithm) => write!(
                f,
                "has more than {} keys for {} without a name; accepted are more in a JSON Web Key Set \
                 where each has its `kid`",
                algorithm.tries(),
                algorithm.name()
            ),
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
            Self::Set => write!(f, "is not a JSON Web Key Set (RFC 7517)"),
            Self::Unfit => write!(f, "has a key that is badly formed or weak"),
        }
    }
}

impl std::error::Error for KeyError {}
