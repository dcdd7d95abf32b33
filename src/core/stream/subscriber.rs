//! Driving a stream against a log.

use std::fmt::{self, Display};

use bytes::Bytes;

use super::action::Action;
use super::event_stream::EventStream;
use super::fetcher::Fetcher;
use super::merged_reader::MergedReader;
use super::shared_frames::SharedFrames;
use super::stats::StreamStats;
use super::subscription::{StreamConfig, Subscription};
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::{Log, ReadError};
use crate::core::metrics::EndReason;
use crate::core::parking::Parking;
use crate::core::time::Instant;

/// Observes a stream, for metrics and the log.
pub trait StreamObserver {
    /// Takes what the stream has done since the last report, and the bytes that it emits with it.
    fn report(&mut self, stats: &StreamStats, bytes: usize);

    /// Takes an error of a read. The stream copes with it.
    fn read_failed(&mut self, channel: &Channel, error: &dyn Display);
}

/// A stream with the log that it reads: the chunks of a response body.
pub struct Subscriber<E, L: Log> {
    env: E,
    stream: EventStream,
    fetcher: Fetcher<E, L>,
}

impl<E, L: Log> fmt::Debug for Subscriber<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl<E: Environment, L: Log> Subscriber<E, L> {
    /// Opens a stream at `opened`. Its waits are parked in `parking`, its encoded events shared in
    /// `frames`.
    pub fn open(
        env: E,
        parking: Parking<E>,
        log: &L,
        frames: SharedFrames,
        subscription: Subscription,
        config: StreamConfig,
        opened: Instant,
    ) -> Self {
        let channels = &subscription.channels;
        let fetcher = Fetcher::new(env.clone(), parking, log, channels, config, opened);
        let stream = EventStream::new(subscription, config, env.random(), opened);
        Self {
            stream: stream.sharing(frames),
            fetcher,
            env,
        }
    }

    /// Reads the first page of each channel, but no longer than until `until`, and returns whether the
    /// stream has nothing to send: [`EventStream::is_finished`]. Errors of these reads are reported with
    /// the first chunk.
    pub async fn read_first_pages(&mut self, until: Instant) -> bool {
        for (index, request) in self.stream.reader().first_reads(self.env.now()) {
            self.fetcher.begin(index, request);
        }
        while !self.fetcher.is_idle() && self.env.now() < until {
            self.fetcher.wait(until, self.stream.reader()).await;
        }
        self.stream.is_finished(self.env.clock())
    }

    /// Returns the next chunk to send; `None` ends the response.
    pub async fn next_chunk(&mut self, observer: &mut impl StreamObserver) -> Option<Bytes> {
        loop {
            self.fetcher.deliver(self.stream.reader()).await;
            self.report_errors(observer);
            match self.stream.next(self.env.clock()) {
                Action::Emit(bytes) => {
                    observer.report(&self.stream.take_stats(), bytes.len());
                    return Some(bytes.into());
                }
                Action::Read(index, request) => self.fetcher.begin(index, request),
                Action::Wait(until) => {
                    // Report now that the client has caught up, rather than with the next bytes.
                    observer.report(&self.stream.take_stats(), 0);
                    self.fetcher.wait(until, self.stream.reader()).await;
                }
                Action::End => {
                    observer.report(&self.stream.take_stats(), 0);
                    return None;
                }
            }
        }
    }

    /// Returns the reason of the stream's end; `None` if it has not ended.
    #[must_use]
    pub const fn end_reason(&self) -> Option<EndReason> {
        self.stream.end_reason()
    }

    fn report_errors(&mut self, observer: &mut impl StreamObserver) {
        report_errors(&mut self.fetcher, self.stream.reader(), observer);
    }
}

/// Reports the errors of reads, and what is wrong with stored logs.
pub(super) fn report_errors<E: Environment, L: Log>(
    fetcher: &mut Fetcher<E, L>,
    reader: &mut MergedReader,
    observer: &mut impl StreamObserver,
) {
    for (channel, error) in fetcher.take_errors() {
        match error {
            // Damage is reported once, by the reader that copes with it; a missing value is none.
            ReadError::Missing { .. } | ReadError::Format(_) => {}
            ReadError::Store(error) => observer.read_failed(&channel, &error),
        }
    }
    while let Some((channel, error)) = reader.take_error() {
        observer.read_failed(&channel, &error);
    }
}
