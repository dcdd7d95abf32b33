//! Carrying out the reads of a subscriber.

use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{LocalBoxFuture, poll_fn};

use super::action::{ReadRequest, ReadWhen};
use super::merged_reader::MergedReader;
use super::subscription::StreamConfig;
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::{Log, LogReader, News, Page, ReadError, ReaderOptions};
use crate::core::parking::Parking;
use crate::core::time::Instant;

/// The readers of a subscriber's channels, each with at most one read under way. Dropping it cancels the
/// reads.
pub struct Fetcher<E, L: Log> {
    env: E,
    parking: Parking<E>,
    slots: Vec<Slot<L::Reader>>,
    errors: Vec<(Channel, ReadError)>,
}

struct Slot<R> {
    /// `None` while a read has it.
    reader: Option<Box<R>>,
    state: SlotState<R>,
}

enum SlotState<R> {
    Idle,
    /// Waits for news before it reads.
    Waiting(ReadRequest),
    /// Reads when it is polled next.
    Ready(ReadRequest),
    Reading(LocalBoxFuture<'static, Finished<R>>),
}

type Finished<R> = (Box<R>, ReadRequest, Result<Page, ReadError>);

/// The result of polling the reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    Pending,
    /// A read for news found none, and waits again.
    NoNews,
    /// A page has arrived.
    Arrived,
}

