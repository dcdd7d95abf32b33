//! Who or what is limited.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::core::channel::Channel;

/// How many slots there are of each kind.
pub const SLOTS: u64 = 64;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Publishing, by credential.
    Publisher,
    /// Publishing, by channel.
    Channel,
    /// Opening streams, by the client's address.
    Client,
}

/// One whose permits are counted: 64 bits of the SHA-256 of its name, which nobody can make collide
/// with another's at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateKey {
    kind: Kind,
    hash: u64,
}

impl RateKey {
    /// The bearer of a credential.
    #[must_use]
    pub fn publisher(identity: &str) -> Self {
        Self::new(Kind::Publisher, identity.as_bytes())
    }

    /// A channel.
    #[must_use]
    pub fn channel(channel: &Channel) -> Self {
        Self::new(Kind::Channel, channel.as_str().as_bytes())
    }

    /// A client by its address as Spin writes it, with the port. An IPv6 client commands a network of
    /// 64 bits, so its network is what counts.
    #[must_use]
    pub fn client(address: &str) -> Option<Self> {
        let address = match address.parse::<SocketAddr>() {
            Ok(address) => address.ip(),
            Err(_) => address.parse().ok()?,
        };
        Some(match address.to_canonical() {
            IpAddr::V4(address) => Self::new(Kind::Client, &address.octets()),
            IpAddr::V6(address) => Self::new(Kind::Client, &address.octets()[..8]),
        })
    }

    fn new(kind: Kind, name: &[u8]) -> Self {
        let digest = Sha256::digest(name);
        let hash = digest.iter().take(8);
        Self {
            kind,
            hash: hash.fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
        }
    }

    /// Its name in its slot.
    pub(super) const fn hash(self) -> u64 {
        self.hash
    }

    /// The key of its slot in the store.
    #[must_use]
    pub fn slot_key(self) -> String {
        let kind = match self.kind {
            Kind::Publisher => "publisher",
            Kind::Channel => "channel",
            Kind::Client => "client",
        };
        format!("rate!{kind}!{}", self.hash % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ten_thousand_channels_share_the_fixed_keys() {
        let channels = (0..10_000).map(|number| format!("flood/{number}").parse().unwrap());
        let subjects: Vec<_> = channels
            .map(|channel: Channel| RateKey::channel(&channel))
            .collect();
        let keys: BTreeSet<_> = subjects.iter().map(|subject| subject.slot_key()).collect();
        assert_eq!(keys.len() as u64, SLOTS);
        let portable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'!';
        assert!(keys.iter().all(|key| key.bytes().all(portable)));
        let hashes: BTreeSet<_> = subjects.iter().map(|subject| subject.hash).collect();
        assert_eq!(hashes.len(), 10_000);
    }

    #[test]
    fn a_client_is_its_address_without_the_port_and_in_ipv6_its_network() {
        let client = |text: &str| RateKey::client(text).unwrap();
        assert_eq!(client("10.0.0.1:80"), client("10.0.0.1:81"));
        assert_eq!(client("10.0.0.1:80"), client("10.0.0.1"));
        assert_eq!(client("10.0.0.1:80"), client("[::ffff:10.0.0.1]:80"));
        assert_ne!(client("10.0.0.1:80"), client("10.0.0.2:80"));
        assert_eq!(
            client("[2001:db8:0:1::1]:80"),
            client("[2001:db8:0:1:2::]:1")
        );
        assert_ne!(
            client("[2001:db8:0:1::1]:80"),
            client("[2001:db8:0:2::1]:80")
        );
        for text in ["", "x", "10.0.0.1:x", "10.0.0.1:80, 10.0.0.2:80"] {
            assert_eq!(RateKey::client(text), None, "{text}");
        }
    }
}
