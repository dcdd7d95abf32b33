//! The authenticated client.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::permissions::{Permission, Permissions};
use crate::core::channel::Channel;
use crate::core::time::Timestamp;

/// An authenticated client: its permissions, when they expire, and its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    permissions: Permissions,
    expires: Option<Timestamp>,
    identity: Option<String>,
}

impl Principal {
    /// Returns the principal of a client without a token, where subscribing needs none.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            permissions: Permissions::subscribe_only(),
            expires: None,
            identity: None,
        }
    }

    /// Returns the principal of a shared token, which never expires.
    pub(super) fn with_token(token: &[u8], permissions: Permissions) -> Self {
        Self {
            permissions,
            expires: None,
            identity: Some(token_identity(token)),
        }
    }

    /// Returns the principal of a JWT with these claims.
    pub(super) fn with_jwt(
        token: &[u8],
        subject: Option<&str>,
        permissions: Permissions,
        expires: Timestamp,
    ) -> Self {
        let identity = match subject {
            Some(subject) => format!("sub:{subject}"),
            None => token_identity(token),
        };
        Self {
            permissions,
            expires: Some(expires),
            identity: Some(identity),
        }
    }

    /// Returns whether `permission` is granted on `channel`.
    #[must_use]
    pub fn allows(&self, permission: Permission, channel: &Channel) -> bool {
        self.permissions.allows(permission, channel)
    }

    /// Returns the time from which the permissions are no longer valid; `None` if they never expire.
    #[must_use]
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Returns `sub:` and the subject of a JWT, or else `token:` and the first 16 hexadecimal digits of
    /// the token's SHA-256; `None` if the client is anonymous.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }
}

fn token_identity(token: &[u8]) -> String {
    let mut identity = "token:".to_owned();
    for byte in Sha256::digest(token).iter().take(8) {
        // Writing to a string does not fail.
        _ = write!(identity, "{byte:02x}");
    }
    identity
}
