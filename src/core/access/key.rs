//! One key of an issuer.

use jsonwebtoken::DecodingKey;

/// A key and its `kid`, if it has one.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) key: DecodingKey,
}

impl Key {
    pub(super) const fn unnamed(key: DecodingKey) -> Self {
        Self { kid: None, key }
    }
}
