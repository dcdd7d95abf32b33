//! The authentication of publishers and subscribers.

use std::time::Duration;

use super::variables::{flag, keyword, non_empty, optional, rate, text};
use super::{ConfigError, Variables};
use crate::core::access::{Algorithm, Authenticator, Issuer, Keys, Secret};
use crate::core::limit::Rate;

/// The accepted tokens, and the parts of a request that can carry one besides the header
/// `authorization`.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The accepted tokens.
    pub authenticator: Authenticator,
    /// The name of the cookie that can carry a token.
    pub cookie: String,
    /// Accepts tokens in the query, as `access_token`.
    pub accept_query: bool,
}

impl AuthConfig {
    pub(super) async fn of_publishers(variables: &dyn Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            authenticator: Authenticator {
                publish_token: publish_token(variables).await?,
                subscribe_token: None,
                issuer: issuer(variables).await?,
            },
            cookie: cookie(variables).await?,
            accept_query: false,
        })
    }

    /// Returns `None` if subscribers need no token.
    pub(super) async fn of_subscribers(
        variables: &dyn Variables,
    ) -> Result<Option<Self>, ConfigError> {
        let (subscribe_token, issuer) = match keyword(variables, "subscribe_auth").await?.as_str() {
            "open" => return Ok(None),
            "token" => (Some(subscribe_token(variables).await?), None),
            "jwt" => (None, Some(required_issuer(variables).await?)),
            other => {
                return Err(ConfigError(format!(
                    "the variable subscribe_auth is {other:?}; expected `open`, `token` or `jwt`"
                )));
            }
        };
        Ok(Some(Self {
            authenticator: Authenticator {
                publish_token: publish_token(variables).await?,
                subscribe_token,
                issuer,
            },
            cookie: cookie(variables).await?,
            accept_query: flag(variables, "token_in_query").await?,
        }))
    }
}

async fn publish_token(variables: &dyn Variables) -> Result<Secret, ConfigError> {
    let token = non_empty(variables, "publish_token").await?;
    Ok(Secret::new(&token))
}

async fn subscribe_token(variables: &dyn Variables) -> Result<Secret, ConfigError> {
    let token = non_empty(variables, "subscribe_token").await?;
    if publish_token(variables).await?.matches(token.as_bytes()) {
        return Err(ConfigError(
            "the variables subscribe_token and publish_token are the same: every subscriber could publish"
                .to_owned(),
        ));
    }
    Ok(Secret::new(&token))
}

async fn required_issuer(variables: &dyn Variables) -> Result<Issuer, ConfigError> {
    issuer(variables).await?.ok_or_else(|| {
        ConfigError(
            "the variable subscribe_auth is `jwt`, which needs jwt_algorithm and jwt_key"
                .to_owned(),
        )
    })
}

async fn issuer(variables: &dyn Variables) -> Result<Option<Issuer>, ConfigError> {
    let algorithm = text(variables, "jwt_algorithm").await?;
    let key = text(variables, "jwt_key").await?;
    let Some(keys) = parse_keys(&algorithm, &key)? else {
        return Ok(None);
    };
    let audience = optional(variables, "jwt_audience").await?;
    let name = optional(variables, "jwt_issuer").await?;
    Ok(Some(Issuer::new(keys, audience, name)))
}

/// Parses the keys of an issuer; returns `None` if neither algorithm nor key is given.
fn parse_keys(algorithm: &str, key: &str) -> Result<Option<Keys>, ConfigError> {
    let error = |text: String| Err(ConfigError(text));
    match (algorithm.is_empty(), key.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) => {
            return error("the variable jwt_key is given, which needs jwt_algorithm".to_owned());
        }
        (false, _) => {}
    }
    let parsed: Algorithm = match algorithm.parse() {
        Ok(parsed) => parsed,
        Err(expected) => {
            return error(format!(
                "the variable jwt_algorithm is {algorithm:?}; {expected}"
            ));
        }
    };
    if key.is_empty() {
        return error("the variable jwt_key is empty".to_owned());
    }
    match Keys::parse(parsed, key) {
        Ok(keys) => Ok(Some(keys)),
        Err(reason) => error(format!("the variable jwt_key {reason}")),
    }
}

pub(super) async fn wrong_token_rate(
    variables: &dyn Variables,
) -> Result<Option<Rate>, ConfigError> {
    rate(variables, "wrong_token_rate", Duration::from_secs(60)).await
}

async fn cookie(variables: &dyn Variables) -> Result<String, ConfigError> {
    let name = text(variables, "token_cookie").await?;
    // RFC 6265, 4.1.1; RFC 9110, 5.6.2.
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_token) {
        return Err(ConfigError(format!(
            "the variable token_cookie is {name:?}; expected the name of a cookie, such as runnel_token"
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_needs_a_key_and_a_key_an_algorithm() {
        let rejected = |algorithm, key| parse_keys(algorithm, key).unwrap_err().to_string();
        assert!(parse_keys("", "").unwrap().is_none());
        assert!(parse_keys("HS256", "0123456789abcdef0123456789abcdef").is_ok());
        assert_eq!(rejected("HS256", ""), "the variable jwt_key is empty");
        assert!(rejected("", "secret").starts_with("the variable jwt_key is given"));
        for name in ["none", "hs256", "HS512"] {
            let rejected = rejected(name, "0123456789abcdef0123456789abcdef");
            assert!(rejected.starts_with(&format!(
                "the variable jwt_algorithm is {name:?}; expected "
            )));
        }
    }

    #[test]
    fn a_bad_key_is_reported_by_name_and_not_quoted() {
        let rejected = parse_keys("HS256", "hunter2").unwrap_err().to_string();
        assert!(rejected.starts_with("the variable jwt_key has a secret that is too short"));
        assert!(!rejected.contains("hunter2"));
    }
}
