//! Streams over several channels, and streams with a filter.

use super::*;
use crate::core::sse::{Cursor, Position};

/// Several channels, `a`, `b`, `c` and so on, and one clock.
struct Channels {
    worlds: Vec<World>,
    now: u64,
}

impl Channels {
    fn new(count: usize) -> Self {
        let names = (b'a'..).map(|letter| char::from(letter).to_string());
        let worlds = names.take(count).map(|name| World::of(&name));
        Self {
            worlds: worlds.collect(),
            now: 1_000_000,
        }
    }

    fn publish(&mut self, index: usize, event_type: Option<&str>, data: &str) {
        self.worlds[index].now = self.now;
        self.worlds[index].publish_as(event_type, data);
    }

    fn open(&self, resume: ResumePoint, filter: EventFilter) -> Client<EventStream> {
        let channels = self.worlds.iter().map(|world| world.channel.clone());
        let channels: Vec<_> = channels.collect();
        let now = Instant(self.now);
        let subscription = Subscription {
            channels: channels.clone(),
            resume,
            filter,
            live: true,
            expires: None,
        };
        let stream = EventStream::new(subscription, CONFIG, 42, now);
        Client::new(stream, &channels, CONFIG, now)
    }

    fn resume(&self, last_event_id: &str) -> Client<EventStream> {
        let resume = ResumePoint::parse(last_event_id, self.worlds.len());
        self.open(resume, EventFilter::All)
    }

    /// Lends the worlds to a client.
    fn lend<T>(
        &mut self,
        stream: &mut Client<EventStream>,
        run: impl FnOnce(&mut Client<EventStream>) -> T,
    ) -> T {
        for world in &mut self.worlds {
            world.now = self.now;
        }
        let result = stream.run_in(&mut self.worlds, run);
        self.now = self.worlds[0].now;
        result
    }

    /// Returns everything that the stream sends in the next `millis` milliseconds.
    fn sent(&mut self, stream: &mut Client<EventStream>, millis: u64) -> Vec<Block> {
        let until = Instant(self.now + millis);
        let sent = self.lend(stream, |stream| stream.sent(until));
        sent.split_terminator("\n\n").map(Block::new).collect()
    }
}

/// A block of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    id: Option<Cursor>,
    event_type: Option<String>,
    data: Option<String>,
}

impl Block {
    fn new(text: &str) -> Self {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        Self {
            id: field("id: ").map(|id| id.parse().unwrap()),
            event_type: field("event: ").map(str::to_owned),
            data: field("data: ").map(str::to_owned),
        }
    }
}

impl Block {
    /// Returns whether it is an event, a gap or the end of the channels.
    fn is_event(&self) -> bool {
        let bookkeeping = ["runnel.open", "runnel.position", "runnel.reconnect"];
        let event_type = self.event_type.as_deref().unwrap_or_default();
        self.data.is_some() && !bookkeeping.contains(&event_type)
    }
}

fn data(blocks: &[Block]) -> Vec<&str> {
    let events = blocks.iter().filter(|block| block.is_event());
    events.filter_map(|block| block.data.as_deref()).collect()
}

fn last_id(blocks: &[Block]) -> String {
    let ids = blocks.iter().rev().find_map(|block| block.id.clone());
    ids.unwrap().to_string()
}

#[test]
fn the_id_of_an_event_identifies_its_channel() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    let mut stream = channels.open(ResumePoint::Earliest, EventFilter::All);
    let first = channels.sent(&mut stream, 100);
    channels.publish(1, None, "b2");
    let mut blocks = channels.sent(&mut stream, 1_000);
    blocks.splice(0..0, first);
    let events = blocks.iter().filter(|block| block.is_event());
    let indexes = events.map(|event| event.id.clone().unwrap().last_advanced());
    assert_eq!(data(&blocks), ["a1", "b1", "b2"]);
    assert_eq!(indexes.collect::<Vec<_>>(), [0, 1, 1]);
}

