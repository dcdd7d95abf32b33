//! Streams over several channels, and streams that choose by type.

use super::*;
use crate::core::sse::{Cursor, Position};

/// Several channels, `a`, `b`, `c` and so on, and one clock.
struct Channels {
    worlds: Vec<World>,
    now: u64,
}

impl Channels {
    fn new(count: usize) -> Self {
        Self {
            worlds: (0..count).map(|_| World::new()).collect(),
            now: 1_000_000,
        }
    }

    fn publish(&mut self, place: usize, event_type: Option<&str>, data: &str) {
        let world = &mut self.worlds[place];
        world.now = self.now;
        let event = NewEvent {
            event_type: event_type.map(str::to_owned),
            data: data.to_owned(),
            trace: None,
        };
        world.commit(Batch {
            events: vec![event],
            ..Batch::default()
        });
    }

    fn subscription(&self, starts: Vec<StartFrom>, types: EventFilter) -> Subscription {
        let names = (b'a'..).map(|letter| char::from(letter).to_string().parse().unwrap());
        Subscription {
            channels: names.zip(starts).collect(),
            given: None,
            types,
            live: true,
            expires: None,
        }
    }

    fn open(&self, starts: Vec<StartFrom>, types: EventFilter) -> EventStream {
        EventStream::new(
            self.subscription(starts, types),
            CONFIG,
            42,
            Instant(self.now),
        )
    }

    fn resume(&self, last_event_id: &str) -> EventStream {
        let starts = StartFrom::after(last_event_id, self.worlds.len());
        let subscription = Subscription {
            given: last_event_id.parse().ok(),
            ..self.subscription(starts, EventFilter::All)
        };
        EventStream::new(subscription, CONFIG, 42, Instant(self.now))
    }

    /// Everything that is sent in so many milliseconds.
    fn sent(&mut self, stream: &mut EventStream, millis: u64) -> Vec<Block> {
        let until = self.now + millis;
        let mut sent = String::new();
        loop {
            let now = ClockReading {
                monotonic: Instant(self.now),
                wall: Timestamp(self.now),
            };
            match stream.next(now) {
                Step::Emit(bytes) => sent.push_str(&String::from_utf8(bytes).unwrap()),
                Step::End => break,
                Step::Wait(at) if at.0 > until => {
                    self.now = until;
                    break;
                }
                Step::Wait(at) => self.now = at.0,
                Step::ReadHead(place, _) => {
                    let head = self.worlds[place].head_as_read();
                    stream
                        .feeds()
                        .head_read(place, Instant(self.now), head, Instant(self.now));
                }
                Step::ReadSegments(place, names) => {
                    let segments = &self.worlds[place].segments;
                    let values = names.iter().map(|name| Ok(segments.get(name).cloned()));
                    let values = values.collect();
                    stream
                        .feeds()
                        .segments_read(place, &names, values, Instant(self.now));
                }
            }
        }
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

fn data(blocks: &[Block]) -> Vec<&str> {
    blocks
        .iter()
        .filter_map(|block| block.data.as_deref())
        .collect()
}

fn last_id(blocks: &[Block]) -> String {
    let ids = blocks.iter().rev().find_map(|block| block.id.clone());
    ids.unwrap().to_string()
}

#[test]
fn every_event_says_by_its_id_which_channel_it_is_of() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    let mut stream = channels.open(vec![StartFrom::Earliest; 2], EventFilter::All);
    let first = channels.sent(&mut stream, 100);
    channels.publish(1, None, "b2");
    let mut blocks = channels.sent(&mut stream, 1_000);
    blocks.splice(0..0, first);
    let events = blocks.iter().filter(|block| block.data.is_some());
    let places = events.map(|event| event.id.clone().unwrap().last_advanced());
    assert_eq!(data(&blocks), ["a1", "b1", "b2"]);
    assert_eq!(places.collect::<Vec<_>>(), [0, 1, 1]);
}

#[test]
fn channels_take_turns_so_that_a_long_replay_keeps_no_other_waiting() {
    let mut channels = Channels::new(3);
    let long = "x".repeat(4_000);
    for _ in 0..100 {
        channels.publish(0, None, &long);
        channels.publish(1, None, &long);
    }
    channels.publish(2, None, "short");
    let mut stream = channels.open(vec![StartFrom::Earliest; 3], EventFilter::All);
    let blocks = channels.sent(&mut stream, 1_000);
    let short = data(&blocks)
        .iter()
        .position(|data| *data == "short")
        .unwrap();
    assert!(short <= 40, "after {short} events");
    let of_a = |block: &Block| block.id.as_ref().is_some_and(|id| id.last_advanced() == 0);
    let halfway = &blocks[..blocks.len() / 2];
    let share = halfway.iter().filter(|block| of_a(block)).count();
    assert!(
        (30..=70).contains(&share),
        "{share} of the first 100 events"
    );
}

#[test]
fn nothing_is_given_out_before_it_is_known_where_each_channel_starts() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    channels.worlds[1].failing = true;
    let mut stream = channels.open(vec![StartFrom::Earliest; 2], EventFilter::All);
    assert_eq!(data(&channels.sent(&mut stream, 5_000)), Vec::<&str>::new());
    channels.worlds[1].failing = false;
    assert_eq!(data(&channels.sent(&mut stream, 9_000)), ["a1", "b1"]);
}

