//! The client that generates the load, the same for every server.

mod publisher;
mod response_parser;
mod subscriber;

pub(crate) use publisher::{Publisher, now};
pub(crate) use response_parser::EventPayload;
pub(crate) use subscriber::Subscriber;
