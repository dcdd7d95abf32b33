//! JSON Web Tokens (RFC 7519), signed, in compact serialisation (RFC 7515), with the strictness that
//! RFC 8725 asks for.
//!
//! `jsonwebtoken` verifies the signatures. It does not decode the tokens: it rejects those whose `alg` is
//! newer than itself, such as `Ed25519`, and would read a clock of its own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::crypto;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::token_cache::TokenCache;
use super::{AuthError, Keys, Permissions, Principal, verifier};
use crate::core::time::Timestamp;

/// The longest JWT, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8_192;

/// The difference between the clocks of the issuer and this server that is tolerated.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// The last second of the year 9999. Larger numbers are rejected as milliseconds.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// An issuer of JWTs.
#[derive(Clone, Debug)]
pub struct Issuer {
    keys: Keys,
    audience: Option<String>,
    name: Option<String>,
    cache: TokenCache,
}

/// The parts of a token, and its header.
struct Jws<'a> {
    header: Header,
    /// The header and the claims, as they were signed.
    message: &'a str,
    claims: &'a str,
    signature: &'a str,
}

/// The header parameters that are used. Others, such as keys, are ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
    /// Rejects arrays, which `serde` would otherwise read as the members in order.
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    #[serde(default)]
    runnel: Permissions,
    aud: Option<Audience>,
    iss: Option<String>,
    /// As for [`Header`].
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::One(own) => own == name,
            Self::Many(own) => own.iter().any(|own| own == name),
        }
    }
}

impl<'a> Jws<'a> {
    /// Splits a token and parses its header.
    fn parse(token: &'a [u8]) -> Option<Self> {
        let token = std::str::from_utf8(token).ok()?;
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        Some(Self {
            header: from_base64(header)?,
            message,
            claims,
            signature,
        })
    }
}

/// Deserializes JSON in base64.
fn from_base64<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64.decode(text).ok()?).ok()
}

impl Issuer {
    /// Creates an issuer with these keys.
    ///
    /// With an `audience`, tokens must name it in `aud`; without one, they must have no `aud`. With a
    /// `name`, it must be the token's `iss`.
    #[must_use]
    pub fn new(keys: Keys, audience: Option<String>, name: Option<String>) -> Self {
        verifier::install();
        Self {
            keys,
            audience,
            name,
            cache: TokenCache::default(),
        }
    }

    /// Returns the principal that a JWT stands for at `now`.
    pub(super) fn authenticate(
        &self,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        if let Some(principal) = self.cache.get(token, now) {
            return Ok(principal);
        }
        let principal = self.verify(token, now)?;
        self.cache.insert(token, &principal, now);
        Ok(principal)
    }

    fn verify(&self, token: &[u8], now: Timestamp) -> Result<Principal, AuthError> {
        let claims = self.verified_claims(token)?;
        let expires = numeric_date(claims.exp)?.saturating_add(LEEWAY);
        let not_before = claims.nbf.map(numeric_date).transpose()?;
        if now >= expires {
            return Err(AuthError::Expired);
        }
        if not_before.is_some_and(|not_before| not_before > now.saturating_add(LEEWAY)) {
            return Err(AuthError::NotYet);
        }
        Ok(Principal::with_jwt(
            token,
            claims.sub.as_deref(),
            claims.runnel,
            expires,
        ))
    }

    /// Verifies signature, audience and issuer and returns the claims.
    fn verified_claims(&self, token: &[u8]) -> Result<Claims, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Malformed);
        }
        let jws = Jws::parse(token).ok_or(AuthError::Malformed)?;
        if jws.header.alg.parse() != Ok(self.keys.algorithm()) {
            return Err(AuthError::Algorithm);
        }
        if jws.header.crit {
            return Err(AuthError::Critical);
        }
        self.verify_signature(&jws)?;
        let claims: Claims = from_base64(jws.claims).ok_or(AuthError::Claims)?;
        let is_for_audience = match (&claims.aud, &self.audience) {
            (None, None) => true,
            (Some(named), Some(own)) => named.includes(own),
            // A server that is not named must reject the token (RFC 7519, 4.1.3).
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_for_audience {
            return Err(AuthError::Audience);
        }
        if self.name.is_some() && claims.iss != self.name {
            return Err(AuthError::Issuer);
        }
        Ok(claims)
    }

    fn verify_signature(&self, jws: &Jws<'_>) -> Result<(), AuthError> {
        let algorithm = self.keys.algorithm().into();
        for key in self.keys.candidates(jws.header.kid.as_deref()) {
            match crypto::verify(jws.signature, jws.message.as_bytes(), key, algorithm) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // The signature is not base64: the keys have been checked.
                Err(_) => return Err(AuthError::Malformed),
            }
        }
        Err(AuthError::Signature)
    }
}

fn is_present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// Converts a `NumericDate` (RFC 7519, 2).
fn numeric_date(seconds: f64) -> Result<Timestamp, AuthError> {
    if !(0.0..=LAST_SECOND).contains(&seconds) {
        return Err(AuthError::Claims);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Timestamp((seconds * 1_000.0) as u64))
}