#[test]
fn channels_are_served_round_robin_so_that_a_long_replay_delays_no_other() {
    let mut channels = Channels::new(3);
    let long = "x".repeat(4_000);
    for _ in 0..100 {
        channels.publish(0, None, &long);
        channels.publish(1, None, &long);
    }
    channels.publish(2, None, "short");
    let mut stream = channels.open(ResumePoint::Earliest, EventFilter::All);
    let blocks = channels.sent(&mut stream, 1_000);
    let short = data(&blocks)
        .iter()
        .position(|data| *data == "short")
        .unwrap();
    assert!(short <= 40, "after {short} events");
    let of_a = |block: &Block| block.id.as_ref().is_some_and(|id| id.last_advanced() == 0);
    let blocks = &blocks[1..];
    let halfway = &blocks[..blocks.len() / 2];
    let share = halfway.iter().filter(|block| of_a(block)).count();
    assert!(
        (30..=70).contains(&share),
        "{share} of the first 100 events"
    );
}

#[test]
fn no_event_is_delivered_before_the_start_of_every_channel_is_known() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    channels.worlds[1].failing = true;
    let mut stream = channels.open(ResumePoint::Earliest, EventFilter::All);
    assert_eq!(data(&channels.sent(&mut stream, 5_000)), Vec::<&str>::new());
    channels.worlds[1].failing = false;
    assert_eq!(data(&channels.sent(&mut stream, 9_000)), ["a1", "b1"]);
}

#[test]
fn a_channel_that_has_not_begun_is_resumed_from_its_first_event() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    let live = ResumePoint::Live(Timestamp(1_000_001));
    let mut stream = channels.open(live, EventFilter::All);
    let blocks = channels.sent(&mut stream, 1_000);
    let last = last_id(&blocks);
    assert_eq!(data(&blocks), Vec::<&str>::new());
    channels.publish(0, None, "a2");
    channels.publish(1, None, "b1");
    let mut stream = channels.resume(&last);
    assert_eq!(data(&channels.sent(&mut stream, 1_000)), ["a2", "b1"]);
}

#[test]
fn a_gap_names_its_channel_and_the_others_are_delivered() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    let cursor = |a: &str, b: &str| {
        let positions = [a, b].map(|id| Position::After(id.parse().unwrap()));
        Cursor::new(positions.to_vec()).unwrap().to_string()
    };
    let mut stream = channels.resume(&cursor("000007-0", "000008-5"));
    let blocks = channels.sent(&mut stream, 1_000);
    assert_eq!(
        data(&blocks),
        [
            r#"{"channel":"b","reason":"reset","requested":"000008-5","resumed_from":"000007-1"}"#,
            "a1",
            "b1"
        ]
    );
    let mut stream = channels.resume("000007-1");
    let gaps = channels.sent(&mut stream, 1_000);
    let gaps = gaps
        .iter()
        .filter(|block| block.event_type.as_deref() == Some("runnel.gap"));
    assert_eq!(
        gaps.count(),
        2,
        "a cursor over one channel says nothing about two"
    );
}

