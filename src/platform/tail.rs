//! The newest head of each channel, shared by all streams of the instance.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;

use crate::core::channel::Channel;
use crate::core::log::{Head, head_key};
use crate::core::stream::SharedFrames;
use crate::core::time::Instant;
use crate::platform::{clock, store};

/// With more tails than this, those that were not read for a while are forgotten.
const MANY_TAILS: usize = 256;

/// How long a tail is certainly remembered, in milliseconds.
const REMEMBERED_MILLIS: u64 = 60_000;

#[derive(Default)]
struct Tail {
    newest: Option<Newest>,
    /// Since when it is being read, by whoever began last.
    reading: Option<Instant>,
    /// The last read that failed: when it began and ended, and why.
    failed: Option<(Instant, Instant, String)>,
}

struct Newest {
    read: Instant,
    value: Option<Bytes>,
    head: Option<Rc<Head>>,
}

/// How many bytes of encoded events the streams of an instance share at most: 8 MiB.
const SHARED_BYTES: usize = 8 * 1024 * 1024;

thread_local! {
    static FRAMES: SharedFrames = SharedFrames::new(SHARED_BYTES);
    static TAILS: RefCell<HashMap<Channel, Tail>> = RefCell::new(HashMap::new());
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// When a head was read, and the head, if there was one.
pub type HeadRead = (Instant, Option<Rc<Head>>);

/// What is known of a channel's head.
pub enum Look {
    /// It was read, late enough; or what the store said then, or why its answer is not a head.
    Read(Result<HeadRead, String>),
    /// It is being read.
    Reading,
    /// It has to be read.
    Outdated,
}

/// The encoded events that the streams of this instance share.
pub fn frames() -> SharedFrames {
    FRAMES.with(Clone::clone)
}

/// What is known of the head of `channel` as it was later than at `after`, by somebody who wants to
/// know since `asked`: a read that failed before that says nothing.
pub fn look(channel: &Channel, after: Instant, asked: Instant) -> Look {
    TAILS.with_borrow(|tails| {
        let Some(tail) = tails.get(channel) else {
            return Look::Outdated;
        };
        match (&tail.newest, &tail.failed, tail.reading) {
            (Some(newest), ..) if newest.read > after => {
                Look::Read(Ok((newest.read, newest.head.clone())))
            }
            (_, Some((began, ended, error)), _) if *began > after && *ended >= asked => {
                Look::Read(Err(error.clone()))
            }
            (.., Some(since)) if since > after => Look::Reading,
            _ => Look::Outdated,
        }
    })
}

/// How many reads of this instance have come to an end. Who waits for what another is reading can
/// tell by it that it is time to look again.
pub(super) fn reads() -> u64 {
    READS.get()
}

/// A read has come to an end.
pub(super) fn tell() {
    READS.set(READS.get().wrapping_add(1));
}

/// Reads the head of `channel` for all streams of the instance.
///
/// # Errors
/// What the store said, or why its answer is not a head.
pub async fn read(channel: &Channel) -> Result<HeadRead, String> {
    let reading = Reading::begin(channel);
    let result = read_since(channel, reading.since).await;
    if let Err(error) = &result {
        let failed = Some((reading.since, clock::monotonic(), error.clone()));
        TAILS.with_borrow_mut(|tails| tails.entry(channel.clone()).or_default().failed = failed);
    }
    result
}

async fn read_since(channel: &Channel, read: Instant) -> Result<HeadRead, String> {
    let key = head_key(channel);
    let value = store::get(&key).await?;
    let known = TAILS.with_borrow(|tails| {
        let newest = tails.get(channel)?.newest.as_ref()?;
        let (head, stored) = newest.head.as_ref().zip(newest.value.as_ref())?;
        let bytes = value.as_ref()?;
        head.is_stored_as(stored, bytes).then(|| head.clone())
    });
    let head = match (known, &value) {
        (Some(head), _) => Some(head),
        (None, None) => None,
        (None, Some(bytes)) => {
            let head = Head::decode(&key, bytes).map_err(|error| error.to_string())?;
            Some(Rc::new(head))
        }
    };
    let newest = Newest {
        read,
        value,
        head: head.clone(),
    };
    remember(channel, newest);
    Ok((read, head))
}

/// A read under way. Whoever drops it leaves the head for others to read.
struct Reading {
    channel: Channel,
    since: Instant,
}

impl Reading {
    fn begin(channel: &Channel) -> Self {
        let since = clock::monotonic();
        TAILS.with_borrow_mut(|tails| {
            forget_some(tails, since);
            tails.entry(channel.clone()).or_default().reading = Some(since);
        });
        let channel = channel.clone();
        Self { channel, since }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        TAILS.with_borrow_mut(|tails| {
            if let Some(tail) = tails.get_mut(&self.channel)
                && tail.reading == Some(self.since)
            {
                tail.reading = None;
            }
        });
        tell();
    }
}

fn forget_some(tails: &mut HashMap<Channel, Tail>, now: Instant) {
    if tails.len() >= MANY_TAILS {
        tails.retain(|_, tail| {
            let read = tail.newest.as_ref().map(|newest| newest.read);
            let used = read.into_iter().chain(tail.reading).max();
            used.is_some_and(|used| now.since(used) < REMEMBERED_MILLIS)
        });
    }
}

fn remember(channel: &Channel, newest: Newest) {
    TAILS.with_borrow_mut(|tails| {
        let known = &mut tails.entry(channel.clone()).or_default().newest;
        if known.as_ref().is_none_or(|known| known.read <= newest.read) {
            *known = Some(newest);
        }
    });
}
