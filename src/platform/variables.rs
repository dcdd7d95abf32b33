//! Variables.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::config::{VariableError, Variables};

/// The variables that Spin gives a component.
#[derive(Clone, Copy, Debug)]
pub struct SpinVariables;

impl Variables for SpinVariables {
    fn get<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<String, VariableError>> {
        async move {
            let value = spin_sdk::variables::get(name).await;
            value.map_err(|error| VariableError(error.to_string()))
        }
        .boxed_local()
    }
}
