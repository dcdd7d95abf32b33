//! Permissions on channels.

use serde::Deserialize;

use super::Pattern;
use crate::core::channel::Channel;

/// An operation on a channel that requires permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To append events, to close or purge the channel, and to read its state.
    Publish,
    /// To read events.
    Subscribe,
}

/// The channels that each [`Permission`] covers. A JWT grants them by its claim `runnel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Permissions {
    publish: Vec<Pattern>,
    subscribe: Vec<Pattern>,
}

impl Permissions {
    /// Returns every permission on every channel.
    #[must_use]
    pub fn all() -> Self {
        Self {
            publish: vec![Pattern::All],
            subscribe: vec![Pattern::All],
        }
    }

    /// Returns permission to subscribe to every channel, and no other.
    #[must_use]
    pub fn subscribe_only() -> Self {
        Self {
            publish: vec![],
            subscribe: vec![Pattern::All],
        }
    }

    /// Returns whether `permission` is granted on `channel`.
    #[must_use]
    pub fn allows(&self, permission: Permission, channel: &Channel) -> bool {
        let patterns = match permission {
            Permission::Publish => &self.publish,
            Permission::Subscribe => &self.subscribe,
        };
        patterns.iter().any(|pattern| pattern.includes(channel))
    }
}
