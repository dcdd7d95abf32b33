//! Configuration: variables as typed values.
//!
//! The defaults are in spin.toml and nowhere else. A component is given only the variables that it needs,
//! so each part of the configuration is read on first use, and then kept.

mod auth;
mod base_path;
mod observability;
mod origin;
mod origins;
mod publish;
mod subscribe;
mod variables;

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;

pub use auth::AuthConfig;
pub use base_path::BasePath;
pub use origin::{NotAnOrigin, Origin};
pub use origins::Origins;
pub use publish::PublishConfig;
pub use subscribe::SubscribeConfig;
pub use variables::{VariableError, Variables};

use crate::core::access::Secret;
use crate::core::limit::Rate;
use crate::core::logging::Level;

/// A variable that is missing or has a value that is not accepted. Secrets are not quoted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The largest sizes of parts of a request, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The query.
    pub query_bytes: usize,
    /// Each header that is read.
    pub header_bytes: usize,
}

/// The configuration of an instance.
pub struct Config {
    variables: Box<dyn Variables>,
    base_path: OnceCell<Rc<BasePath>>,
    publish: OnceCell<Rc<PublishConfig>>,
    subscribe: OnceCell<SubscribeConfig>,
    wrong_token_rate: OnceCell<Option<Rate>>,
    origins: OnceCell<Rc<Origins>>,
    public_origins: OnceCell<Rc<Vec<Origin>>>,
    publisher_auth: OnceCell<Rc<AuthConfig>>,
    subscriber_auth: OnceCell<Option<Rc<AuthConfig>>>,
    metrics_interval: OnceCell<Option<Duration>>,
    log_level: OnceCell<Level>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

/// Returns the value in `cell`, and parses it first if the cell is empty. Errors are not kept.
async fn cached<T: Clone>(
    cell: &OnceCell<T>,
    parse: impl Future<Output = Result<T, ConfigError>>,
) -> Result<T, ConfigError> {
    if let Some(value) = cell.get() {
        return Ok(value.clone());
    }
    let value = parse.await?;
    Ok(cell.get_or_init(|| value).clone())
}

/// The errors of all methods name the first variable that is missing or not accepted.
impl Config {
    /// Creates a configuration that reads `variables` on first use.
    #[must_use]
    pub fn new(variables: impl Variables) -> Self {
        Self {
            variables: Box::new(variables),
            base_path: OnceCell::new(),
            publish: OnceCell::new(),
            subscribe: OnceCell::new(),
            wrong_token_rate: OnceCell::new(),
            origins: OnceCell::new(),
            public_origins: OnceCell::new(),
            publisher_auth: OnceCell::new(),
            subscriber_auth: OnceCell::new(),
            metrics_interval: OnceCell::new(),
            log_level: OnceCell::new(),
        }
    }

    /// Returns the path at which the server is mounted.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn base_path(&self) -> Result<Rc<BasePath>, ConfigError> {
        let parse = async { Ok(Rc::new(BasePath::parse(&*self.variables).await?)) };
        cached(&self.base_path, parse).await
    }

    /// Returns the configuration of publishing.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn publish(&self) -> Result<Rc<PublishConfig>, ConfigError> {
        let parse = async { Ok(Rc::new(PublishConfig::parse(&*self.variables).await?)) };
        cached(&self.publish, parse).await
    }

    /// Returns the configuration of subscribing.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn subscribe(&self) -> Result<SubscribeConfig, ConfigError> {
        cached(&self.subscribe, SubscribeConfig::parse(&*self.variables)).await
    }

    /// Returns the origins whose pages may use this server.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn origins(&self) -> Result<Rc<Origins>, ConfigError> {
        let parse = async { Ok(Rc::new(Origins::parse(&*self.variables).await?)) };
        cached(&self.origins, parse).await
    }

    /// Returns the origins at which browsers reach this server; none if they are unknown.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn public_origins(&self) -> Result<Rc<Vec<Origin>>, ConfigError> {
        let parse = async { Ok(Rc::new(origins::public(&*self.variables).await?)) };
        cached(&self.public_origins, parse).await
    }

    /// Returns the authentication of publishers.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn publisher_auth(&self) -> Result<Rc<AuthConfig>, ConfigError> {
        let parse = async { Ok(Rc::new(AuthConfig::of_publishers(&*self.variables).await?)) };
        cached(&self.publisher_auth, parse).await
    }

    /// Returns the authentication of subscribers; `None` if they need none.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn subscriber_auth(&self) -> Result<Option<Rc<AuthConfig>>, ConfigError> {
        let parse = async {
            Ok(AuthConfig::of_subscribers(&*self.variables)
                .await?
                .map(Rc::new))
        };
        cached(&self.subscriber_auth, parse).await
    }

    /// Returns the rate at which each client may send wrong tokens; `None` is no limit.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn wrong_token_rate(&self) -> Result<Option<Rate>, ConfigError> {
        let parse = auth::wrong_token_rate(&*self.variables);
        cached(&self.wrong_token_rate, parse).await
    }

    /// Returns the interval at which an instance writes its counts; `None` if it does not.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn metrics_interval(&self) -> Result<Option<Duration>, ConfigError> {
        let parse = observability::metrics_interval(&*self.variables);
        cached(&self.metrics_interval, parse).await
    }

    /// Returns the token that reads the metrics; `None` if they are public. Only `/metrics` needs it, so it
    /// is not kept.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn metrics_token(&self) -> Result<Option<Secret>, ConfigError> {
        observability::metrics_token(&*self.variables).await
    }

    /// Returns the level of the log.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub async fn log_level(&self) -> Result<Level, ConfigError> {
        cached(&self.log_level, observability::log_level(&*self.variables)).await
    }
}

#[cfg(test)]
mod tests;
