//! The keys of rate limits.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::core::channel::Channel;

/// The number of buckets for each kind of key.
pub const BUCKETS: u64 = 64;

/// The kind of a key, and so of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateKind {
    /// Publishes of a credential.
    Publisher,
    /// Publishes to a channel.
    Channel,
    /// Streams and long-polls of a client.
    Client,
    /// Wrong tokens of a client.
    WrongToken,
}

/// A client as far as its address identifies it: its IPv4 address, or its IPv6 network of 64 bits, of which
/// a client usually has the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientNetwork {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address.
    V6([u8; 8]),
}

impl ClientNetwork {
    /// Parses an address as Spin writes it, with the port. Returns `None` if the text is no address, and for
    /// the unspecified address, which Spin gives for a request of another component of the application.
    #[must_use]
    pub fn parse(address: &str) -> Option<Self> {
        let address = match address.parse::<SocketAddr>() {
            Ok(address) => address.ip(),
            Err(_) => address.parse().ok()?,
        };
        if address.is_unspecified() {
            return None;
        }
        Some(match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        })
    }

    const fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

/// A key whose permits are counted: 64 bits of the SHA-256 of a name, so that nobody can make a name
/// collide with a given other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateKey {
    kind: RateKind,
    hash: u64,
}

impl RateKey {
    /// Returns the key of a publisher's credential.
    #[must_use]
    pub fn publisher(identity: &str) -> Self {
        Self::new(RateKind::Publisher, identity.as_bytes())
    }

    /// Returns the key of a channel.
    #[must_use]
    pub fn channel(channel: &Channel) -> Self {
        Self::new(RateKind::Channel, channel.as_str().as_bytes())
    }

    /// Returns the key of a client that subscribes.
    #[must_use]
    pub fn client(client: ClientNetwork) -> Self {
        Self::new(RateKind::Client, client.bytes())
    }

    /// Returns the key of a client that sends wrong tokens.
    #[must_use]
    pub fn wrong_token(client: ClientNetwork) -> Self {
        Self::new(RateKind::WrongToken, client.bytes())
    }

    fn new(kind: RateKind, name: &[u8]) -> Self {
        let digest = Sha256::digest(name);
        let hash = digest.iter().take(8);
        Self {
            kind,
            hash: hash.fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
        }
    }

    /// Returns the hash that stands for the key in its bucket.
    pub(super) const fn hash(self) -> u64 {
        self.hash
    }

    /// Returns the key of its bucket in the store.
    #[must_use]
    pub fn bucket_key(self) -> String {
        let kind = match self.kind {
            RateKind::Publisher => "publisher",
            RateKind::Channel => "channel",
            RateKind::Client => "client",
            RateKind::WrongToken => "token",
        };
        format!("rate!{kind}!{}", self.hash % BUCKETS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ten_thousand_channels_share_a_fixed_number_of_buckets() {
        let channels = (0..10_000).map(|number| format!("flood/{number}").parse().unwrap());
        let rate_keys: Vec<_> = channels
            .map(|channel: Channel| RateKey::channel(&channel))
            .collect();
        let keys: BTreeSet<_> = rate_keys.iter().map(|key| key.bucket_key()).collect();
        assert_eq!(keys.len() as u64, BUCKETS);
        let portable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'!';
        assert!(keys.iter().all(|key| key.bytes().all(portable)));
        let hashes: BTreeSet<_> = rate_keys.iter().map(|key| key.hash).collect();
        assert_eq!(hashes.len(), 10_000);
    }

    #[test]
    fn a_client_is_identified_by_its_ipv4_address_or_ipv6_network() {
        let client = |text: &str| ClientNetwork::parse(text).unwrap();
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
        for text in [
            "",
            "x",
            "10.0.0.1:x",
            "10.0.0.1:80, 10.0.0.2:80",
            "0.0.0.0:0",
            "[::]:0",
        ] {
            assert_eq!(ClientNetwork::parse(text), None, "{text}");
        }
    }
}
