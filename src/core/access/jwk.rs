//! JSON Web Key Sets (RFC 7517; RFC 7518, 6; RFC 8037, 2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rsa::{BigUint, RsaPublicKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key::Key;
use super::{Algorithm, KeyError};

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    /// The secret.
    k: Option<String>,
    /// The modulus, and the exponent.
    n: Option<String>,
    e: Option<String>,
    /// The coordinates.
    x: Option<String>,
    y: Option<String>,
    /// The private part.
    d: Option<IgnoredAny>,
}

/// The keys for `algorithm` in a set, with their names. Keys for anything else are passed over, as RFC
/// 7517, 5, has it.
pub(super) fn keys(
    algorithm: Algorithm,
    text: &str,
) -> Result<Vec<(Option<String>, Key)>, KeyError> {
    let set: Set = serde_json::from_str(text).map_err(|_| KeyError::Set)?;
    let fitting = set.keys.into_iter().filter(|jwk| jwk.is_for(algorithm));
    fitting
        .map(|jwk| {
            let key = jwk.key(algorithm)?;
            Ok((jwk.kid, key))
        })
        .collect()
}

impl Jwk {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let (kty, crv) = match algorithm {
            Algorithm::Hs256 => ("oct", None),
            Algorithm::Rs256 => ("RSA", None),
            Algorithm::Es256 => ("EC", Some("P-256")),
            Algorithm::EdDsa => ("OKP", Some("Ed25519")),
        };
        let verifies = |operations: &Vec<String>| operations.iter().any(|name| name == "verify");
        self.kty == kty
            && (crv.is_none() || self.crv.as_deref() == crv)
            && self.alg.as_ref().is_none_or(|alg| alg == algorithm.name())
            && self.r#use.as_ref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(verifies)
    }

    fn key(&self, algorithm: Algorithm) -> Result<Key, KeyError> {
        if self.d.is_some() {
            return Err(KeyError::Private);
        }
        let key = match algorithm {
            Algorithm::Hs256 => return Key::secret(&bytes(&self.k)?),
            Algorithm::Rs256 => {
                let [n, e] = [&self.n, &self.e].map(bytes);
                let (n, e) = (BigUint::from_bytes_be(&n?), BigUint::from_bytes_be(&e?));
                return Key::rsa(RsaPublicKey::new(n, e).map_err(|_| KeyError::Set)?);
            }
            Algorithm::Es256 => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                let whole = x.len() == 32 && y.len() == 32;
                whole.then(|| [&[4], &x[..], &y[..]].concat())
            }
            .and_then(|point| Key::p256(&point)),
            Algorithm::EdDsa => {
                let key = ed25519_dalek::VerifyingKey::try_from(bytes(&self.x)?.as_slice());
                key.ok().and_then(Key::ed25519)
            }
        };
        key.ok_or(KeyError::Set)
    }
}

fn bytes(member: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let text = member.as_ref().ok_or(KeyError::Set)?;
    BASE64.decode(text).map_err(|_| KeyError::Set)
}
