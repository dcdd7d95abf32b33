//! What is read for a subscriber's channels.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};

use crate::core::channel::Channel;
use crate::core::log::{SegmentRef, segment_key};
use crate::core::stream::{Feeds, Subscription};
use crate::core::time::Mono;
use crate::platform::{clock, log, store, tail};

/// Reads heads and segments, one at a time for each channel, and tells [`Feeds`] of them. What is
/// being read is dropped with it.
pub(super) struct Reader {
    channels: Vec<Channel>,
    readings: Vec<Option<LocalBoxFuture<'static, Read>>>,
}

enum Read {
    Head(Result<tail::HeadRead, String>),
    Segments(Vec<SegmentRef>, Vec<Result<Option<Bytes>, String>>),
}

impl Reader {
    /// For the channels of a subscription.
    pub(super) fn of(subscription: &Subscription) -> Self {
        let channels = subscription.channels.iter();
        let channels: Vec<_> = channels.map(|(channel, _)| channel.clone()).collect();
        let readings = channels.iter().map(|_| None).collect();
        Self { channels, readings }
    }

    /// Begins to read the heads of all channels.
    pub(super) fn read_heads(&mut self, newer_than: Mono) {
        for place in 0..self.channels.len() {
            self.read_head(place, newer_than);
        }
    }

    /// Begins to read the head of the channel at `place`, if it is not newer than this.
    pub(super) fn read_head(&mut self, place: usize, newer_than: Mono) {
        self.begin(place, |channel| {
            let head = async move { Read::Head(tail::head(&channel, newer_than).await) };
            head.boxed_local()
        });
    }

    /// Begins to read segments of the channel at `place`.
    pub(super) fn read_segments(&mut self, place: usize, names: Vec<SegmentRef>) {
        self.begin(place, |channel| {
            let segments = async move {
                let keys = names.iter().map(|name| segment_key(&channel, *name));
                let keys: Vec<_> = keys.collect();
                let segments = join_all(keys.iter().map(|key| store::get(key))).await;
                Read::Segments(names, segments)
            };
            segments.boxed_local()
        });
    }

    fn begin(&mut self, place: usize, read: impl FnOnce(Channel) -> LocalBoxFuture<'static, Read>) {
        if let (Some(channel), Some(reading)) =
            (self.channels.get(place), self.readings.get_mut(place))
        {
            *reading = Some(read(channel.clone()));
        }
    }

    /// Whether everything has been read.
    pub(super) fn is_idle(&self) -> bool {
        self.readings.iter().all(Option::is_none)
    }

    /// Tells `feeds` what has arrived. Most reads have, at once.
    pub(super) async fn tell(&mut self, feeds: &mut Feeds) {
        if !self.is_idle() {
            poll_fn(|context| Poll::Ready(self.poll(context, feeds))).await;
        }
    }

    /// Waits until something has arrived, and tells `feeds`, but not longer than `until`. What has
    /// not arrived by then goes on being read.
    pub(super) async fn wait(&mut self, until: Mono, feeds: &mut Feeds) {
        let mut timer = Box::pin(clock::sleep_until(until));
        poll_fn(|context| match self.poll(context, feeds) {
            true => Poll::Ready(()),
            false => timer.as_mut().poll(context),
        })
        .await;
    }

    /// Tells `feeds` what has arrived; whether anything has.
    fn poll(&mut self, context: &mut Context<'_>, feeds: &mut Feeds) -> bool {
        let mut any = false;
        for place in 0..self.readings.len() {
            let reading = self.readings.get_mut(place);
            let Some(Some(reading)) = reading.map(Option::as_mut) else {
                continue;
            };
            if let Poll::Ready(read) = Pin::new(reading).poll(context) {
                any = true;
                if let Some(done) = self.readings.get_mut(place) {
                    *done = None;
                }
                self.arrived(place, read, feeds);
            }
        }
        any
    }

    fn arrived(&self, place: usize, read: Read, feeds: &mut Feeds) {
        let now = clock::mono();
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
            log::error(format_args!("reading {channel}"), error);
        }
    }
}
