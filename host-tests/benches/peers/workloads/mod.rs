//! What is measured. Every work runs in rounds, and in each round on every server, one after the
//! other; the next round begins with the next server.

pub(crate) mod fan_out;
pub(crate) mod first_byte;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod replay;
pub(crate) mod resume;

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{sleep, timeout};

use crate::client::{Publisher, Stream};
use crate::servers::Server;
use crate::table::Table;

/// How long a round may take on one server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that are opened at the same time.
const OPENED_AT_ONCE: usize = 64;

/// How long a server is left alone with streams that have just been opened or dropped.
const SETTLING: Duration = Duration::from_millis(300);

/// Runs the rounds of a work.
async fn rounds(
    servers: &[&Server],
    rounds: usize,
    table: &mut Table,
    round: impl AsyncFn(&Server, usize) -> Result<Vec<f64>>,
) {
    for number in 0..rounds {
        for place in 0..servers.len() {
            let server = servers[(number + place) % servers.len()];
            let done = timeout(PATIENCE, round(server, number)).await;
            let done = done.context("no end of it");
            table.add(server, done.and_then(|figures| figures));
        }
    }
}

/// The servers that events can be published to.
fn with_channels(servers: &[Server]) -> Vec<&Server> {
    let servers = servers.iter();
    servers
        .filter(|server| server.peer().has_channels())
        .collect()
}

/// Events in a channel, to be replayed.
struct Backlog {
    /// The id of the event before them; none for the bare component, which has no need of it.
    after: Option<String>,
}

impl Backlog {
    /// Publishes an event, to learn its id, and so many after it.
    async fn publish(server: &Server, channel: &str, count: u64) -> Result<Self> {
        if !server.peer().has_channels() {
            return Ok(Self { after: None });
        }
        let mut stream = opened(server, channel).await?;
        sleep(SETTLING).await;
        let mut publisher = Publisher::open(server, channel).await?;
        publisher.publish(1).await?;
        let first = stream.events(1, |_| ());
        let first = timeout(PATIENCE, first).await;
        first.with_context(|| format!("{server} does not deliver"))??;
        publisher.publish(count).await?;
        Ok(Self {
            after: Some(stream.last_id()),
        })
    }

    /// Resumes after the first event.
    async fn resume(&self, server: &Server, channel: &str) -> Result<Stream> {
        Stream::open(server, channel, self.after.as_deref()).await
    }

    /// Reads until so many events have come, each once and in order; of the bare component, at least
    /// so many.
    async fn take(&self, stream: &mut Stream, count: u64) -> Result<()> {
        match self.after {
            Some(_) => stream.events(count, |_| ()).await,
            None => stream.count(count, |_| ()).await,
        }
    }
}

/// A live stream whose head has come.
async fn opened(server: &Server, channel: &str) -> Result<Stream> {
    let mut stream = Stream::open(server, channel, None).await?;
    stream.opened().await?;
    Ok(stream)
}

/// So many live streams, each of which has had the channel's first event.
async fn audience(server: &Server, channel: &str, size: usize) -> Result<(Vec<Stream>, Publisher)> {
    let opening = stream::iter(0..size).map(|_| opened(server, channel));
    let mut streams: Vec<_> = opening
        .buffer_unordered(OPENED_AT_ONCE)
        .try_collect()
        .await?;
    sleep(SETTLING).await;
    let mut publisher = Publisher::open(server, channel).await?;
    publisher.publish(1).await?;
    for stream in &mut streams {
        stream.events(1, |_| ()).await?;
    }
    Ok((streams, publisher))
}

/// In milliseconds.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