#[test]
fn a_stream_ends_when_all_its_channels_are_closed() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    let mut stream = channels.open(ResumePoint::Earliest, EventFilter::All);
    channels.worlds[0].close();
    assert_eq!(data(&channels.sent(&mut stream, 1_000)), ["a1", "b1"]);
    channels.publish(1, None, "b2");
    channels.worlds[1].close();
    let blocks = channels.sent(&mut stream, 1_000);
    assert_eq!(data(&blocks), ["b2", r#"{"reason":"closed"}"#]);
    assert_eq!(blocks[1].event_type.as_deref(), Some("runnel.end"));
    let mut again = channels.resume(&last_id(&blocks));
    channels.lend(&mut again, Client::read_first_pages);
    let now = ClockReading {
        monotonic: Instant(channels.now),
        wall: Timestamp(channels.now),
    };
    assert!(again.is_finished(now));
}

#[test]
fn events_that_are_filtered_out_move_the_cursor() {
    let mut channels = Channels::new(1);
    for (event_type, data) in [
        (Some("price"), "1"),
        (None, "2"),
        (Some("message"), "3"),
        (Some("x"), "4"),
    ] {
        channels.publish(0, event_type, data);
    }
    let prices = || EventFilter::Types(vec!["price".to_owned()]);
    let mut stream = channels.open(ResumePoint::Earliest, prices());
    let blocks = channels.sent(&mut stream, 2_000);
    assert_eq!(data(&blocks), ["1"]);
    assert_eq!(last_id(&blocks), "000007-4", "sent within a second");
    let untyped = EventFilter::Types(vec!["message".to_owned(), "none".to_owned()]);
    let mut stream = channels.open(ResumePoint::Earliest, untyped);
    assert_eq!(data(&channels.sent(&mut stream, 2_000)), ["2", "3"]);
    let mut stream = channels.open(after("000007-1"), prices());
    assert_eq!(last_id(&channels.sent(&mut stream, 2_000)), "000007-4");
}

#[test]
fn a_client_whose_events_are_all_filtered_out_resumes_without_a_gap() {
    let mut channels = Channels::new(1);
    channels.worlds[0].retention.events = 20;
    channels.publish(0, None, "first");
    let prices = EventFilter::Types(vec!["price".to_owned()]);
    let mut stream = channels.open(ResumePoint::Earliest, prices);
    let mut blocks = vec![];
    for _ in 0..50 {
        channels.publish(0, None, &"x".repeat(2_000));
        blocks.extend(channels.sent(&mut stream, 200));
    }
    assert_eq!(data(&blocks), Vec::<&str>::new());
    assert!((5..=20).contains(&blocks.iter().filter(|block| block.id.is_some()).count()));
    let mut stream = channels.resume(&last_id(&blocks));
    let resumed = channels.sent(&mut stream, 100);
    let is_gap = |block: &Block| block.event_type.as_deref() == Some("runnel.gap");
    assert!(!resumed.iter().any(is_gap), "{resumed:?}");
}

#[test]
fn a_live_stream_gets_its_position_in_its_first_event() {
    let mut channels = Channels::new(1);
    channels.publish(0, None, "before");
    channels.now += 10;
    let live = ResumePoint::Live(Timestamp(1_000_005));
    let mut stream = channels.open(live.clone(), EventFilter::All);
    let blocks = channels.sent(&mut stream, 40);
    assert_eq!(
        (last_id(&blocks).as_str(), data(&blocks).len()),
        ("000007-1", 0)
    );
    channels.publish(0, None, "while the client was away");
    let mut stream = channels.resume(&last_id(&blocks));
    assert_eq!(
        data(&channels.sent(&mut stream, 100)),
        ["while the client was away"]
    );
    let mut nothing = Channels::new(1);
    let mut stream = nothing.open(live, EventFilter::All);
    assert_eq!(last_id(&nothing.sent(&mut stream, 100)), "0");
}

#[test]
fn a_client_that_resumes_gets_its_own_id_with_the_first_bytes_and_not_again() {
    let mut channels = Channels::new(1);
    channels.publish(0, None, "1");
    let mut stream = channels.resume("000007-1");
    let blocks = channels.sent(&mut stream, 60_000);
    assert_eq!(last_id(&blocks[..1]), "000007-1");
    assert!(
        blocks[1..].iter().all(|block| block.id.is_none()),
        "{blocks:?}"
    );
}

proptest! {
    /// Property: over several channels, however often a client disconnects and resumes, it gets each
    /// channel's events once and in order.
    #[test]
    fn each_channel_is_read_once_and_in_order_across_disconnects(
        published in prop::collection::vec((0_usize..3, prop::bool::weighted(0.2), 0_u64..800), 1..60),
    ) {
        let mut channels = Channels::new(3);
        let mut stream = channels.open(ResumePoint::Earliest, EventFilter::All);
        let mut blocks = vec![];
        let mut counts = [0_u64; 3];
        for (index, disconnects, millis) in published {
            counts[index] += 1;
            let text = format!("{index} {}", counts[index]);
            channels.publish(index, None, &format!("{text:<3000}"));
            if disconnects && blocks.iter().any(|block: &Block| block.id.is_some()) {
                stream = channels.resume(&last_id(&blocks));
            }
            blocks.extend(channels.sent(&mut stream, millis));
        }
        blocks.extend(channels.sent(&mut stream, 2_000));
        for (index, count) in counts.into_iter().enumerate() {
            let received = data(&blocks).into_iter().map(str::trim);
            let received = received.filter(|text| text.starts_with(&index.to_string()));
            let expected = (1..=count).map(|seq| format!("{index} {seq}"));
            prop_assert_eq!(received.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }
}
