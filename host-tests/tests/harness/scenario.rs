//! Requests of a publisher, each with the effect that it must have on the log.

use std::ops::RangeInclusive;
use std::time::Duration;

use runnel_testing::{
    Fixture, Response, authorized, authorized_with, numbered_text, send, split_id,
};
use tokio::time::sleep;

use crate::outcome::Outcome;

/// A publisher's request to a channel in a certain state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// The first event of a channel, this long after the start of the host.
    FirstPublish(Duration),
    /// An event to a channel that has some.
    Publish,
    /// An event that seals the newest ones into a segment.
    PublishThatSeals,
    /// An event whose commit deletes segments that retention dropped earlier.
    PublishThatDeletes,
    /// Three events at once.
    PublishBatch,
    /// An event that closes the channel.
    PublishLast,
    /// An event with an idempotency key.
    PublishWithKey,
    /// The same event with the same idempotency key again.
    Retry,
    Close,
    Purge,
}

pub(crate) const ALL: [Scenario; 12] = [
    Scenario::FirstPublish(Duration::ZERO),
    Scenario::FirstPublish(Duration::from_millis(1_100)),
    Scenario::FirstPublish(Duration::from_millis(2_950)),
    Scenario::Publish,
    Scenario::PublishThatSeals,
    Scenario::PublishThatDeletes,
    Scenario::PublishBatch,
    Scenario::PublishLast,
    Scenario::PublishWithKey,
    Scenario::Retry,
    Scenario::Close,
    Scenario::Purge,
];

impl Scenario {
    /// Returns a host whose channel is ready for the request.
    pub(crate) async fn prepare(self) -> Fixture {
        let fixture = Fixture::with(self.variables());
        match self {
            Self::FirstPublish(after) => sleep(after).await,
            Self::PublishThatSeals => drop(fixture.publish_numbered(1..=4, 5_000).await),
            Self::PublishThatDeletes => {
                fixture.publish_numbered(1..=12, 5_000).await;
                sleep(Duration::from_secs(70)).await;
            }
            Self::Purge => drop(fixture.publish_numbered(1..=12, 5_000).await),
            Self::Retry => {
                fixture.publish_numbered(1..=2, 10).await;
                assert_eq!(self.send(&fixture).await.status, 201);
            }
            _ => drop(fixture.publish_numbered(1..=2, 10).await),
        }
        fixture.store.take_calls();
        fixture
    }

