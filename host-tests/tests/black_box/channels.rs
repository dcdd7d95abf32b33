//! Several channels that belong to one test, and streams over all of them.

use runnel_testing::{Channel, Request, Stream};

/// Channels that no other test uses, in the order in which requests list them.
#[derive(Clone)]
pub(crate) struct Channels(pub(crate) Vec<Channel>);

/// Returns the index of an event's channel, which multi-channel ids contain.
pub(crate) fn channel_index(id: &str) -> usize {
    let digit = id.strip_prefix('~').and_then(|rest| rest.chars().next());
    let digit = digit.and_then(|digit| digit.to_digit(10));
    digit.unwrap_or_else(|| panic!("{id:?} contains no channel index")) as usize
}

impl Channels {
    /// Creates `count` channels on the shared server.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Channel::new()).collect())
    }

    /// Builds `GET /events?channel=…`. `query` is empty or starts with `&`.
    pub(crate) fn events(&self, query: &str) -> Request {
        let names = self
            .0
            .iter()
            .map(|channel| format!("channel={}", channel.name));
        let names: Vec<_> = names.collect();
        let path = format!("/events?{}{query}", names.join("&"));
        self.0[0].server.get(&path)
    }

    /// Opens a stream over all channels. `query` is empty or starts with `&`.
    pub(crate) async fn subscribe(&self, query: &str) -> Stream {
        Stream::of(self.events(query).open().await)
    }

    /// Opens a stream with `Last-Event-ID`, as a reconnecting `EventSource` does.
    pub(crate) async fn resume(&self, last_event_id: &str) -> Stream {
        let request = self.events("").header("last-event-id", last_event_id);
        Stream::of(request.open().await)
    }

    /// Publishes one event per number to each channel, round by round: `a1`, `b1`, `a2`, `b2` …
    pub(crate) async fn publish_rounds(&self, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            for (channel, letter) in self.0.iter().zip('a'..) {
                channel.publish_text(format!("{letter}{number}")).await;
            }
        }
    }

    /// Returns the data that [`Channels::publish_rounds`] publishes to the channel at `index`.
    pub(crate) fn expected_data(
        index: usize,
        numbers: std::ops::RangeInclusive<u32>,
    ) -> Vec<String> {
        let letter = ('a'..).nth(index).unwrap();
        numbers.map(|number| format!("{letter}{number}")).collect()
    }
}
