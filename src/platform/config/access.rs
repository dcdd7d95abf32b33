//! Who may publish and subscribe.

use std::cell::OnceCell;
use std::rc::Rc;

use super::{ConfigError, flag, not_empty, text};
use crate::core::access::{Algorithm, Authenticator, Issuer, Keys, Secret};

/// Which tokens are good, and where a request may carry them beside the header `authorization`.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Which tokens are good.
    pub gate: Authenticator,
    /// The name of the cookie.
    pub cookie: String,
    /// Whether they may stand in the query.
    pub in_query: bool,
}

thread_local! {
    static PUBLISHERS: OnceCell<Rc<AuthConfig>> = const { OnceCell::new() };
    static SUBSCRIBERS: OnceCell<Option<Rc<AuthConfig>>> = const { OnceCell::new() };
}

/// The door for publishers.
///
/// # Errors
/// Names the first variable that is missing or not accepted.
pub async fn publishers() -> Result<Rc<AuthConfig>, ConfigError> {
    if let Some(door) = PUBLISHERS.with(|cell| cell.get().cloned()) {
        return Ok(door);
    }
    let door = Rc::new(AuthConfig {
        gate: Authenticator {
            publish_token: publish_token().await?,
            subscribe_token: None,
            issuer: issuer().await?,
        },
        cookie: cookie().await?,
        in_query: false,
    });
    Ok(PUBLISHERS.with(|cell| cell.get_or_init(|| door).clone()))
}

/// The door for subscribers; `None` if it stands open.
///
/// # Errors
/// Names the first variable that is missing or not accepted.
pub async fn subscribers() -> Result<Option<Rc<AuthConfig>>, ConfigError> {
    if let Some(door) = SUBSCRIBERS.with(|cell| cell.get().cloned()) {
        return Ok(door);
    }
    let (subscribe_token, issuer) = match text("subscribe_auth").await?.as_str() {
        "open" => {
            SUBSCRIBERS.with(|cell| _ = cell.set(None));
            return Ok(None);
        }
        "token" => (Some(subscribe_token().await?), None),
        "jwt" => {
            let issuer = issuer().await?;
            let missing = || {
                ConfigError(
                    "the variable subscribe_auth is `jwt`, which needs jwt_algorithm and jwt_key"
                        .to_owned(),
                )
            };
            (None, Some(issuer.ok_or_else(missing)?))
        }
        other => {
            return Err(ConfigError(format!(
                "the variable subscribe_auth is {other:?}; accepted are `open`, `token` and `jwt`"
            )));
        }
    };
    let door = Some(Rc::new(AuthConfig {
        gate: Authenticator {
            publish_token: publish_token().await?,
            subscribe_token,
            issuer,
        },
        cookie: cookie().await?,
        in_query: flag("token_in_query", &text("token_in_query").await?)?,
    }));
    Ok(SUBSCRIBERS.with(|cell| cell.get_or_init(|| door).clone()))
}

async fn publish_token() -> Result<Secret, ConfigError> {
    let token = text("publish_token").await?;
    not_empty("publish_token", &token)?;
    Ok(Secret::new(&token))
}

async fn subscribe_token() -> Result<Secret, ConfigError> {
    let token = text("subscribe_token").await?;
    not_empty("subscribe_token", &token)?;
    if publish_token().await?.matches(token.as_bytes()) {
        return Err(ConfigError(
            "the variables subscribe_token and publish_token are the same: every subscriber could publish"
                .to_owned(),
        ));
    }
    Ok(Secret::new(&token))
}

async fn issuer() -> Result<Option<Issuer>, ConfigError> {
    let (algorithm, key) = (text("jwt_algorithm").await?, text("jwt_key").await?);
    let Some(keys) = keys(&algorithm, &key)? else {
        return Ok(None);
    };
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let audience = given(text("jwt_audience").await?);
    let name = given(text("jwt_issuer").await?);
    Ok(Some(Issuer::new(keys, audience, name)))
}

/// Both or neither are given.
fn keys(algorithm: &str, key: &str) -> Result<Option<Keys>, ConfigError> {
    if algorithm.is_empty() {
        return match key.is_empty() {
            true => Ok(None),
            false => Err(ConfigError(
                "the variable jwt_key is given, which needs jwt_algorithm".to_owned(),
            )),
        };
    }
    let algorithm: Algorithm = algorithm.parse().map_err(|_| {
        ConfigError(format!(
            "the variable jwt_algorithm is {algorithm:?}; accepted are HS256, RS256, ES256 and EdDSA"
        ))
    })?;
    not_empty("jwt_key", key)?;
    let keys = Keys::parse(algorithm, key);
    keys.map(Some)
        .map_err(|error| ConfigError(format!("the variable jwt_key {error}")))
}

async fn cookie() -> Result<String, ConfigError> {
    let name = text("token_cookie").await?;
    // RFC 6265, 4.1.1; RFC 9110, 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !name.is_empty() && name.bytes().all(is_token) {
        true => Ok(name),
        false => Err(ConfigError(format!(
            "the variable token_cookie is {name:?}; accepted is the name of a cookie, such as runnel_token"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_needs_a_key_and_a_key_an_algorithm() {
        let refused = |algorithm, key| keys(algorithm, key).unwrap_err().to_string();
        assert!(keys("", "").unwrap().is_none());
        assert!(keys("HS256", "0123456789abcdef0123456789abcdef").is_ok());
        assert_eq!(refused("HS256", ""), "the variable jwt_key is empty");
        assert!(refused("", "secret").starts_with("the variable jwt_key is given"));
        for name in ["none", "hs256", "HS512"] {
            let refused = refused(name, "0123456789abcdef0123456789abcdef");
            assert!(refused.starts_with(&format!(
                "the variable jwt_algorithm is {name:?}; accepted are"
            )));
        }
    }

    #[test]
    fn a_bad_key_is_refused_by_name_and_not_quoted() {
        let refused = keys("HS256", "hunter2").unwrap_err().to_string();
        assert!(refused.starts_with("the variable jwt_key has a secret that is too short"));
        assert!(!refused.contains("hunter2"));
    }
}