    /// Returns the settings that the scenario needs.
    pub(crate) fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::PublishThatDeletes => &[("retention_events", "3")],
            _ => &[],
        }
    }

    /// Sends the request.
    pub(crate) async fn send(self, fixture: &Fixture) -> Response {
        let plain = ("content-type", "text/plain");
        let with_key = [plain, ("idempotency-key", "key")];
        let lines = "{\"data\":\"new\"}\n{\"data\":\"new 2\"}\n{\"data\":\"new 3\"}\n";
        let request = match self {
            Self::FirstPublish(_)
            | Self::Publish
            | Self::PublishThatSeals
            | Self::PublishThatDeletes => authorized_with("POST", "/publish/c", &[plain], "new"),
            Self::PublishBatch => {
                let batch = [("content-type", "application/x-ndjson")];
                authorized_with("POST", "/publish/c", &batch, lines)
            }
            Self::PublishLast => authorized_with("POST", "/publish/c?close=true", &[plain], "new"),
            Self::PublishWithKey | Self::Retry => {
                authorized_with("POST", "/publish/c", &with_key, "new")
            }
            Self::Close => authorized("POST", "/channels/c/close"),
            Self::Purge => authorized("DELETE", "/channels/c"),
        };
        send(&fixture.host, request).await
    }

    /// Returns the data in the log before the request.
    fn data_before(self) -> Vec<String> {
        let texts = |numbers: RangeInclusive<u64>, bytes| {
            numbers.map(|number| numbered_text(number, bytes)).collect()
        };
        match self {
            Self::FirstPublish(_) => vec![],
            Self::PublishThatSeals => texts(1..=4, 5_000),
            // Retention has dropped the first segments by then.
            Self::PublishThatDeletes => texts(7..=12, 5_000),
            Self::Purge => texts(1..=12, 5_000),
            Self::Retry => {
                let mut texts: Vec<_> = texts(1..=2, 10);
                texts.push("new".to_owned());
                texts
            }
            _ => texts(1..=2, 10),
        }
    }

    /// Returns the data that the request adds to the log.
    fn added_data(self) -> &'static [&'static str] {
        match self {
            Self::Retry | Self::Close | Self::Purge => &[],
            Self::PublishBatch => &["new", "new 2", "new 3"],
            _ => &["new"],
        }
    }

    fn closes(self) -> bool {
        matches!(self, Self::PublishLast | Self::Close)
    }

    /// Asserts that the outcome is true, and that the channel works.
    pub(crate) async fn check(self, fixture: &Fixture, outcome: Outcome) {
        if self == Self::Purge {
            return self.check_purge(fixture, outcome).await;
        }
        let log = fixture.log().await;
        let data: Vec<_> = log.iter().map(|event| event.data.as_str()).collect();
        for pair in log.windows(2) {
            assert_eq!(pair[0].epoch(), pair[1].epoch());
            assert_eq!(pair[0].seq() + 1, pair[1].seq());
        }
        let first_kept = log.first().map_or(1, |event| event.seq());
        let before = self.data_before();
        let dropped = usize::try_from(first_kept - 1).unwrap();
        let first_before = before.first().map_or(1, |text| leading_number(text));
        let old = &before[dropped + 1 - first_before..];
        assert_eq!(data[..old.len()], *old);
        let new = &data[old.len()..];
        let is_committed = match &outcome {
            Outcome::Committed(id) => {
                assert_eq!(new, self.added_data());
                if id.is_some() {
                    assert_eq!(log.last().map(|event| &event.id), id.as_ref());
                }
                true
            }
            Outcome::NotCommitted => {
                assert!(new.is_empty(), "{new:?} although the request was denied");
                false
            }
            // All of it or nothing.
            Outcome::Unknown => {
                assert!(new.is_empty() || new == self.added_data(), "{new:?}");
                !new.is_empty()
            }
        };
        let next = first_kept + data.len() as u64;
        if self.closes() {
            self.check_close(fixture, &outcome, is_committed).await;
        } else {
            self.check_next_publishes(fixture, &outcome, next).await;
        }
    }

    async fn check_close(self, fixture: &Fixture, outcome: &Outcome, is_committed: bool) {
        let is_closed = fixture.is_closed().await;
        if *outcome != Outcome::Unknown || !self.added_data().is_empty() {
            assert_eq!(is_closed, is_committed, "events and close are atomic");
        }
        let response = fixture.publish("after").await;
        assert_eq!(response.status, if is_closed { 409 } else { 201 });
    }

    async fn check_next_publishes(self, fixture: &Fixture, outcome: &Outcome, mut next: u64) {
        if matches!(self, Self::PublishWithKey | Self::Retry) {
            let id = self.send(fixture).await.event_id();
            if let Outcome::Committed(Some(first)) = outcome {
                assert_eq!(*first, id);
            }
            let log = fixture.log().await;
            let times = log.iter().filter(|event| event.data == "new").count();
            assert_eq!(times, 1, "a key appends once");
            next = log.last().unwrap().seq() + 1;
        }
        for _ in 0..2 {
            let id = fixture.publish("after").await.event_id();
            assert_eq!(split_id(&id).1, next);
            assert_eq!(fixture.log().await.last().unwrap().id, id);
            next += 1;
        }
        if self == Self::PublishThatDeletes {
            sleep(Duration::from_secs(70)).await;
            fixture.publish("later").await.event_id();
            sleep(Duration::from_secs(70)).await;
            fixture.publish("last").await.event_id();
            let stored = fixture.store.keys("seg!").len();
            assert!(stored <= 3, "{stored} segments are still stored");
        }
    }

    async fn check_purge(self, fixture: &Fixture, outcome: Outcome) {
        let old_segments = fixture.store.keys("seg!");
        let log = fixture.log().await;
        let is_purged = log.is_empty();
        if !is_purged {
            let data: Vec<_> = log.iter().map(|event| event.data.clone()).collect();
            assert_eq!(data, self.data_before());
        }
        match outcome {
            Outcome::Committed(_) => assert!(is_purged),
            Outcome::NotCommitted => assert!(!is_purged, "purged although it was denied"),
            Outcome::Unknown => {}
        }
        let id = fixture.publish("after").await.event_id();
        let (epoch, seq) = split_id(&id);
        assert_eq!(seq, log.len() as u64 + 1);
        if is_purged {
            // Later commits delete the segments that this one could not.
            for _ in 0..2 {
                sleep(Duration::from_secs(70)).await;
                fixture.publish("later").await.event_id();
            }
            let left = fixture.store.keys("seg!");
            assert!(left.is_empty(), "{left:?} of {old_segments:?} are left");
        } else {
            assert_eq!(epoch, log[0].epoch());
        }
    }
}

/// Returns the number at the beginning of an event's data.
fn leading_number(text: &str) -> usize {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().unwrap()
}
