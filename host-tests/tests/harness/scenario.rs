//! Things a publisher does, each with what must be true of the log afterwards.

use std::time::Duration;

use tokio::time::sleep;

use crate::answer::{Answer, Said};
use crate::block::{epoch, seq};
use crate::site::{Site, authorized, authorized_with, send, text};

/// What a publisher does to a channel in a certain state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// The first event of a channel, so many milliseconds after the host began.
    Creates(u64),
    /// An event to a channel that has some.
    Appends,
    /// An event that makes the channel's newest ones become a segment.
    Seals,
    /// An event at whose commit segments are deleted that retention dropped before.
    Discards,
    /// Three events as one.
    AppendsABatch,
    /// An event after which the channel is closed.
    AppendsTheLast,
    /// An event with an idempotency key.
    AppendsWithAKey,
    /// The same event with the same idempotency key again.
    Repeats,
    Closes,
    Purges,
}

pub(crate) const ALL: [Scenario; 12] = [
    Scenario::Creates(0),
    Scenario::Creates(1_100),
    Scenario::Creates(2_950),
    Scenario::Appends,
    Scenario::Seals,
    Scenario::Discards,
    Scenario::AppendsABatch,
    Scenario::AppendsTheLast,
    Scenario::AppendsWithAKey,
    Scenario::Repeats,
    Scenario::Closes,
    Scenario::Purges,
];

impl Scenario {
    /// A host whose channel is in the state in which this can be done.
    pub(crate) async fn prepare(self) -> Site {
        let site = match self {
            Self::Discards => Site::with(&[("retention_events", "3")]),
            _ => Site::new(),
        };
        match self {
            Self::Creates(after) => sleep(Duration::from_millis(after)).await,
            Self::Seals => drop(site.publish_run(1, 4, 5_000).await),
            Self::Discards => {
                site.publish_run(1, 12, 5_000).await;
                sleep(Duration::from_secs(70)).await;
            }
            Self::Purges => drop(site.publish_run(1, 12, 5_000).await),
            Self::Repeats => {
                site.publish_run(1, 2, 10).await;
                assert_eq!(self.act(&site).await.status, 201);
            }
            _ => drop(site.publish_run(1, 2, 10).await),
        }
        site.take_asked();
        site
    }

    /// Does it.
    pub(crate) async fn act(self, site: &Site) -> Answer {
        let plain = ("content-type", "text/plain");
        let keyed = [plain, ("idempotency-key", "key")];
        let lines = "{\"data\":\"new\"}\n{\"data\":\"new 2\"}\n{\"data\":\"new 3\"}\n";
        let request = match self {
            Self::Creates(_) | Self::Appends | Self::Seals | Self::Discards => {
                authorized_with("POST", "/publish/c", &[plain], "new")
            }
            Self::AppendsABatch => {
                let batch = [("content-type", "application/x-ndjson")];
                authorized_with("POST", "/publish/c", &batch, lines)
            }
            Self::AppendsTheLast => {
                authorized_with("POST", "/publish/c?close=true", &[plain], "new")
            }
            Self::AppendsWithAKey | Self::Repeats => {
                authorized_with("POST", "/publish/c", &keyed, "new")
            }
            Self::Closes => authorized("POST", "/channels/c/close"),
            Self::Purges => authorized("DELETE", "/channels/c"),
        };
        send(&site.host, request).await
    }

    /// What the log held before.
    fn before(self) -> Vec<String> {
        let texts = |numbers: std::ops::RangeInclusive<u64>, bytes| {
            numbers.map(|number| text(number, bytes)).collect()
        };
        match self {
            Self::Creates(_) => vec![],
            Self::Seals => texts(1..=4, 5_000),
            // The first three segments of three events each are gone by then.
            Self::Discards => texts(7..=12, 5_000),
            Self::Purges => texts(1..=12, 5_000),
            Self::Repeats => {
                let mut texts: Vec<_> = texts(1..=2, 10);
                texts.push("new".to_owned());
                texts
            }
            _ => texts(1..=2, 10),
        }
    }

