//! Several channels of a test's own, and streams over them all.

use crate::channel::Channel;
use crate::client::Request;
use crate::stream::Stream;

/// Channels that no other test uses, in the order in which streams name them.
#[derive(Clone)]
pub(crate) struct Channels(pub(crate) Vec<Channel>);

/// Which of its stream's channels an event is of.
pub(crate) fn place(id: &str) -> usize {
    let digit = id.strip_prefix('~').and_then(|rest| rest.chars().next());
    let digit = digit.and_then(|digit| digit.to_digit(10));
    digit.unwrap_or_else(|| panic!("{id:?} names no place")) as usize
}

impl Channels {
    /// On the server of all tests.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Channel::new()).collect())
    }

    /// `GET /events?channel=…` and more of the query, which begins with `&` if there is some.
    pub(crate) fn events(&self, query: &str) -> Request {
        let names = self
            .0
            .iter()
            .map(|channel| format!("channel={}", channel.name));
        let names: Vec<_> = names.collect();
        let path = format!("/events?{}{query}", names.join("&"));
        self.0[0].server.get(&path)
    }

    /// A stream of the channels.
    pub(crate) async fn subscribe(&self, query: &str) -> Stream {
        Stream::of(self.events(query).open().await)
    }

    /// A stream that resumes as an `EventSource` does.
    pub(crate) async fn resume(&self, last_event_id: &str) -> Stream {
        let request = self.events("").header("last-event-id", last_event_id);
        Stream::of(request.open().await)
    }

    /// Publishes so many events to each channel, in turns: `a1`, `b1`, `a2` …
    pub(crate) async fn count(&self, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            for (channel, letter) in self.0.iter().zip('a'..) {
                channel.say(format!("{letter}{number}")).await;
            }
        }
    }

    /// What [`Channels::count`] has published to the channel at `place`.
    pub(crate) fn texts(place: usize, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
        let letter = ('a'..).nth(place).unwrap();
        numbers.map(|number| format!("{letter}{number}")).collect()
    }
}
