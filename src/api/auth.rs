//! The principal of a request, and its permissions.

use http::Method;

use super::attempt::Attempt;
use super::problem::Problem;
use super::{Instance, cors, credentials};
use crate::config::AuthConfig;
use crate::core::access::{Permission, Principal, TokenSource};
use crate::core::channel::Channel;
use crate::core::environment::Environment as _;

/// Returns the principal of a request that changes or inspects a channel, which takes permission to
/// publish to it.
pub(super) async fn publisher<B>(
    instance: &Instance,
    channel: &Channel,
    request: &http::Request<B>,
) -> Result<Principal, Problem> {
    let auth = instance.config.publisher_auth().await;
    let auth = auth.map_err(Problem::config)?;
    let principal = authenticate(instance, &auth, request).await?;
    require(&principal, Permission::Publish, [channel])?;
    Ok(principal)
}

/// Returns the principal of a subscriber, before its permissions are checked.
pub(super) async fn subscriber<B>(
    instance: &Instance,
    request: &http::Request<B>,
) -> Result<Principal, Problem> {
    let auth = instance.config.subscriber_auth().await;
    match auth.map_err(Problem::config)? {
        Some(auth) => authenticate(instance, &auth, request).await,
        None => Ok(Principal::anonymous()),
    }
}

/// Rejects a principal that lacks the permission for any of the channels.
pub(super) fn require<'a>(
    principal: &Principal,
    permission: Permission,
    channels: impl IntoIterator<Item = &'a Channel>,
) -> Result<(), Problem> {
    let mut channels = channels.into_iter();
    match channels.find(|channel| !principal.allows(permission, channel)) {
        Some(channel) => Err(Problem::forbidden(permission, channel)),
        None => Ok(()),
    }
}

async fn authenticate<B>(
    instance: &Instance,
    auth: &AuthConfig,
    request: &http::Request<B>,
) -> Result<Principal, Problem> {
    let token = credentials::token(request, &auth.cookie, auth.accept_query)?;
    let (token, source) = token.ok_or_else(|| {
        Problem::missing_token("the header `authorization: Bearer TOKEN` or in a cookie")
    })?;
    let attempt = Attempt::begin(instance, request.headers(), &token).await?;
    let now = instance.env.clock().wall;
    let principal = match auth.authenticator.authenticate(&token, source, now) {
        Ok(principal) => principal,
        Err(error) => {
            if error.may_be_guess() {
                attempt.failed().await?;
            }
            return Err(Problem::invalid_token(error));
        }
    };
    attempt.succeeded();
    if source == TokenSource::Cookie && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let origins = instance.config.origins().await.map_err(Problem::config)?;
        let public = instance.config.public_origins().await;
        if !cors::is_trusted(&origins, &public.map_err(Problem::config)?, request) {
            return Err(Problem::untrusted_origin());
        }
    }
    Ok(principal)
}
