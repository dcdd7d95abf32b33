//! Carrying out the reads of a subscriber.

use std::fmt;
use std::pin::{Pin, pin};
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

enum Slot<R> {
    Idle(R),
    /// Waits for news before it reads.
    Waiting(R, ReadRequest),
    Reading(LocalBoxFuture<'static, Finished<R>>),
    /// Only while the slot is being changed.
    Vacant,
}

type Finished<R> = (R, Result<Page, ReadError>);

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
        let readers = channels.iter().map(|channel| log.reader(channel, options));
        Self {
            env,
            parking,
            slots: readers.map(Slot::Idle).collect(),
            errors: vec![],
        }
    }

    /// Begins a read of the channel at `index`, now or when there is news.
    pub fn begin(&mut self, index: usize, request: ReadRequest) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        *slot = match std::mem::replace(slot, Slot::Vacant) {
            Slot::Idle(mut reader) => match request.when {
                ReadWhen::Now => Slot::Reading(start(reader, request)),
                ReadWhen::OnNews => Slot::Waiting(reader, request),
                ReadWhen::Invalidated => {
                    reader.invalidate(self.env.now());
                    Slot::Waiting(reader, request)
                }
            },
            busy => {
                debug_assert!(false, "one read at a time");
                busy
            }
        };
    }

    /// Returns whether no read is under way and none waits for news.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.all(|slot| matches!(slot, Slot::Idle(_)))
    }

    /// Hands pages that have arrived to `merged`, without waiting. Most pages are there at once.
    pub async fn deliver(&mut self, merged: &mut MergedReader) {
        if !self.is_idle() {
            poll_fn(|context| Poll::Ready(self.poll(context, merged))).await;
        }
    }

    /// Waits until a page has arrived and hands it to `merged`, but no longer than until `until`. Reads
    /// that are not done by then go on.
    pub async fn wait(&mut self, until: Instant, merged: &mut MergedReader) {
        let now = self.env.now();
        let news = self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Waiting(reader, _) => match reader.news(now) {
                News::Ready => Some(now),
                News::NotBefore(then) => Some(then),
            },
            Slot::Idle(_) | Slot::Reading(_) | Slot::Vacant => None,
        });
        let until = news.min().map_or(until, |news| news.min(until));
        let parking = self.parking.clone();
        let mut sleep = pin!(parking.sleep(until, false));
        poll_fn(|context| {
            if self.poll(context, merged) {
                Poll::Ready(())
            } else {
                sleep.as_mut().poll(context)
            }
        })
        .await;
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
            if let Slot::Waiting(reader, _) = slot
                && reader.news(now) == News::Ready
                && let Slot::Waiting(reader, request) = std::mem::replace(slot, Slot::Vacant)
            {
                merged.read_started(index, now);
                *slot = Slot::Reading(start(reader, request));
            }
            let Slot::Reading(read) = slot else { continue };
            let Poll::Ready((reader, result)) = Pin::new(read).poll(context) else {
                continue;
            };
            *slot = Slot::Idle(reader);
            any = true;
            if let (Err(error), Some(channel)) = (&result, merged.channel(index)) {
                self.errors.push((channel.clone(), error.clone()));
            }
            merged.page_read(index, result, self.env.now());
        }
        any
    }
}

fn start<R: LogReader>(
    mut reader: R,
    request: ReadRequest,
) -> LocalBoxFuture<'static, Finished<R>> {
    async move {
        let result = reader.read(&request.from, request.max_bytes).await;
        (reader, result)
    }
    .boxed_local()
}
