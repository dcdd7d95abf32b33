//! JSON Web Tokens (RFC 7519), signed, in compact serialisation (RFC 7515).
//!
//! `jsonwebtoken` parses them and checks signature, `aud` and `iss`. The checks around it add the
//! strictness that RFC 8725 asks for. `exp` and `nbf` are compared here, since the library would read a
//! clock of its own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::de::IgnoredAny;
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
    validation: Validation,
    cache: TokenCache,
}

/// The header parameters that the library does not check.
#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    #[serde(default)]
    runnel: Permissions,
    /// The library compares `aud` and `iss`, but ignores them if they are of another type.
    #[serde(rename = "aud")]
    _aud: Option<Audience>,
    #[serde(rename = "iss")]
    _iss: Option<String>,
    /// Rejects arrays, which `serde` would otherwise read as the members in order.
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the type is checked")]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Issuer {
    /// Creates an issuer with these keys.
    ///
    /// With an `audience`, tokens must name it in `aud`; without one, they must have no `aud`. With a
    /// `name`, it must be the token's `iss`.
    #[must_use]
    pub fn new(keys: Keys, audience: Option<String>, name: Option<String>) -> Self {
        verifier::install();
        let mut validation = Validation::new(keys.algorithm().into());
        validation.validate_exp = false;
        if let Some(audience) = audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(name) = name {
            validation.set_issuer(&[name]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Self {
            keys,
            validation,
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
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        if has_crit(token) {
            return Err(AuthError::Critical);
        }
        for key in self.keys.candidates(header.kid.as_deref()) {
            match decode(token, key, &self.validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(error) => return Err(auth_error(&error)),
            }
        }
        Err(AuthError::Signature)
    }
}

/// Classifies an error of the library for a token whose header can be read.
fn auth_error(error: &Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::InvalidIssuer => AuthError::Issuer,
        ErrorKind::MissingRequiredClaim(name) => match name.as_str() {
            "aud" => AuthError::Audience,
            "iss" => AuthError::Issuer,
            _ => AuthError::Claims,
        },
        ErrorKind::Json(_) => AuthError::Claims,
        _ => AuthError::Malformed,
    }
}

/// Returns whether the header has `crit`. The library ignores its content, and takes `null` for absent.
fn has_crit(token: &[u8]) -> bool {
    let header = token.split(|&byte| byte == b'.').next();
    let json = header.and_then(|header| BASE64.decode(header).ok());
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .is_some_and(|header: Header| header.crit)
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
