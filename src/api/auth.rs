//! Who may publish and subscribe.

use http::Method;

use super::problem::Problem;
use super::{cors, credentials};
use crate::core::access::{Permission, Principal, TokenSource};
use crate::core::channel::Channel;
use crate::platform::{clock, config};

/// The credential of somebody who may publish to the channel.
pub(super) async fn publisher<B>(
    channel: &Channel,
    request: &http::Request<B>,
) -> Result<Principal, Problem> {
    let door = config::publishers().await.map_err(Problem::config)?;
    let credential = admit(&door, request).await?;
    may(&credential, Permission::Publish, [channel])?;
    Ok(credential)
}

/// The credential of a subscriber: to what is still to be seen.
pub(super) async fn subscriber<B>(request: &http::Request<B>) -> Result<Principal, Problem> {
    match config::subscribers().await.map_err(Problem::config)? {
        Some(door) => admit(&door, request).await,
        None => Ok(Principal::anonymous()),
    }
}

/// Holds a credential to have a right to every one of the channels.
pub(super) fn may<'a>(
    credential: &Principal,
    right: Permission,
    channels: impl IntoIterator<Item = &'a Channel>,
) -> Result<(), Problem> {
    let mut channels = channels.into_iter();
    match channels.find(|channel| !credential.allows(right, channel)) {
        Some(channel) => Err(Problem::forbidden(right, channel)),
        None => Ok(()),
    }
}

async fn admit<B>(
    door: &config::AuthConfig,
    request: &http::Request<B>,
) -> Result<Principal, Problem> {
    let (token, source) =
        credentials::token(request, &door.cookie, door.in_query)?.ok_or_else(|| {
            Problem::missing_token("the header `authorization: Bearer TOKEN` or in a cookie")
        })?;
    let now = clock::now().wall;
    let credential = door.gate.authenticate(&token, source, now);
    let credential = credential.map_err(Problem::invalid_token)?;
    if source == TokenSource::Cookie && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let origins = config::origins().await.map_err(Problem::config)?;
        if !cors::is_trusted(&origins, request) {
            return Err(Problem::untrusted_origin());
        }
    }
    Ok(credential)
}
