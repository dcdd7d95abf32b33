//! Verifies signatures for `jsonwebtoken`, which leaves that to a provider. This one can do no more:
//! nothing here signs, so nothing here needs random numbers.

use ed25519_dalek::VerifyingKey as Ed25519Key;
use hmac::{Hmac, Mac as _};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use p256::ecdsa::VerifyingKey as P256Key;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};

use super::key::{KeyError, MIN_MODULUS_BITS, MIN_SECRET_BYTES};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| match VerifyingKey::read(*algorithm, key) {
        Ok(key) => Ok(Box::new(key)),
        Err(_) => Err(ErrorKind::InvalidKeyFormat.into()),
    },
    // For making JSON Web Keys, which nothing here does.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has `jsonwebtoken` verify with what is here. It keeps the first provider that it is given.
pub(super) fn install() {
    _ = PROVIDER.install_default();
}

/// A key that is strong enough, and fits its algorithm.
pub(super) enum VerifyingKey {
    Secret(Hmac<Sha256>),
    Rsa(RsaPublicKey),
    P256(P256Key),
    Ed25519(Ed25519Key),
}

impl VerifyingKey {
    /// The key for this algorithm.
    ///
    /// # Errors
    /// It is too short, or (`Unfit`) none for this algorithm.
    pub(super) fn read(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, KeyError> {
        match (algorithm, key.family(), key.kind()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(KeyError::ShortSecret);
                }
                let hmac = Hmac::new_from_slice(secret);
                hmac.map(Self::Secret).map_err(|_| KeyError::Unfit)
            }
            (
                Algorithm::RS256,
                AlgorithmFamily::Rsa,
                DecodingKeyKind::RsaModulusExponent { n, e },
            ) => {
                let [n, e] = [n, e].map(|number| BigUint::from_bytes_be(number));
                let key = RsaPublicKey::new(n, e).map_err(|_| KeyError::Unfit)?;
                match key.n().bits() < MIN_MODULUS_BITS {
                    true => Err(KeyError::ShortModulus),
                    false => Ok(Self::Rsa(key)),
                }
            }
            (Algorithm::ES256, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
                let key = P256Key::from_sec1_bytes(point);
                key.map(Self::P256).map_err(|_| KeyError::Unfit)
            }
            (Algorithm::EdDSA, AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) => {
                match Ed25519Key::try_from(point.as_slice()) {
                    // With the few weak ones anything verifies.
                    Ok(key) if !key.is_weak() => Ok(Self::Ed25519(key)),
                    _ => Err(KeyError::Unfit),
                }
            }
            _ => Err(KeyError::Unfit),
        }
    }
}

impl Verifier<Vec<u8>> for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        match self {
            // In constant time.
            Self::Secret(hmac) => {
                let hmac = hmac.clone().chain_update(message);
                hmac.verify_slice(signature).map_err(|_| Error::new())
            }
            Self::Rsa(key) => {
                let hash = Sha256::digest(message);
                let verified = key.verify(Pkcs1v15Sign::new::<Sha256>(), &hash, signature);
                verified.map_err(|_| Error::new())
            }
            Self::P256(key) => key.verify(message, &p256::ecdsa::Signature::from_slice(signature)?),
            Self::Ed25519(key) => {
                key.verify_strict(message, &ed25519_dalek::Signature::from_slice(signature)?)
            }
        }
    }
}

impl JwtVerifier for VerifyingKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::HS256,
            Self::Rsa(_) => Algorithm::RS256,
            Self::P256(_) => Algorithm::ES256,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }
}
