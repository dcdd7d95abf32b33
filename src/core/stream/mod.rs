//! A subscriber's life over a log.
//!
//! [`EventStream`] is the state machine of one event stream and [`LongPoll`] that of one long-poll.
//! Both read their channels through a [`MergedReader`]. [`Subscriber`] drives a stream against a
//! [`Log`](crate::core::log::Log) and yields the chunks of the response body; [`Fetcher`] carries its
//! reads out.

mod action;
mod channel_reader;
mod control;
mod event_stream;
mod fetcher;
mod gap_signal;
mod long_poll;
mod merged_reader;
mod page_buffer;
mod shared_frames;
mod stats;
mod store_backoff;
mod subscriber;
mod subscription;
#[cfg(test)]
mod tests;

pub use action::{Action, CHUNK_BYTES, ReadRequest, ReadWhen};
pub use control::encode_reconnect;
pub use event_stream::EventStream;
pub use fetcher::Fetcher;
pub use gap_signal::GapSignal;
pub use long_poll::{LongPoll, LongPollPage, PageEvent};
pub use merged_reader::MergedReader;
pub use shared_frames::SharedFrames;
pub use stats::StreamStats;
pub use subscriber::{StreamObserver, Subscriber};
pub use subscription::{EventFilter, ResumePoint, StreamConfig, Subscription};
