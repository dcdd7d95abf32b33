//! JSON Web Tokens (RFC 7519), signed, in compact serialisation (RFC 7515).
//!
//! `jsonwebtoken` takes them apart and checks header, signature, `aud` and `iss`. What is around it
//! makes it as strict as RFC 8725 wants it. `exp` and `nbf` are compared here, for the library would
//! ask a clock of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::known::TokenCache;
use super::{AuthError, Keys, Permissions, Principal, digest, verifying};
use crate::core::time::Timestamp;

/// The longest JWT, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8_192;

/// How far the clocks of issuer and server may differ: 5 s.
pub const LEEWAY_MILLIS: u64 = 5_000;

/// The last second of the year 9999. What is later was meant in milliseconds.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Whose JWTs are good.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The keys that it signs with.
    keys: Keys,
    /// What the claims have to be, but for the times.
    validation: Validation,
    known: TokenCache,
}

/// What is looked for in a header beside what the library does.
#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    #[serde(default)]
    runnel: Permissions,
    /// The library checks these, but passes over some that are of another form.
    #[serde(rename = "aud")]
    _aud: Option<Audience>,
    #[serde(rename = "iss")]
    _iss: Option<String>,
    /// Has only an object read. An array would be taken for the members in their order.
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its form is checked")]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Issuer {
    /// An issuer with these keys. If there is an audience, `aud` has to name it, and otherwise nobody;
    /// if there is a name, `iss` has to be it.
    #[must_use]
    pub fn new(keys: Keys, audience: Option<String>, name: Option<String>) -> Self {
        verifying::install();
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
            known: TokenCache::default(),
        }
    }

    /// What a JWT is good for now.
    pub(super) fn admit(&self, token: &[u8], now: Timestamp) -> Result<Principal, AuthError> {
        if let Some(credential) = self.known.get(token, now) {
            return Ok(credential);
        }
        let credential = self.verify(token, now)?;
        self.known.put(token, &credential, now);
        Ok(credential)
    }

    fn verify(&self, token: &[u8], now: Timestamp) -> Result<Principal, AuthError> {
        let claims = self.claims(token)?;
        let (exp, nbf) = (millis(claims.exp)?, claims.nbf.map(millis).transpose()?);
        let expires = Timestamp(exp.0.saturating_add(LEEWAY_MILLIS));
        if now >= expires {
            return Err(AuthError::Expired);
        }
        if nbf.is_some_and(|nbf| nbf.0 > now.0.saturating_add(LEEWAY_MILLIS)) {
            return Err(AuthError::NotYet);
        }
        let subject = claims.sub.map(|sub| format!("sub:{sub}"));
        Ok(Principal {
            grant: claims.runnel,
            expires: Some(expires),
            identity: Some(subject.unwrap_or_else(|| digest(token))),
        })
    }

    /// What the issuer says, if it has said it, and to us.
    fn claims(&self, token: &[u8]) -> Result<Claims, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Malformed);
        }
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        if is_critical(token) {
            return Err(AuthError::Critical);
        }
        for key in self.keys.of(header.kid.as_deref()) {
            match decode(token, key, &self.validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(error) => return Err(refusal(&error)),
            }
        }
        Err(AuthError::Signature)
    }
}

/// Why a token whose header is readable is refused.
fn refusal(error: &Error) -> AuthError {
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

/// Whether the header has `crit`. The library reads it without heeding it, and takes `null` for none.
fn is_critical(token: &[u8]) -> bool {
    let header = token.split(|&byte| byte == b'.').next();
    let json = header.and_then(|header| BASE64.decode(header).ok());
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .is_some_and(|header: Header| header.crit)
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// A `NumericDate` (RFC 7519, 2).
fn millis(seconds: f64) -> Result<Timestamp, AuthError> {
    if !(0.0..=LAST_SECOND).contains(&seconds) {
        return Err(AuthError::Claims);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Timestamp((seconds * 1_000.0) as u64))
}
