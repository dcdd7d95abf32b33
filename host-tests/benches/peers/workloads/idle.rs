//! Idle: thousands of streams without events, on a server that was started for them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{CONCURRENT_OPENS, millis, open_live};
use crate::client::Subscriber;
use crate::machine;
use crate::servers::{Peer, Server};
use crate::table::{Table, format_figure};

const CHANNEL: &str = "idle";
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The time after streams have been opened that does not count as idle.
const SETTLE_TIME: Duration = Duration::from_secs(3);

/// Bytes that arrive within this time of others belong to the same heartbeat or to the opening.
const MIN_HEARTBEAT_GAP: Duration = Duration::from_secs(5);

/// The number of streams, and the time that they are held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    /// The number of streams.
    pub(crate) streams: u64,
    /// The time for which all streams are held open.
    pub(crate) hold: Duration,
}

/// Measures and prints the workload.
pub(crate) async fn run(peers: &[Peer], config: Config) -> Result<()> {
    let Config { streams, hold } = config;
    println!(
        "## Idle: {} streams for {} s, one round\n",
        format_figure(streams as f64),
        hold.as_secs()
    );
    if machine::max_open_files()? < streams + 100 {
        println!("Skipped: the limit of open files (`ulimit -n`) is too low.\n");
        return Ok(());
    }
    let mut table = Table::new(&[
        "memory, kB a stream",
        "CPU, ms a second of all",
        "CPU, µs a second and stream",
        "opened in, s",
        "heartbeats of those due, %",
        "farthest from 15 s, ms",
    ]);
    for peer in peers {
        let server = peer.start().await?;
        table.add(&server, measure(&server, config).await);
        server.stop().await?;
    }
    println!("{table}");
    Ok(())
}

async fn measure(server: &Server, config: Config) -> Result<Vec<f64>> {
    drop(open_live(server, CHANNEL).await?);
    sleep(SETTLE_TIME).await;
    let empty = server.usage()?;
    let start = Instant::now();
    // All streams are held until the same end, which is known once the last one is open.
    let (announce_end, announced_end) = tokio::sync::watch::channel(None);
    let opening = stream::iter(0..config.streams).map(|_| async {
        let subscriber = open_live(server, CHANNEL).await?;
        let end = announced_end.clone();
        anyhow::Ok(tokio::spawn(count_heartbeats(subscriber, end)))
    });
    let counting: Vec<_> = opening.buffer_unordered(CONCURRENT_OPENS).collect().await;
    let opening_time = start.elapsed();
    let end = Instant::now() + config.hold;
    announce_end
        .send(Some(end))
        .context("all streams have ended")?;
    sleep(SETTLE_TIME).await;
    let (settled, since) = (server.usage()?, Instant::now());
    sleep_until(end).await;
    let full = server.usage()?;
    let seconds = since.elapsed().as_secs_f64();
    let (mut due, mut received, mut max_deviation) = (0, 0, Duration::ZERO);
    for task in counting {
        let heartbeats = task?.await??;
        due += heartbeats.due;
        received += heartbeats.received;
        max_deviation = max_deviation.max(heartbeats.max_deviation);
    }
    let cpu = (full - settled).cpu.as_secs_f64() / seconds;
    let streams = config.streams as f64;
    Ok(vec![
        (full - empty).memory as f64 / 1e3 / streams,
        cpu * 1e3,
        cpu * 1e6 / streams,
        opening_time.as_secs_f64(),
        100.0 * received as f64 / due as f64,
        millis(max_deviation),
    ])
}

/// The heartbeats of a stream.
#[derive(Debug, Default)]
struct HeartbeatStats {
    /// The heartbeats that should have arrived: one per full period.
    due: u64,
    received: u64,
    /// The maximum deviation of the time between two from the period.
    max_deviation: Duration,
}

/// Counts heartbeats until the end that will be announced.
async fn count_heartbeats(
    mut subscriber: Subscriber,
    mut announced_end: tokio::sync::watch::Receiver<Option<Instant>>,
) -> Result<HeartbeatStats> {
    let opened = Instant::now();
    let mut last = opened;
    let mut stats = HeartbeatStats::default();
    let end = loop {
        let end = *announced_end.borrow_and_update();
        let read = async {
            match end {
                Some(end) => timeout_at(end, subscriber.read(|_| ())).await.ok(),
                None => Some(subscriber.read(|_| ()).await),
            }
        };
        tokio::select! {
            read = read => match read {
                Some(read) => read?,
                None => break end,
            },
            _ = announced_end.changed() => continue,
        }
        let gap = last.elapsed();
        last = Instant::now();
        if gap > MIN_HEARTBEAT_GAP {
            stats.received += 1;
            stats.max_deviation = stats.max_deviation.max(gap.abs_diff(HEARTBEAT));
        }
    };
    let held = end.map_or(Duration::ZERO, |end| end - opened);
    stats.due = held.as_secs() / HEARTBEAT.as_secs();
    Ok(stats)
}
