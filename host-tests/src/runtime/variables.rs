//! `spin:variables`: the variables of the guest's component.

use wasmtime::component::{Accessor, HasSelf};

use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use super::instance_state::InstanceState;
use crate::manifest::validate_variable_name;

impl Host for InstanceState {}

impl<T: Send> HostWithStore<T> for HasSelf<InstanceState> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        validate_variable_name(&name).map_err(|error| Error::InvalidName(error.to_string()))?;
        accessor.with(|mut access| {
            let capabilities = &access.get().capabilities;
            capabilities.variables.get(&name).cloned().ok_or_else(|| {
                Error::Undefined(format!(
                    "no variable for {:?}.{name:?}",
                    capabilities.component
                ))
            })
        })
    }
}
