//! `spin:variables`: the variables of the guest's own component.

use wasmtime::component::{Accessor, HasSelf};

use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use super::state::State;
use crate::manifest::check_name;

impl Host for State {}

impl<T: Send> HostWithStore<T> for HasSelf<State> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        check_name(&name).map_err(|error| Error::InvalidName(error.to_string()))?;
        accessor.with(|mut access| {
            let grant = &access.get().grant;
            grant.variables.get(&name).cloned().ok_or_else(|| {
                Error::Undefined(format!("no variable for {:?}.{name:?}", grant.component))
            })
        })
    }
}
