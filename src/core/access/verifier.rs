//! Verification of signatures for `jsonwebtoken`, which leaves cryptography to a provider.
//!
//! This provider only verifies. Nothing signs, so nothing needs random numbers.

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

use super::key_error::{KeyError, MIN_MODULUS_BITS, MIN_SECRET_BYTES};

const PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| match VerifyingKey::new(*algorithm, key) {
        Ok(key) => Ok(Box::new(key)),
        Err(_) => Err(ErrorKind::InvalidKeyFormat.into()),
    },
    // Used only to make JSON Web Keys.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` verify with this provider. Later calls have no effect.
pub(super) fn install() {
    _ = PROVIDER.install_default();
}

/// A key that fits its algorithm and is strong enough for it.
pub(super) enum VerifyingKey {
    Secret(Hmac<Sha256>),
    Rsa(RsaPublicKey),
    P256(P256Key),
    Ed25519(Ed25519Key),
}

impl VerifyingKey {
    /// Checks a key and prepares it for verifying.
    ///
    /// # Errors
    /// Returns `ShortSecret` or `ShortModulus` if the key is too short, and `Invalid` if it is malformed,
    /// weak or for another algorithm.
    pub(super) fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, KeyError> {
        match (algorithm, key.family(), key.kind()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(KeyError::ShortSecret);
                }
                let hmac = Hmac::new_from_slice(secret);
                hmac.map(Self::Secret).map_err(|_| KeyError::Invalid)
            }
            (
                Algorithm::RS256,
                AlgorithmFamily::Rsa,
                DecodingKeyKind::RsaModulusExponent { n, e },
            ) => {
                let [n, e] = [n, e].map(|number| BigUint::from_bytes_be(number));
                let key = RsaPublicKey::new(n, e).map_err(|_| KeyError::Invalid)?;
                if key.n().bits() < MIN_MODULUS_BITS {
                    return Err(KeyError::ShortModulus);
                }
                Ok(Self::Rsa(key))
            }
            (Algorithm::ES256, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
                let key = P256Key::from_sec1_bytes(point);
                key.map(Self::P256).map_err(|_| KeyError::Invalid)
            }
            (Algorithm::EdDSA, AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) => {
                let key = Ed25519Key::try_from(point.as_slice()).map_err(|_| KeyError::Invalid)?;
                // Any signature verifies under the few weak keys.
                if key.is_weak() {
                    return Err(KeyError::Invalid);
                }
                Ok(Self::Ed25519(key))
            }
            _ => Err(KeyError::Invalid),
        }
    }
}

impl Verifier<Vec<u8>> for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        match self {
            // Compares in constant time.
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
