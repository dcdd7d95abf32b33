//! One client resumes and is told of many events.

use std::time::Instant;

use anyhow::Result;
use tokio::time::sleep;

use super::{Backlog, SETTLING, rounds};
use crate::client::Stream;
use crate::servers::{Peer, Server};
use crate::table::{Table, shown};

const CHANNEL: &str = "replay";
const EVENTS: u64 = 20_000;

/// Events of the long stream that shows what the client itself can take.
const CEILING_EVENTS: u64 = 2_000_000;
const CEILING_ROUNDS: usize = 3;

/// Measures and prints.
pub(crate) async fn run(servers: &[Server], count: usize) -> Result<()> {
    let mut backlogs = vec![];
    for server in servers {
        backlogs.push((
            server.peer(),
            Backlog::publish(server, CHANNEL, EVENTS).await?,
        ));
    }
    let backlog = |server: &Server| backlogs.iter().find(|(peer, _)| *peer == server.peer());
    let mut table = Table::new(&["events/s", "MB/s"]);
    let all: Vec<_> = servers.iter().collect();
    rounds(&all, count, &mut table, async |server, _| {
        let Some((_, backlog)) = backlog(server) else {
            return Ok(vec![]);
        };
        // Every server is warm: it has just begun to answer the same request.
        let mut warming = backlog.resume(server, CHANNEL).await?;
        warming.count(1, |_| ()).await?;
        drop(warming);
        sleep(SETTLING).await;
        let start = Instant::now();
        let mut stream = backlog.resume(server, CHANNEL).await?;
        backlog.take(&mut stream, EVENTS).await?;
        Ok(rates(&stream, start))
    })
    .await;
    if let Some(runnel) = servers.iter().find(|server| server.peer() == Peer::Runnel) {
        for number in 0..count {
            let name = format!("{runnel}, a channel that nobody has read");
            table.add_as(&name, Peer::Runnel, unread(runnel, number).await);
        }
    }
    if let Some(bare) = servers.iter().find(|server| server.peer() == Peer::Bare) {
        for _ in 0..CEILING_ROUNDS {
            let name = format!(
                "{bare}, {} events: what the client can take",
                shown(CEILING_EVENTS as f64)
            );
            table.add_as(&name, Peer::Bare, ceiling(bare).await);
        }
    }
    println!(
        "## Replay: one client, {} events of 200 B\n\n{table}",
        shown(EVENTS as f64)
    );
    println!("{}\n\n{}\n", table.compare(0), table.compare(1));
    Ok(())
}

/// The first replay of a channel: nothing that another stream has read is of use to it.
async fn unread(server: &Server, number: usize) -> Result<Vec<f64>> {
    let channel = format!("{CHANNEL}-{number}");
    let backlog = Backlog::publish(server, &channel, EVENTS).await?;
    sleep(SETTLING).await;
    let start = Instant::now();
    let mut stream = backlog.resume(server, &channel).await?;
    backlog.take(&mut stream, EVENTS).await?;
    Ok(rates(&stream, start))
}

async fn ceiling(bare: &Server) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut stream = Stream::open(bare, CHANNEL, None).await?;
    stream.count(CEILING_EVENTS, |_| ()).await?;
    Ok(rates(&stream, start))
}

fn rates(stream: &Stream, start: Instant) -> Vec<f64> {
    let seconds = start.elapsed().as_secs_f64();
    let bytes = stream.body_bytes() as f64 / 1e6;
    vec![stream.event_count() as f64 / seconds, bytes / seconds]
}
