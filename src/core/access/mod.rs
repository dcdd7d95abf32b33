//! Who may publish and subscribe.
//!
//! A [`Authenticator`] knows which tokens are good; a [`Principal`] is what one of them is good for.

mod jwk;
mod jwt;
mod key;
mod known;
mod pattern;
mod secret;
mod verifying;

use std::fmt;
use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use jwt::{Issuer, LEEWAY_MILLIS, MAX_TOKEN_BYTES};
pub use key::{Algorithm, KeyError, Keys};
pub use pattern::Pattern;
pub use secret::Secret;

use crate::core::channel::Channel;
use crate::core::time::Timestamp;

/// What somebody may do with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Append events, close it, purge it, and ask for its state.
    Publish,
    /// Read its events.
    Subscribe,
}

/// With which channels somebody may do what. In a JWT it is the claim `runnel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Permissions {
    publish: Vec<Pattern>,
    subscribe: Vec<Pattern>,
}

impl Permissions {
    /// Everything with all channels.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            publish: vec![Pattern::All],
            ..Self::subscribing()
        }
    }

    /// Subscribing to all channels.
    #[must_use]
    pub fn subscribing() -> Self {
        Self {
            publish: vec![],
            subscribe: vec![Pattern::All],
        }
    }

    /// Whether it has this right to this channel.
    #[must_use]
    pub fn allows(&self, right: Permission, channel: &Channel) -> bool {
        let patterns = match right {
            Permission::Publish => &self.publish,
            Permission::Subscribe => &self.subscribe,
        };
        patterns.iter().any(|pattern| pattern.includes(channel))
    }
}

/// What somebody may do, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    grant: Permissions,
    expires: Option<Timestamp>,
    identity: Option<String>,
}

impl Principal {
    /// Of anybody, where subscribing is open.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            grant: Permissions::subscribing(),
            expires: None,
            identity: None,
        }
    }

    fn of_token(token: &[u8], grant: Permissions) -> Self {
        Self {
            grant,
            expires: None,
            identity: Some(digest(token)),
        }
    }

    /// Whether it has this right to this channel.
    #[must_use]
    pub fn allows(&self, right: Permission, channel: &Channel) -> bool {
        self.grant.allows(right, channel)
    }

    /// When it ceases to be good; `None` if never.
    #[must_use]
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whose it is: `sub:` and the subject of a JWT, or else `token:` and 16 hexadecimal digits of the
    /// token's SHA-256. `None` if nobody had to say who they are.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }
}

fn digest(token: &[u8]) -> String {
    let mut identity = "token:".to_owned();
    for byte in Sha256::digest(token).iter().take(8) {
        _ = write!(identity, "{byte:02x}");
    }
    identity
}

/// Where in a request a token was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// In the header `authorization`.
    Header,
    /// In a cookie.
    Cookie,
    /// In the query.
    Query,
}

/// Which tokens are good.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// The token that may do everything. It is good in the header only.
    pub publish_token: Secret,
    /// The token that may subscribe to all channels, if there is one.
    pub subscribe_token: Option<Secret>,
    /// Whose JWTs are good, if any are.
    pub issuer: Option<Issuer>,
}

impl Authenticator {
    /// What a token is good for now.
    ///
    /// # Errors
    /// Why it is good for nothing.
    pub fn admit(
        &self,
        token: &[u8],
        place: TokenSource,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        if self.publish_token.is(token) && place == TokenSource::Header {
            return Ok(Principal::of_token(token, Permissions::everything()));
        }
        if self.subscribe_token.as_ref().is_some_and(|t| t.is(token)) {
            return Ok(Principal::of_token(token, Permissions::subscribing()));
        }
        match &self.issuer {
            Some(issuer) if token.contains(&b'.') => issuer.admit(token, now),
            _ => Err(AuthError::Unknown),
        }
    }
}

/// Why a token is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// It is no token that is known, nor a JWT where they are good.
    Unknown,
    /// It is no JWS in compact serialisation (RFC 7515, 7.1), or too long, or its header is not
    /// readable, or names an algorithm that nobody knows, such as `none`.
    Malformed,
    /// The algorithm in its header is not the one that is configured.
    Algorithm,
    /// Its header has `crit`: extensions that have to be understood (RFC 7515, 4.1.11).
    Critical,
    /// There is no key of the `kid` in its header, or its signature is not by that key, or by none of
    /// those that are tried.
    Signature,
    /// A claim is missing or is not what it has to be.
    Claims,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It is for others.
    Audience,
    /// It is by others.
    Issuer,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the token is not the publish token, nor another that is good here",
            Self::Malformed => {
                "the token is not a signed JWT: three parts with dots between them, each in base64url \
                 without padding, 8192 bytes at most, and first a header of JSON whose `alg` is known"
            }
            Self::Algorithm => "the token is signed by another algorithm than `jwt_algorithm`",
            Self::Critical => "the token's header has `crit`, and no extension is understood here",
            Self::Signature => {
                "the token's signature is not by the key that is configured; if there are more than two, \
                 the token has to name its own by `kid`"
            }
            Self::Claims => {
                "a claim of the token is missing or badly formed: `exp` is required; `exp` and `nbf` are \
                 seconds since 1970, `iss` and `sub` text, `aud` text or a list of texts, `runnel` \
                 an object with lists `publish` and `subscribe` of `*`, `name/*` or a channel's name"
            }
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not good yet",
            Self::Audience => "the token's `aud` does not name this server",
            Self::Issuer => "the token's `iss` is not the issuer that is configured",
        })
    }
}

impl std::error::Error for AuthError {}

#[cfg(test)]
mod tests;
