//! Building a [`Host`].

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi_http::handler::ProxyHandler;

use super::{Host, Inner};
use crate::application::Application;
use crate::manifest::{ComponentConfig, MissingValue};
use crate::output::ProcessOutput;
use crate::route_table::UnsupportedRoute;
use crate::runtime::{Capabilities, ComponentHandler, HostContext, Output};
use crate::store::{KeyValue, Memory};

/// The configuration of a [`Host`].
pub struct HostBuilder {
    application: Arc<Application>,
    stores: BTreeMap<String, Arc<dyn KeyValue>>,
    variables: BTreeMap<String, String>,
    seed: Option<u64>,
    start_time: Option<SystemTime>,
    output: Option<Output>,
}

/// A configuration that does not fit the application.
#[derive(Debug, Error)]
pub enum HostError {
    /// A value is given for a variable that the application lacks.
    #[error("there is no variable {0:?}")]
    UnknownVariable(String),
    /// A variable has neither a value nor a default.
    #[error(transparent)]
    MissingValue(#[from] MissingValue),
    /// A component may open a store that the host lacks.
    #[error("component.{component}.key_value_stores: this host has no store {label:?}")]
    MissingStore {
        /// The name of the component.
        component: String,
        /// The label of the store.
        label: String,
    },
    /// A route has a form that this host does not support.
    #[error(transparent)]
    Route(#[from] UnsupportedRoute),
    /// The outputs of the process cannot be opened.
    #[error("cannot write to standard output and standard error")]
    Output(#[source] io::Error),
}

impl HostBuilder {
    pub(super) fn new(application: Arc<Application>) -> Self {
        Self {
            application,
            stores: BTreeMap::new(),
            variables: BTreeMap::new(),
            seed: None,
            start_time: None,
            output: None,
        }
        .store(Arc::new(Memory::default()))
    }

    /// Sets the store of the label `default`. The default is an empty store in memory.
    #[must_use]
    pub fn store(self, store: Arc<dyn KeyValue>) -> Self {
        self.store_named("default", store)
    }

    /// Sets the store of a label.
    #[must_use]
    pub fn store_named(mut self, label: &str, store: Arc<dyn KeyValue>) -> Self {
        self.stores.insert(label.to_owned(), store);
        self
    }

    /// Sets a variable of the application.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Derives the random numbers of all guests from `seed`. They are the same in every run in which
    /// instances start in the same order.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the time that the guests' wall clock shows when the host is built; from then on it follows
    /// tokio's clock. By default it is the clock of the system.
    #[must_use]
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Captures the output of guests and the log of the host for [`Host::output`] instead of printing
    /// them.
    #[must_use]
    pub fn capture_output(mut self) -> Self {
        self.output = Some(Output::Captured(MemoryOutputPipe::new(usize::MAX)));
        self
    }

    /// Writes the output of guests and the log of the host to `output`. The default is one of the
    /// host's own.
    #[must_use]
    pub fn output(mut self, output: ProcessOutput) -> Self {
        self.output = Some(Output::Process(output));
        self
    }

    /// Builds the host. Instances start when requests arrive.
    ///
    /// # Errors
    /// If a variable is unknown or has no value, a component may open a store that the host lacks, or the
    /// outputs of the process cannot be opened.
    pub fn build(mut self) -> Result<Host, HostError> {
        let output = match self.output.take() {
            Some(output) => output,
            None => Output::Process(ProcessOutput::start().map_err(HostError::Output)?),
        };
        let manifest = self.application.manifest();
        for name in self.variables.keys() {
            if !manifest.variables.contains_key(name) {
                return Err(HostError::UnknownVariable(name.clone()));
            }
        }
        let context = Arc::new(HostContext::new(self.seed, self.start_time, output));
        let mut components = BTreeMap::new();
        for (name, config, service) in self.application.components() {
            let handler = ComponentHandler {
                service: service.clone(),
                context: context.clone(),
                capabilities: Arc::new(self.capabilities(name, config)?),
            };
            components.insert(name.to_owned(), ProxyHandler::new(handler));
        }
        let routes = manifest.route_table()?;
        Ok(Host(Arc::new(Inner {
            application: self.application,
            routes,
            components,
            context,
        })))
    }

    fn capabilities(
        &self,
        component: &str,
        config: &ComponentConfig,
    ) -> Result<Capabilities, HostError> {
        let mut stores = BTreeMap::new();
        for label in &config.key_value_stores {
            let store = self
                .stores
                .get(label)
                .ok_or_else(|| HostError::MissingStore {
                    component: component.to_owned(),
                    label: label.clone(),
                })?;
            stores.insert(label.clone(), store.clone());
        }
        let manifest = self.application.manifest();
        Ok(Capabilities {
            component: component.to_owned(),
            variables: manifest.render_variables(config, &self.variables)?,
            stores,
        })
    }
}
