//! JSON Web Key Sets (RFC 7517; RFC 7518, 6; RFC 8037, 2), as `jsonwebtoken` reads them.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Algorithm, KeyError};

/// The private parts of a set's keys, which the library passes over.
#[derive(Deserialize)]
struct Privates {
    keys: Vec<Private>,
}

#[derive(Deserialize)]
struct Private {
    d: Option<IgnoredAny>,
}

/// The keys for `algorithm` in a set, with their names. What is for anything else, and what lacks
/// members, is passed over, as RFC 7517, 5, has it.
pub(super) fn keys(
    algorithm: Algorithm,
    text: &str,
) -> Result<Vec<(Option<String>, DecodingKey)>, KeyError> {
    let set: JwkSet = read(text)?;
    let privates: Privates = read(text)?;
    let keys = set.keys.into_iter().zip(privates.keys);
    let fitting = keys.filter(|(jwk, _)| is_for(algorithm, jwk));
    fitting
        .map(|(jwk, private)| match private.d {
            Some(_) => Err(KeyError::Private),
            None => {
                let key = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Unfit)?;
                Ok((jwk.common.key_id, key))
            }
        })
        .collect()
}

/// From bytes, as the library reads keys: one copy of that code is enough.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, KeyError> {
    serde_json::from_slice(text.as_bytes()).map_err(|_| KeyError::Set)
}

fn is_for(algorithm: Algorithm, jwk: &Jwk) -> bool {
    let is_of_kind = match (algorithm, &jwk.algorithm) {
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
    let (its, uses) = (jwk.common.key_algorithm, &jwk.common.public_key_use);
    let operations = jwk.common.key_operations.as_ref();
    is_of_kind
        && its.is_none_or(|its| its == jsonwebtoken::Algorithm::from(algorithm).into())
        && uses
            .as_ref()
            .is_none_or(|its| *its == PublicKeyUse::Signature)
        && operations.is_none_or(|its| its.contains(&KeyOperations::Verify))
}