#[test]
fn a_channel_that_has_not_begun_is_resumed_from_its_first_event() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    let mut stream = channels.open(
        vec![StartFrom::Live(Timestamp(1_000_001)); 2],
        EventFilter::All,
    );
    let blocks = channels.sent(&mut stream, 1_000);
    let last = last_id(&blocks);
    assert_eq!(data(&blocks), Vec::<&str>::new());
    channels.publish(0, None, "a2");
    channels.publish(1, None, "b1");
    let mut stream = channels.resume(&last);
    assert_eq!(data(&channels.sent(&mut stream, 1_000)), ["a2", "b1"]);
}

#[test]
fn a_gap_names_its_channel_and_the_others_go_on() {
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
        "a cursor over one channel says nothing of two"
    );
}

#[test]
fn it_ends_when_all_channels_are_closed() {
    let mut channels = Channels::new(2);
    channels.publish(0, None, "a1");
    channels.publish(1, None, "b1");
    let mut stream = channels.open(vec![StartFrom::Earliest; 2], EventFilter::All);
    channels.worlds[0].close();
    assert_eq!(data(&channels.sent(&mut stream, 1_000)), ["a1", "b1"]);
    channels.publish(1, None, "b2");
    channels.worlds[1].close();
    let blocks = channels.sent(&mut stream, 1_000);
    assert_eq!(data(&blocks), ["b2", r#"{"reason":"closed"}"#]);
    assert_eq!(blocks[1].event_type.as_deref(), Some("runnel.end"));
    let mut again = channels.resume(&last_id(&blocks));
    let now = Instant(channels.now);
    for place in 0..2 {
        let head = channels.worlds[place].head.clone().map(Rc::new);
        again.feeds().head_read(place, now, Ok(head), now);
    }
    let now = ClockReading {
        monotonic: now,
        wall: Timestamp(channels.now),
    };
    assert!(again.is_finished(now));
}

#[test]
fn what_is_filtered_out_moves_the_cursor_silently() {
    let mut channels = Channels::new(1);
    for (event_type, data) in [
        (Some("price"), "1"),
        (None, "2"),
        (Some("message"), "3"),
        (Some("x"), "4"),
    ] {
        channels.publish(0, event_type, data);
    }
    let prices = || EventFilter::Only(vec!["price".to_owned()]);
    let mut stream = channels.open(vec![StartFrom::Earliest], prices());
    let blocks = channels.sent(&mut stream, 2_000);
    assert_eq!(data(&blocks), ["1"]);
    assert_eq!(last_id(&blocks), "000007-4", "told within a second");
    let untyped = EventFilter::Only(vec!["message".to_owned(), "none".to_owned()]);
    let mut stream = channels.open(vec![StartFrom::Earliest], untyped);
    assert_eq!(data(&channels.sent(&mut stream, 2_000)), ["2", "3"]);
    let mut stream = channels.open(StartFrom::after("000007-1", 1), prices());
    assert_eq!(last_id(&channels.sent(&mut stream, 2_000)), "000007-4");
}

#[test]
fn a_stream_that_gets_only_what_is_filtered_out_stays_within_retention() {
    let mut channels = Channels::new(1);
    channels.worlds[0].retention.events = 20;
    channels.publish(0, None, "first");
    let prices = EventFilter::Only(vec!["price".to_owned()]);
    let mut stream = channels.open(vec![StartFrom::Earliest], prices);
    let mut blocks = vec![];
    for _ in 0..50 {
        channels.publish(0, None, &"x".repeat(2_000));
        blocks.extend(channels.sent(&mut stream, 200));
    }
    assert_eq!(data(&blocks), Vec::<&str>::new());
    assert!((5..=20).contains(&blocks.iter().filter(|block| block.id.is_some()).count()));
    let mut stream = channels.resume(&last_id(&blocks));
    let resumed = channels.sent(&mut stream, 100);
    assert!(
        resumed.iter().all(|block| block.event_type.is_none()),
        "no gap"
    );
}

#[test]
fn a_live_stream_is_told_where_it_stands_before_any_event() {
    let mut channels = Channels::new(1);
    channels.publish(0, None, "before");
    channels.now += 10;
    let live = || vec![StartFrom::Live(Timestamp(1_000_005))];
    let mut stream = channels.open(live(), EventFilter::All);
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
    let mut stream = nothing.open(live(), EventFilter::All);
    assert_eq!(last_id(&nothing.sent(&mut stream, 100)), "0");
}

#[test]
fn a_client_that_resumes_is_told_its_own_id_with_the_first_bytes_and_not_again() {
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
    /// Law: over several channels, however the client is cut off and resumes, it gets each
    /// channel's events once and in order.
    #[test]
    fn each_channel_is_read_once_and_in_order_across_disconnects(
        published in prop::collection::vec((0_usize..3, prop::bool::weighted(0.2), 0_u64..800), 1..60),
    ) {
        let mut channels = Channels::new(3);
        let mut stream = channels.open(vec![StartFrom::Earliest; 3], EventFilter::All);
        let mut blocks = vec![];
        let mut counts = [0_u64; 3];
        for (place, cut, millis) in published {
            counts[place] += 1;
            let text = format!("{place} {}", counts[place]);
            channels.publish(place, None, &format!("{text:<3000}"));
            if cut && blocks.iter().any(|block: &Block| block.id.is_some()) {
                stream = channels.resume(&last_id(&blocks));
            }
            blocks.extend(channels.sent(&mut stream, millis));
        }
        blocks.extend(channels.sent(&mut stream, 2_000));
        for (place, count) in counts.into_iter().enumerate() {
            let of_place = data(&blocks).into_iter().map(str::trim);
            let of_place = of_place.filter(|text| text.starts_with(&place.to_string()));
            let expected = (1..=count).map(|seq| format!("{place} {seq}"));
            prop_assert_eq!(of_place.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }
}