    /// What it adds to the log.
    fn adds(self) -> &'static [&'static str] {
        match self {
            Self::Repeats | Self::Closes | Self::Purges => &[],
            Self::AppendsABatch => &["new", "new 2", "new 3"],
            _ => &["new"],
        }
    }

    /// Whether it closes the channel.
    fn closes(self) -> bool {
        matches!(self, Self::AppendsTheLast | Self::Closes)
    }

    /// Checks that what was said is true, and that the channel works.
    pub(crate) async fn check(self, site: &Site, said: Said) {
        if self == Self::Purges {
            return self.check_purge(site, said).await;
        }
        let log = site.log().await;
        let data: Vec<_> = log.iter().map(|event| event.data.as_str()).collect();
        // The seqs have no holes and the epoch is one.
        for pair in log.windows(2) {
            assert_eq!(epoch(&pair[0].id), epoch(&pair[1].id));
            assert_eq!(pair[0].seq() + 1, pair[1].seq());
        }
        let kept = log.first().map_or(1, |event| event.seq());
        let before = self.before();
        let dropped = usize::try_from(kept - 1).unwrap();
        let numbers_before = before.first().map_or(1, |text| number(text));
        let old = &before[dropped + 1 - numbers_before..];
        assert_eq!(data[..old.len()], *old);
        let new = &data[old.len()..];
        let is_done = match &said {
            Said::Done(id) => {
                assert_eq!(new, self.adds());
                if id.is_some() {
                    assert_eq!(log.last().map(|event| &event.id), id.as_ref());
                }
                true
            }
            Said::NotDone => {
                assert!(new.is_empty(), "{new:?} although it was denied");
                false
            }
            // All of it or nothing of it.
            Said::Unknown => {
                assert!(new.is_empty() || new == self.adds(), "{new:?}");
                !new.is_empty()
            }
        };
        self.check_that_it_works(site, &said, is_done, data.len(), kept)
            .await;
    }

    async fn check_that_it_works(
        self,
        site: &Site,
        said: &Said,
        is_done: bool,
        count: usize,
        kept: u64,
    ) {
        let mut expected = kept + count as u64;
        if self.closes() {
            let is_closed = site.is_closed().await;
            if *said != Said::Unknown || !self.adds().is_empty() {
                assert_eq!(is_closed, is_done, "events and close are one step");
            }
            let answer = site.publish("after").await;
            assert_eq!(answer.status, if is_closed { 409 } else { 201 });
            return;
        }
        if matches!(self, Self::AppendsWithAKey | Self::Repeats) {
            let repeated = self.act(site).await.id();
            if let Said::Done(Some(id)) = said {
                assert_eq!(*id, repeated);
            }
            let log = site.log().await;
            let times = log.iter().filter(|event| event.data == "new").count();
            assert_eq!(times, 1, "a key appends once");
            expected = log.last().unwrap().seq() + 1;
        }
        for _ in 0..2 {
            let id = site.publish("after").await.id();
            assert_eq!(seq(&id), expected);
            assert_eq!(site.log().await.last().unwrap().id, id);
            expected += 1;
        }
        if self == Self::Discards {
            sleep(Duration::from_secs(70)).await;
            site.publish("later").await.id();
            sleep(Duration::from_secs(70)).await;
            site.publish("last").await.id();
            let stored = site.keys("seg!").len();
            assert!(stored <= 3, "{stored} segments are still stored");
        }
    }

    async fn check_purge(self, site: &Site, said: Said) {
        let old_segments = site.keys("seg!");
        let log = site.log().await;
        let is_purged = log.is_empty();
        if !is_purged {
            let data: Vec<_> = log.iter().map(|event| event.data.clone()).collect();
            assert_eq!(data, self.before());
        }
        match said {
            Said::Done(_) => assert!(is_purged),
            Said::NotDone => assert!(!is_purged, "purged although it was denied"),
            Said::Unknown => {}
        }
        let id = site.publish("after").await.id();
        assert_eq!(seq(&id), log.len() as u64 + 1);
        if is_purged {
            // Later commits delete what this one could not.
            for _ in 0..2 {
                sleep(Duration::from_secs(70)).await;
                site.publish("later").await.id();
            }
            let left = site.keys("seg!");
            assert!(left.is_empty(), "{left:?} of {old_segments:?} are left");
        } else {
            assert_eq!(epoch(&id), epoch(&log[0].id));
        }
    }
}

/// The number at the beginning of an event's data.
fn number(text: &str) -> usize {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    text[..digits.unwrap_or(text.len())].parse().unwrap()
}
