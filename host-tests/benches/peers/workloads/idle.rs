//! Thousands of streams on which nothing happens, on a server that was started for them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{OPENED_AT_ONCE, millis, opened};
use crate::client::Stream;
use crate::machine;
use crate::servers::{Peer, Server};
use crate::table::{Table, shown};

const CHANNEL: &str = "idle";
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is not counted as idle: the server has just opened the streams.
const AFTERMATH: Duration = Duration::from_secs(3);

/// Bytes that come so soon after others belong to the same heartbeat, or to the opening.
const TOGETHER: Duration = Duration::from_secs(5);

/// How many streams are held, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Streams.
    pub(crate) streams: u64,
    /// The time they are held, all of them open.
    pub(crate) hold: Duration,
}

/// Measures and prints.
pub(crate) async fn run(peers: &[Peer], extent: Extent) -> Result<()> {
    let Extent { streams, hold } = extent;
    println!(
        "## Idle: {} streams for {} s, one round\n",
        shown(streams as f64),
        hold.as_secs()
    );
    if machine::open_files()? < streams + 100 {
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
        table.add(&server, held(&server, extent).await);
        server.stop().await?;
    }
    println!("{table}");
    Ok(())
}

async fn held(server: &Server, extent: Extent) -> Result<Vec<f64>> {
    drop(opened(server, CHANNEL).await?);
    sleep(AFTERMATH).await;
    let empty = server.usage()?;
    let start = Instant::now();
    // Each ends when it has been held for the time that the last one is held: too long, but harmless.
    let (announce, announced) = tokio::sync::watch::channel(None);
    let opening = stream::iter(0..extent.streams).map(|_| async {
        let stream = opened(server, CHANNEL).await?;
        let until = announced.clone();
        anyhow::Ok(tokio::spawn(watch(stream, until)))
    });
    let watching: Vec<_> = opening.buffer_unordered(OPENED_AT_ONCE).collect().await;
    let took = start.elapsed();
    let end = Instant::now() + extent.hold;
    announce.send(Some(end)).context("nobody is watching")?;
    sleep(AFTERMATH).await;
    let (settled, since) = (server.usage()?, Instant::now());
    sleep_until(end).await;
    let full = server.usage()?;
    let seconds = since.elapsed().as_secs_f64();
    let (mut due, mut came, mut farthest) = (0, 0, Duration::ZERO);
    for watched in watching {
        let beats = watched?.await??;
        due += beats.due;
        came += beats.came;
        farthest = farthest.max(beats.farthest);
    }
    let cpu = (full - settled).cpu.as_secs_f64() / seconds;
    let streams = extent.streams as f64;
    Ok(vec![
        (full - empty).memory as f64 / 1e3 / streams,
        cpu * 1e3,
        cpu * 1e6 / streams,
        took.as_secs_f64(),
        100.0 * came as f64 / due as f64,
        millis(farthest),
    ])
}

/// The heartbeats of a stream.
#[derive(Debug, Default)]
struct Beats {
    /// So many should have come: one for each full period.
    due: u64,
    came: u64,
    /// The most that the time between two was off.
    farthest: Duration,
}

/// Counts heartbeats until the time that will be announced.
async fn watch(
    mut stream: Stream,
    mut until: tokio::sync::watch::Receiver<Option<Instant>>,
) -> Result<Beats> {
    let opened = Instant::now();
    let mut last = opened;
    let mut beats = Beats::default();
    let end = loop {
        let end = *until.borrow_and_update();
        let read = async {
            match end {
                Some(end) => timeout_at(end, stream.read(|_| ())).await.ok(),
                None => Some(stream.read(|_| ()).await),
            }
        };
        tokio::select! {
            read = read => match read {
                Some(read) => read?,
                None => break end,
            },
            _ = until.changed() => continue,
        }
        let gap = last.elapsed();
        last = Instant::now();
        if gap > TOGETHER {
            beats.came += 1;
            beats.farthest = beats.farthest.max(gap.abs_diff(HEARTBEAT));
        }
    };
    let watched = end.map_or(Duration::ZERO, |end| end - opened);
    beats.due = watched.as_secs() / HEARTBEAT.as_secs();
    Ok(beats)
}
