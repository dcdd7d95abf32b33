//! Attempts to authenticate, and the limit on those that fail.

use http::HeaderMap;

use super::problem::Problem;
use super::{Instance, limits};
use crate::core::limit::{Rate, RateKey};

/// An attempt to authenticate with a token.
pub(super) struct Attempt<'a> {
    instance: &'a Instance,
    /// The client whose wrong tokens are limited; `None` if there is no limit.
    client: Option<(RateKey, Rate)>,
    token: &'a [u8],
}

impl<'a> Attempt<'a> {
    /// Begins an attempt, unless the client has sent too many wrong tokens. Then it is not told of any
    /// token whether it is right, except of those that this instance has accepted from it before: others
    /// may share its address.
    pub(super) async fn begin(
        instance: &'a Instance,
        headers: &HeaderMap,
        token: &'a [u8],
    ) -> Result<Self, Problem> {
        let rate = instance.config.wrong_token_rate().await;
        let rate = rate.map_err(Problem::config)?;
        let client = limits::client(headers).map(RateKey::wrong_token);
        if let Some(client) = client
            && let Some(wait) = instance.limiter.known_refusal(client)
            && !instance.accepted_tokens.contains(client, token)
        {
            return Err(Problem::wrong_tokens(wait));
        }
        Ok(Self {
            instance,
            client: client.zip(rate),
            token,
        })
    }

    /// Remembers the token, which was accepted.
    pub(super) fn succeeded(self) {
        if let Some((client, _)) = self.client {
            self.instance.accepted_tokens.insert(client, self.token);
        }
    }

    /// Counts the token, which may be a guess.
    ///
    /// # Errors
    /// If the client has sent too many of them.
    pub(super) async fn failed(self) -> Result<(), Problem> {
        let Some((client, rate)) = self.client else {
            return Ok(());
        };
        let counted = self.instance.limiter.count(client, Some(rate)).await;
        counted.map_err(Problem::wrong_tokens)
    }
}
