//! What is read for a subscriber's channels.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::core::channel::Channel;
use crate::core::log::SegmentId;
use crate::core::stream::{MergedReader, Subscription};
use crate::core::time::Instant;
use crate::platform::segments::{self, SegmentsRead};
use crate::platform::{clock, log, rest, tail};

/// How often to look whether another stream has read a head: after 1 ms, then ever later as that
/// takes longer, but at least every 64 ms.
const LOOK_MILLIS: (u64, u64) = (1, 64);

/// Reads heads and segments, one at a time for each channel, and tells [`MergedReader`] of them. What is
/// being read is dropped with it.
pub(super) struct Fetcher {
    channels: Vec<Channel>,
    readings: Vec<Reading>,
}

enum Reading {
    Nothing,
    /// A head that was read later than at the first time, by this stream or another; it is wanted
    /// since the second.
    Head(Instant, Instant),
    /// Segments, read by this stream or another; they are wanted since this time.
    Segments(Vec<SegmentId>, Instant),
    Own(LocalBoxFuture<'static, Read>),
}

enum Read {
    Head(Result<tail::HeadRead, String>),
    Segments(Vec<SegmentId>, SegmentsRead),
}

impl Fetcher {
    /// For the channels of a subscription.
    pub(super) fn of(subscription: &Subscription) -> Self {
        let channels = subscription.channels.iter();
        let channels: Vec<_> = channels.map(|(channel, _)| channel.clone()).collect();
        let readings = channels.iter().map(|_| Reading::Nothing).collect();
        Self { channels, readings }
    }

    /// Begins to read the heads of all channels.
    pub(super) fn read_heads(&mut self, newer_than: Instant) {
        for place in 0..self.channels.len() {
            self.read_head(place, newer_than);
        }
    }

    /// Begins to read the head of the channel at `place`, unless one newer than this is known, or
    /// another stream is reading it.
    pub(super) fn read_head(&mut self, place: usize, newer_than: Instant) {
        if let Some(reading) = self.readings.get_mut(place) {
            *reading = Reading::Head(newer_than, clock::monotonic());
        }
    }

    /// Begins to read segments of the channel at `place`, unless they are known, or another stream is
    /// reading them.
    pub(super) fn read_segments(&mut self, place: usize, names: Vec<SegmentId>) {
        if let Some(reading) = self.readings.get_mut(place) {
            *reading = Reading::Segments(names, clock::monotonic());
        }
    }

    fn at(&mut self, place: usize) -> (Option<&Channel>, Option<&mut Reading>) {
        (self.channels.get(place), self.readings.get_mut(place))
    }

    /// Whether everything has been read.
    pub(super) fn is_idle(&self) -> bool {
        let mut readings = self.readings.iter();
        readings.all(|reading| matches!(reading, Reading::Nothing))
    }

    /// Tells `feeds` what has arrived. Most reads have, at once.
    pub(super) async fn tell(&mut self, feeds: &mut MergedReader) {
        if !self.is_idle() {
            poll_fn(|context| Poll::Ready(self.poll(context, feeds))).await;
        }
    }

    /// Waits until something has arrived, and tells `feeds`, but not longer than `until`. What has
    /// not arrived by then goes on being read.
    pub(super) async fn wait(&mut self, until: Instant, feeds: &mut MergedReader) {
        let mut timer = Box::pin(clock::sleep_until(self.looks_again().min(until)));
        poll_fn(|context| match self.poll(context, feeds) {
            true => Poll::Ready(()),
            false => timer.as_mut().poll(context),
        })
        .await;
    }

    /// [`Fetcher::wait`] for streams that have sent their head: they rest together if they can.
    pub(super) async fn rest(&mut self, until: Instant, feeds: &mut MergedReader) {
        let mut readings = self.readings.iter();
        if readings.any(|reading| matches!(reading, Reading::Own(_))) {
            return self.wait(until, feeds).await;
        }
        rest(self.looks_again().min(until), !self.is_idle()).await;
        self.tell(feeds).await;
    }

    /// When to look again for what other streams read.
    fn looks_again(&self) -> Instant {
        let now = clock::monotonic();
        let (shortest, longest) = LOOK_MILLIS;
        let since = self.readings.iter().filter_map(|reading| match reading {
            Reading::Head(_, since) | Reading::Segments(_, since) => Some(*since),
            Reading::Nothing | Reading::Own(_) => None,
        });
        let next = since.map(|since| now.after(now.since(since).clamp(shortest, longest)));
        next.min().unwrap_or(Instant(u64::MAX))
    }

    /// Tells `feeds` what has arrived; whether anything has.
    fn poll(&mut self, context: &mut Context<'_>, feeds: &mut MergedReader) -> bool {
        let mut any = false;
        for place in 0..self.readings.len() {
            if let Some(read) = self.poll_at(place, context) {
                any = true;
                self.arrived(place, read, feeds);
            }
        }
        any
    }

    fn poll_at(&mut self, place: usize, context: &mut Context<'_>) -> Option<Read> {
        let (Some(channel), Some(reading)) = self.at(place) else {
            return None;
        };
        if let Reading::Head(newer_than, asked) = reading {
            match tail::look(channel, *newer_than, *asked) {
                tail::Look::Read(read) => {
                    *reading = Reading::Nothing;
                    return Some(Read::Head(read));
                }
                tail::Look::Reading => return None,
                tail::Look::Outdated => {
                    let channel = channel.clone();
                    let head = async move { Read::Head(tail::read(&channel).await) };
                    *reading = Reading::Own(head.boxed_local());
                }
            }
        }
        if let Reading::Segments(names, _) = reading {
            match segments::look(channel, names) {
                segments::Look::Read(read) => {
                    let names = std::mem::take(names);
                    *reading = Reading::Nothing;
                    return Some(Read::Segments(names, read));
                }
                segments::Look::Reading => return None,
                segments::Look::Unknown => {
                    let (channel, names) = (channel.clone(), std::mem::take(names));
                    let segments = async move {
                        let read = segments::read(&channel, &names).await;
                        Read::Segments(names, read)
                    };
                    *reading = Reading::Own(segments.boxed_local());
                }
            }
        }
        let Reading::Own(own) = reading else {
            return None;
        };
        let Poll::Ready(read) = Pin::new(own).poll(context) else {
            return None;
        };
        *reading = Reading::Nothing;
        Some(read)
    }

    fn arrived(&self, place: usize, read: Read, feeds: &mut MergedReader) {
        let now = clock::monotonic();
        match read {
            Read::Head(Ok((at, head))) => feeds.head_read(place, at, Ok(head), now),
            Read::Head(Err(error)) => {
                self.report(place, &error);
                feeds.head_read(place, now, Err(error), now);
            }
            Read::Segments(names, segments) => {
                for error in segments.iter().filter_map(|segment| segment.as_ref().err()) {
                    self.report(place, error);
                }
                feeds.segments_read(place, &names, segments, now);
            }
        }
        if let Some(error) = feeds.take_error() {
            self.report(place, &error.to_string());
        }
    }

    fn report(&self, place: usize, error: &str) {
        if let Some(channel) = self.channels.get(place) {
            log::error("read_failed", Some(channel), error);
        }
    }
}