impl<E, L: Log> fmt::Debug for Fetcher<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("channels", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl<E: Environment, L: Log> Fetcher<E, L> {
    /// Creates a fetcher for these channels, in their order.
    pub fn new(
        env: E,
        parking: Parking<E>,
        log: &L,
        channels: &[Channel],
        config: StreamConfig,
        opened: Instant,
    ) -> Self {
        let options = ReaderOptions {
            opened,
            poll: config.poll,
            retention: config.retention,
        };
        let slots = channels.iter().map(|channel| Slot {
            reader: Some(Box::new(log.reader(channel, options))),
            state: SlotState::Idle,
        });
        Self {
            env,
            parking,
            slots: slots.collect(),
            errors: vec![],
        }
    }

    /// Begins a read of the channel at `index`, now or when there is news.
    pub fn begin(&mut self, index: usize, request: ReadRequest) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let (Some(reader), SlotState::Idle) = (&mut slot.reader, &slot.state) else {
            debug_assert!(false, "one read at a time");
            return;
        };
        slot.state = match request.when {
            ReadWhen::Now => SlotState::Ready(request),
            ReadWhen::Refreshed => {
                // A reader that has news reads a newer state, any other goes on with the one it knows.
                let _ = reader.news(self.env.now());
                SlotState::Ready(request)
            }
            ReadWhen::OnNews => SlotState::Waiting(request),
            ReadWhen::Invalidated => {
                reader.invalidate(self.env.now());
                SlotState::Waiting(request)
            }
        };
    }

    /// Returns whether no read is under way and none waits for news.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.all(|slot| matches!(slot.state, SlotState::Idle))
    }

    /// Hands pages that have arrived to `merged`, without waiting. Most pages are there at once.
    pub async fn deliver(&mut self, merged: &mut MergedReader) {
        if !self.is_idle() {
            poll_fn(|context| {
                self.poll(context, merged);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Waits until a page has arrived and hands it to `merged`, but no longer than until `until`. Reads
    /// that are not done by then go on. A page without news does not end the wait.
    pub async fn wait(&mut self, until: Instant, merged: &mut MergedReader) {
        loop {
            let now = self.env.now();
            let wake_at = self.next_news(now).min(until);
            let parking = self.parking.clone();
            let mut sleep = pin!(parking.sleep(wake_at, false));
            let has_arrived = poll_fn(|context| match self.poll(context, merged) {
                Progress::Arrived => Poll::Ready(true),
                Progress::NoNews => Poll::Ready(false),
                Progress::Pending => sleep.as_mut().poll(context).map(|()| false),
            })
            .await;
            if has_arrived || self.env.now() >= until {
                return;
            }
        }
    }

    /// Returns the earliest time at which a reader that waits for news has to be polled.
    fn next_news(&mut self, now: Instant) -> Instant {
        let news = self
            .slots
            .iter_mut()
            .filter_map(|slot| match (&slot.state, &mut slot.reader) {
                (SlotState::Waiting(_), Some(reader)) => match reader.news(now) {
                    News::Ready => Some(now),
                    News::NotBefore(then) => Some(then),
                },
                _ => None,
            });
        news.min().unwrap_or(Instant::NEVER)
    }

    /// Returns the errors of reads since the last call, for the operator.
    pub fn take_errors(&mut self) -> Vec<(Channel, ReadError)> {
        std::mem::take(&mut self.errors)
    }

    /// Polls all reads, and hands pages that have arrived to `merged`.
    fn poll(&mut self, context: &mut Context<'_>, merged: &mut MergedReader) -> Progress {
        let now = self.env.now();
        let mut progress = Progress::Pending;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let result = match slot.poll(context, index, merged, now) {
                SlotProgress::Pending => continue,
                SlotProgress::NoNews => {
                    if progress == Progress::Pending {
                        progress = Progress::NoNews;
                    }
                    continue;
                }
                SlotProgress::Arrived(result) => result,
            };
            if let (Err(error), Some(channel)) = (&result, merged.channel(index)) {
                self.errors.push((channel.clone(), error.clone()));
            }
            progress = Progress::Arrived;
            merged.page_read(index, result, self.env.now());
        }
        progress
    }
}

/// [`Progress`] of one slot.
enum SlotProgress {
    Pending,
    NoNews,
    Arrived(Result<Page, ReadError>),
}

impl<R: LogReader> Slot<R> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        merged: &mut MergedReader,
        now: Instant,
    ) -> SlotProgress {
        if let Some(reader) = &mut self.reader {
            let is_waiting = matches!(self.state, SlotState::Waiting(_));
            if is_waiting && reader.news(now) != News::Ready {
                return SlotProgress::Pending;
            }
            if let SlotState::Waiting(request) | SlotState::Ready(request) = &self.state {
                if let Some(result) = reader.try_read(&request.from, request.max_bytes) {
                    return self.finish(index, merged, result);
                }
                if is_waiting {
                    merged.read_started(index, now);
                }
                self.start();
            }
        }
        let SlotState::Reading(read) = &mut self.state else {
            return SlotProgress::Pending;
        };
        let Poll::Ready((reader, request, result)) = read.as_mut().poll(context) else {
            return SlotProgress::Pending;
        };
        self.reader = Some(reader);
        self.state = SlotState::Ready(request);
        self.finish(index, merged, result)
    }

    /// Ends a read. A read for news that found none waits again.
    fn finish(
        &mut self,
        index: usize,
        merged: &mut MergedReader,
        result: Result<Page, ReadError>,
    ) -> SlotProgress {
        let state = std::mem::replace(&mut self.state, SlotState::Idle);
        if let SlotState::Waiting(request) | SlotState::Ready(request) = state
            && request.when == ReadWhen::OnNews
            && let Ok(page) = &result
            && merged.is_unchanged(index, page)
        {
            self.state = SlotState::Waiting(request);
            return SlotProgress::NoNews;
        }
        SlotProgress::Arrived(result)
    }

    /// Begins the read that is requested, with the reader.
    fn start(&mut self) {
        let state = std::mem::replace(&mut self.state, SlotState::Idle);
        let (SlotState::Waiting(request) | SlotState::Ready(request)) = state else {
            return;
        };
        if let Some(mut reader) = self.reader.take() {
            let read = async move {
                let result = reader.read(&request.from, request.max_bytes).await;
                (reader, request, result)
            };
            self.state = SlotState::Reading(read.boxed_local());
        }
    }
}
