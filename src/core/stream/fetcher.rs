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
    /// Reads without having asked for news.
    Ready(ReadRequest),
    Reading(LocalBoxFuture<'static, Finished<R>>),
}

type Finished<R> = (Box<R>, Result<Page, ReadError>);

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
            poll_fn(|context| Poll::Ready(self.poll(context, merged))).await;
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
            let has_arrived = poll_fn(|context| {
                if self.poll(context, merged) {
                    Poll::Ready(true)
                } else {
                    sleep.as_mut().poll(context).map(|()| false)
                }
            })
            .await;
            if has_arrived || self.env.now() >= until {
                return;
            }
        }
    }

    /// Returns the time at which a reader that waits for news will have to look.
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

    /// Polls all reads; returns whether a page has arrived.
    fn poll(&mut self, context: &mut Context<'_>, merged: &mut MergedReader) -> bool {
        let now = self.env.now();
        let mut any = false;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(result) = slot.poll(context, index, merged, now) else {
                continue;
            };
            if let (Err(error), Some(channel)) = (&result, merged.channel(index)) {
                self.errors.push((channel.clone(), error.clone()));
            }
            any = true;
            merged.page_read(index, result, self.env.now());
        }
        any
    }
}

impl<R: LogReader> Slot<R> {
    /// Polls the read; returns its result once it has one that the subscriber does not know yet.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        merged: &mut MergedReader,
        now: Instant,
    ) -> Option<Result<Page, ReadError>> {
        if let SlotState::Waiting(request) = &self.state {
            let reader = self.reader.as_mut()?;
            if reader.news(now) != News::Ready {
                return None;
            }
            match reader.try_read(&request.from, request.max_bytes) {
                // Nothing new: it goes on waiting.
                Some(Ok(page)) if merged.is_unchanged(index, &page) => return None,
                Some(result) => {
                    self.state = SlotState::Idle;
                    return Some(result);
                }
                None => {
                    merged.read_started(index, now);
                    self.start();
                }
            }
        }
        if let SlotState::Ready(request) = &self.state {
            let reader = self.reader.as_mut()?;
            if let Some(result) = reader.try_read(&request.from, request.max_bytes) {
                self.state = SlotState::Idle;
                return Some(result);
            }
            self.start();
        }
        let SlotState::Reading(read) = &mut self.state else {
            return None;
        };
        let Poll::Ready((reader, result)) = read.as_mut().poll(context) else {
            return None;
        };
        self.reader = Some(reader);
        self.state = SlotState::Idle;
        Some(result)
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
                (reader, result)
            };
            self.state = SlotState::Reading(read.boxed_local());
        }
    }
}
