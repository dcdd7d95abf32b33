//! The load client, the same for every server.

mod publisher;
mod stream;
mod wire;

pub(crate) use publisher::{Publisher, now};
pub(crate) use stream::Stream;
pub(crate) use wire::Datum;
