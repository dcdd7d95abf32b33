//! The newest head of each channel, shared by all streams of the instance.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;

use crate::core::channel::Channel;
use crate::core::log::{Head, head_key};
use crate::core::time::Mono;
use crate::platform::{clock, store};

/// With more tails than this, those that were not read for a while are forgotten.
const MANY_TAILS: usize = 256;

/// How long a tail is certainly remembered, in milliseconds.
const REMEMBERED_MILLIS: u64 = 60_000;

struct Tail {
    read: Mono,
    bytes: Bytes,
    head: Option<Rc<Head>>,
}

thread_local! {
    static TAILS: RefCell<HashMap<Channel, Tail>> = RefCell::new(HashMap::new());
}

/// When a head was read, and the head, if there was one.
pub type HeadRead = (Mono, Option<Rc<Head>>);

/// The head of `channel` as it was later than at `after`. The store is asked only if no other
/// stream has asked it since.
///
/// # Errors
/// What the store said, or why its answer is not a head.
pub async fn head(channel: &Channel, after: Mono) -> Result<HeadRead, String> {
    if let Some(shared) = remembered(channel, |tail| {
        (tail.read > after).then(|| (tail.read, tail.head.clone()))
    }) {
        return Ok(shared);
    }
    let read = clock::mono();
    let key = head_key(channel);
    let Some(bytes) = store::get(&key).await? else {
        remember(
            channel,
            Tail {
                read,
                bytes: Bytes::new(),
                head: None,
            },
        );
        return Ok((read, None));
    };
    let unchanged = remembered(channel, |tail| {
        (tail.bytes == bytes).then(|| tail.head.clone())
    });
    let head = match unchanged {
        Some(Some(head)) => head,
        _ => Rc::new(Head::decode(&key, &bytes).map_err(|error| error.to_string())?),
    };
    remember(
        channel,
        Tail {
            read,
            bytes,
            head: Some(head.clone()),
        },
    );
    Ok((read, Some(head)))
}

fn remembered<T>(channel: &Channel, get: impl FnOnce(&Tail) -> Option<T>) -> Option<T> {
    TAILS.with_borrow(|tails| tails.get(channel).and_then(get))
}

fn remember(channel: &Channel, tail: Tail) {
    TAILS.with_borrow_mut(|tails| {
        if tails.len() >= MANY_TAILS {
            tails.retain(|_, old| tail.read.since(old.read) < REMEMBERED_MILLIS);
        }
        match tails.get_mut(channel) {
            Some(newer) if newer.read > tail.read => {}
            Some(older) => *older = tail,
            None => drop(tails.insert(channel.clone(), tail)),
        }
    });
}
