//! Authentication of tokens, and the permissions they grant.
//!
//! An [`Authenticator`] accepts a token and returns a [`Principal`]: the identity of the client and its
//! permissions on channels.

mod accepted_tokens;
mod algorithm;
mod jwk;
mod jwt;
mod key;
mod key_error;
mod keys;
mod pattern;
mod permissions;
mod principal;
mod secret;
#[cfg(test)]
mod tests;
mod token_cache;
mod verifier;

use thiserror::Error;

pub use accepted_tokens::AcceptedTokens;
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use jwt::{Issuer, LEEWAY, MAX_TOKEN_BYTES};
pub use key_error::KeyError;
pub use keys::Keys;
pub use pattern::Pattern;
pub use permissions::{Permission, Permissions};
pub use principal::Principal;
pub use secret::Secret;

use crate::core::time::Timestamp;

/// The part of a request that carries a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The header `authorization`.
    AuthorizationHeader,
    /// A cookie.
    Cookie,
    /// The query.
    Query,
}

/// The tokens that are accepted.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// The token that grants every permission. It is accepted in the header only.
    pub publish_token: Secret,
    /// The token that grants permission to subscribe to every channel, if there is one.
    pub subscribe_token: Option<Secret>,
    /// The issuer whose JWTs are accepted, if there is one.
    pub issuer: Option<Issuer>,
}

impl Authenticator {
    /// Returns the principal that a token stands for at `now`.
    ///
    /// # Errors
    /// Returns the reason if the token is not accepted.
    pub fn authenticate(
        &self,
        token: &[u8],
        source: TokenSource,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        if source == TokenSource::AuthorizationHeader && self.publish_token.matches(token) {
            return Ok(Principal::with_token(token, Permissions::all()));
        }
        if let Some(secret) = &self.subscribe_token
            && secret.matches(token)
        {
            return Ok(Principal::with_token(token, Permissions::subscribe_only()));
        }
        match &self.issuer {
            Some(issuer) if token.contains(&b'.') => issuer.authenticate(token, now),
            _ => Err(AuthError::Unknown),
        }
    }
}

/// Reasons not to accept a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// The token is none of the shared tokens and cannot be a JWT, or no JWTs are accepted.
    #[error("the token is not the publish token or any other accepted token")]
    Unknown,
    /// The token is not a JWS in compact serialisation (RFC 7515, 7.1) or too long, or its header cannot
    /// be read.
    #[error(
        "the token is not a signed JWT: three parts separated by dots, each in base64url without \
         padding, at most {MAX_TOKEN_BYTES} bytes in all, the first a JSON header with `alg`"
    )]
    Malformed,
    /// The header names another algorithm than the configured one.
    #[error("the token is not signed with the algorithm in `jwt_algorithm`")]
    Algorithm,
    /// The header has `crit`, which lists extensions that must be understood (RFC 7515, 4.1.11).
    #[error("the token's header has `crit`, but no extensions are supported")]
    Critical,
    /// None of the keys that the token is verified with has signed it.
    #[error(
        "the token's signature does not match a configured key; if more than two keys are \
         configured, the token must name its key by `kid`"
    )]
    Signature,
    /// A claim is missing or malformed.
    #[error(
        "a claim of the token is missing or malformed: `exp` is required; `exp` and `nbf` are \
         seconds since 1970, `iss` and `sub` strings, `aud` a string or a list of strings, and \
         `runnel` an object with the lists `publish` and `subscribe` of `*`, `name/*` or channel names"
    )]
    Claims,
    /// The time in `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// The time in `nbf` has not been reached.
    #[error("the token is not valid yet")]
    NotYet,
    /// `aud` does not name this server.
    #[error("the token's `aud` does not name this server")]
    Audience,
    /// `iss` does not name the configured issuer.
    #[error("the token's `iss` is not the configured issuer")]
    Issuer,
}

impl AuthError {
    /// Returns whether the token may be a guess: nothing in it proves that its issuer has made it. A token
    /// that has expired, or is for another audience, is genuine.
    #[must_use]
    pub const fn may_be_guess(self) -> bool {
        match self {
            Self::Unknown
            | Self::Malformed
            | Self::Algorithm
            | Self::Critical
            | Self::Signature => true,
            Self::Claims | Self::Expired | Self::NotYet | Self::Audience | Self::Issuer => false,
        }
    }
}
