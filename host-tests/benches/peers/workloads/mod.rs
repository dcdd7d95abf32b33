//! The workloads. Each runs in rounds, and each round covers every server in turn. The next round
//! begins with the next server.

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

use crate::client::{Publisher, Subscriber};
use crate::servers::Server;
use crate::table::Table;

/// The time that a round may take on one server.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections that are opened concurrently.
const CONCURRENT_OPENS: usize = 64;

/// The pause after streams have been opened or dropped.
const SETTLE_TIME: Duration = Duration::from_millis(300);

/// Runs the rounds of a workload and adds their figures to the table.
async fn run_rounds(
    servers: &[&Server],
    rounds: usize,
    table: &mut Table,
    round: impl AsyncFn(&Server, usize) -> Result<Vec<f64>>,
) {
    for number in 0..rounds {
        for offset in 0..servers.len() {
            let server = servers[(number + offset) % servers.len()];
            let figures = timeout(ROUND_TIMEOUT, round(server, number))
                .await
                .context("the round does not end")
                .flatten();
            table.add(server, figures);
        }
    }
}

/// Returns the servers that events can be published to.
fn with_channels(servers: &[Server]) -> Vec<&Server> {
    let servers = servers.iter();
    servers
        .filter(|server| server.peer().has_channels())
        .collect()
}

/// The events of a channel that are to be replayed.
struct Backlog {
    /// The id of the event before them; `None` for the bare component, which needs none.
    after: Option<String>,
}

impl Backlog {
    /// Publishes an event to obtain its id, and `count` events after it.
    async fn publish(server: &Server, channel: &str, count: u64) -> Result<Self> {
        if !server.peer().has_channels() {
            return Ok(Self { after: None });
        }
        let mut subscriber = open_live(server, channel).await?;
        sleep(SETTLE_TIME).await;
        let mut publisher = Publisher::open(server, channel).await?;
        publisher.publish(1).await?;
        let first = subscriber.read_in_order(1, |_| ());
        let first = timeout(ROUND_TIMEOUT, first).await;
        first.with_context(|| format!("{server} does not deliver"))??;
        publisher.publish(count).await?;
        Ok(Self {
            after: Some(subscriber.last_id()),
        })
    }

    /// Opens a stream that resumes after the first event.
    async fn resume(&self, server: &Server, channel: &str) -> Result<Subscriber> {
        Subscriber::open(server, channel, self.after.as_deref()).await
    }

    /// Reads `count` events, each once and in order; of the bare component at least `count`.
    async fn read(&self, subscriber: &mut Subscriber, count: u64) -> Result<()> {
        match self.after {
            Some(_) => subscriber.read_in_order(count, |_| ()).await,
            None => subscriber.read_any(count, |_| ()).await,
        }
    }
}

/// Opens a live stream and waits for the head of its response.
async fn open_live(server: &Server, channel: &str) -> Result<Subscriber> {
    let mut subscriber = Subscriber::open(server, channel, None).await?;
    subscriber.read_head().await?;
    Ok(subscriber)
}

/// Opens `count` live streams, each of which has received the channel's first event.
async fn open_subscribers(
    server: &Server,
    channel: &str,
    count: usize,
) -> Result<(Vec<Subscriber>, Publisher)> {
    let opening = stream::iter(0..count).map(|_| open_live(server, channel));
    let mut subscribers: Vec<_> = opening
        .buffer_unordered(CONCURRENT_OPENS)
        .try_collect()
        .await?;
    sleep(SETTLE_TIME).await;
    let mut publisher = Publisher::open(server, channel).await?;
    publisher.publish(1).await?;
    for subscriber in &mut subscribers {
        subscriber.read_in_order(1, |_| ()).await?;
    }
    Ok((subscribers, publisher))
}

/// Returns a duration in milliseconds.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
