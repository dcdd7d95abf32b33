//! The state of one instance of the component.

mod stream_permits;

use std::cell::Cell;
use std::fmt;

pub use stream_permits::{StreamPermit, StreamPermits};

use crate::config::{Config, ConfigError, Variables};
use crate::core::access::AcceptedTokens;
use crate::core::environment::Environment;
use crate::core::limit::Limiter;
use crate::core::log::kv::KvLog;
use crate::core::logging::Logger;
use crate::core::metrics::{Metrics, MetricsWriter};
use crate::core::parking::Parking;
use crate::core::store::{KeyValueStore, StoreClient};
use crate::core::stream::SharedFrames;

/// The largest number of bytes of encoded events that the streams of an instance share: 8 MiB.
const SHARED_FRAMES_BYTES: usize = 8 * 1024 * 1024;

/// Everything that the requests of an instance share. The parts are handles: clones of them refer to the
/// same state, so a future that outlives its request takes those that it needs.
pub struct Instance<E: Environment, S> {
    /// Clocks, random numbers and tasks.
    pub env: E,
    /// The configuration.
    pub config: Config,
    /// The operator's log.
    pub logger: Logger<E>,
    /// The counts.
    pub metrics: Metrics,
    /// The writer of the counts to the store.
    pub metrics_writer: MetricsWriter<E, S>,
    /// The key-value store.
    pub store: StoreClient<E, S>,
    /// The logs of all channels.
    pub log: KvLog<E, S>,
    /// Polls the streams that only wait.
    pub parking: Parking<E>,
    /// The encoded events that streams share.
    pub frames: SharedFrames,
    /// The rate limits.
    pub limiter: Limiter<E, S>,
    /// The tokens that were accepted.
    pub accepted_tokens: AcceptedTokens,
    /// The permits for open streams and waiting long-polls.
    pub stream_permits: StreamPermits,
    /// Set once a bad interval of metrics has been logged.
    has_logged_interval: Cell<bool>,
}

impl<E: Environment, S> fmt::Debug for Instance<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

impl<E: Environment, S: KeyValueStore> Instance<E, S> {
    /// Creates the state of an instance that has served nothing yet.
    #[must_use]
    pub fn new(env: E, store: S, variables: impl Variables) -> Self {
        let metrics = Metrics::new(env.random().max(1));
        let logger = Logger::new(env.clone(), metrics.clone());
        let store = StoreClient::new(env.clone(), store, metrics.clone());
        let parking = Parking::new(env.clone());
        Self {
            config: Config::new(variables),
            metrics_writer: MetricsWriter::new(
                env.clone(),
                store.clone(),
                metrics.clone(),
                logger.clone(),
            ),
            log: KvLog::new(env.clone(), store.clone(), metrics.clone(), parking.clone()),
            limiter: Limiter::new(env.clone(), store.clone(), logger.clone()),
            frames: SharedFrames::new(SHARED_FRAMES_BYTES),
            accepted_tokens: AcceptedTokens::default(),
            stream_permits: StreamPermits::default(),
            has_logged_interval: Cell::new(false),
            logger,
            metrics,
            store,
            parking,
            env,
        }
    }

    /// Applies the configured log level.
    ///
    /// # Errors
    /// If the variable is missing or not accepted.
    pub async fn configure_log(&self) -> Result<(), ConfigError> {
        self.logger.set_level(self.config.log_level().await?);
        Ok(())
    }

    /// Applies the configured interval of metrics. An error is logged once per instance.
    ///
    /// # Errors
    /// If the variable is missing or not accepted. Then no metrics are written.
    pub async fn configure_metrics(&self) -> Result<(), ConfigError> {
        let interval = self.config.metrics_interval().await;
        if let Err(error) = &interval
            && !self.has_logged_interval.replace(true)
        {
            self.logger.error("configuration_bad", None, error);
        }
        self.metrics_writer.set_interval(interval?);
        Ok(())
    }
}
