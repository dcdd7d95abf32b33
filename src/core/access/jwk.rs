//! JSON Web Key Sets (RFC 7517; RFC 7518, 6; RFC 8037, 2), as `jsonwebtoken` reads them.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::algorithm::Algorithm;
use super::key::Key;
use super::key_error::KeyError;

/// The members of a set's keys that the library ignores, or of which it does not know all values.
#[derive(Deserialize)]
struct OtherMembersSet {
    keys: Vec<OtherMembers>,
}

#[derive(Deserialize)]
struct OtherMembers {
    alg: Option<String>,
    /// The private part of a key.
    d: Option<IgnoredAny>,
}

/// Parses a set and returns its keys for `algorithm`. Keys for anything else and keys that lack members
/// are ignored, as RFC 7517, 5, requires.
pub(super) fn parse_set(algorithm: Algorithm, json: &str) -> Result<Vec<Key>, KeyError> {
    let set: JwkSet = deserialize(json)?;
    let others: OtherMembersSet = deserialize(json)?;
    let keys = set.keys.into_iter().zip(others.keys);
    keys.filter(|(jwk, others)| is_for(algorithm, jwk, others.alg.as_deref()))
        .map(|(jwk, others)| {
            if others.d.is_some() {
                return Err(KeyError::Private);
            }
            let key = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Invalid)?;
            let kid = jwk.common.key_id;
            Ok(Key { kid, key })
        })
        .collect()
}

/// Deserializes from bytes: `jsonwebtoken` does so too, so that the code is compiled only once.
fn deserialize<T: DeserializeOwned>(json: &str) -> Result<T, KeyError> {
    serde_json::from_slice(json.as_bytes()).map_err(|_| KeyError::KeySet)
}

fn is_for(algorithm: Algorithm, jwk: &Jwk, own_algorithm: Option<&str>) -> bool {
    let is_of_type = match (algorithm, &jwk.algorithm) {
        (Algorithm::Hs256, AlgorithmParameters::OctetKey(_))
        | (Algorithm::Rs256, AlgorithmParameters::RSA(_)) => true,
        (Algorithm::Es256, AlgorithmParameters::EllipticCurve(key)) => {
            key.curve == EllipticCurve::P256
        }
        (Algorithm::EdDsa, AlgorithmParameters::OctetKeyPair(key)) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let own_use = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    is_of_type
        && own_algorithm.is_none_or(|own| own.parse() == Ok(algorithm))
        && own_use.is_none_or(|own| *own == PublicKeyUse::Signature)
        && operations.is_none_or(|own| own.contains(&KeyOperations::Verify))
}
