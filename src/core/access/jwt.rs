//! JSON Web Tokens (RFC 7519), signed, in compact serialisation (RFC 7515).
//!
//! The signatures are left to well-known crates. What is around them is little, and stands here so
//! that it is as strict as RFC 8725 wants it, and takes no clock of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::known::Known;
use super::{Credential, Grant, Keys, Refusal, digest};
use crate::core::time::Millis;

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
    /// What `aud` has to name. If there is nothing, a JWT must not have an audience.
    audience: Option<String>,
    /// What `iss` has to be, if it has to be something.
    name: Option<String>,
    known: Known,
}

/// What matters of a JOSE header. Keys that come with it (`jwk`, `jku`, `x5c`, …) do not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    aud: Option<Audience>,
    iss: Option<String>,
    sub: Option<String>,
    #[serde(default)]
    runnel: Grant,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Issuer {
    /// An issuer with these keys, for this audience and of this name, if there are any.
    #[must_use]
    pub fn new(keys: Keys, audience: Option<String>, name: Option<String>) -> Self {
        Self {
            keys,
            audience,
            name,
            known: Known::default(),
        }
    }

    /// What a JWT is good for now.
    pub(super) fn admit(&self, token: &[u8], now: Millis) -> Result<Credential, Refusal> {
        if let Some(credential) = self.known.get(token, now) {
            return Ok(credential);
        }
        let credential = self.verify(token, now)?;
        self.known.put(token, &credential, now);
        Ok(credential)
    }

    fn verify(&self, token: &[u8], now: Millis) -> Result<Credential, Refusal> {
        let claims = self.claims(token)?;
        let (exp, nbf) = (millis(claims.exp)?, claims.nbf.map(millis).transpose()?);
        let expires = Millis(exp.0.saturating_add(LEEWAY_MILLIS));
        if now >= expires {
            return Err(Refusal::Expired);
        }
        if nbf.is_some_and(|nbf| nbf.0 > now.0.saturating_add(LEEWAY_MILLIS)) {
            return Err(Refusal::NotYet);
        }
        let for_us = match (&self.audience, &claims.aud) {
            (None, aud) => aud.is_none(),
            (Some(name), Some(Audience::One(one))) => name == one,
            (Some(name), Some(Audience::Several(several))) => several.contains(name),
            (Some(_), None) => false,
        };
        if !for_us {
            return Err(Refusal::Audience);
        }
        if self.name.is_some() && self.name != claims.iss {
            return Err(Refusal::Issuer);
        }
        let subject = claims.sub.map(|sub| format!("sub:{sub}"));
        Ok(Credential {
            grant: claims.runnel,
            expires: Some(expires),
            identity: Some(subject.unwrap_or_else(|| digest(token))),
        })
    }

    /// What the issuer says, if it has said it.
    fn claims(&self, token: &[u8]) -> Result<Claims, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        let mut parts = token.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed);
        };
        let signed = token
            .strip_suffix(signature)
            .and_then(|token| token.strip_suffix(b"."))
            .ok_or(Refusal::Malformed)?;
        let header: Header = decode(header).ok_or(Refusal::Malformed)?;
        let signature = BASE64.decode(signature).map_err(|_| Refusal::Malformed)?;
        if header.alg != self.keys.algorithm().name() {
            return Err(Refusal::Algorithm);
        }
        if header.crit {
            return Err(Refusal::Critical);
        }
        if !self
            .keys
            .have_signed(header.kid.as_deref(), signed, &signature)
        {
            return Err(Refusal::Signature);
        }
        decode(payload).ok_or(Refusal::Claims)
    }
}

/// An object of JSON in base64url.
fn decode<T: DeserializeOwned>(part: &[u8]) -> Option<T> {
    let json = BASE64.decode(part).ok()?;
    // An array would be taken for the members in their order.
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object
        .then(|| serde_json::from_slice(&json).ok())
        .flatten()
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// A `NumericDate` (RFC 7519, 2).
fn millis(seconds: f64) -> Result<Millis, Refusal> {
    if !(0.0..=LAST_SECOND).contains(&seconds) {
        return Err(Refusal::Claims);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Millis((seconds * 1_000.0) as u64))
}
