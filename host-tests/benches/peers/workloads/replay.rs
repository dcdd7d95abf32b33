//! Replay: one client resumes and receives many events.

use std::time::Instant;

use anyhow::Result;
use tokio::time::sleep;

use super::{Backlog, SETTLE_TIME, run_rounds};
use crate::client::Subscriber;
use crate::servers::{Peer, Server};
use crate::table::{Table, format_figure};

const CHANNEL: &str = "replay";
const EVENTS: u64 = 20_000;

/// Events of the long stream that shows the limit of the client itself.
const CLIENT_LIMIT_EVENTS: u64 = 2_000_000;
const CLIENT_LIMIT_ROUNDS: usize = 3;

/// Measures and prints the workload.
pub(crate) async fn run(servers: &[Server], rounds: usize) -> Result<()> {
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
    run_rounds(&all, rounds, &mut table, async |server, _| {
        let Some((_, backlog)) = backlog(server) else {
            return Ok(vec![]);
        };
        // Warms the server with the same request.
        let mut warm_up = backlog.resume(server, CHANNEL).await?;
        warm_up.read_any(1, |_| ()).await?;
        drop(warm_up);
        sleep(SETTLE_TIME).await;
        let start = Instant::now();
        let mut subscriber = backlog.resume(server, CHANNEL).await?;
        backlog.read(&mut subscriber, EVENTS).await?;
        Ok(rates(&subscriber, start))
    })
    .await;
    if let Some(runnel) = servers.iter().find(|server| server.peer() == Peer::Runnel) {
        for number in 0..rounds {
            let name = format!("{runnel}, a channel read for the first time");
            table.add_as(&name, Peer::Runnel, first_replay(runnel, number).await);
        }
    }
    if let Some(bare) = servers.iter().find(|server| server.peer() == Peer::Bare) {
        for _ in 0..CLIENT_LIMIT_ROUNDS {
            let name = format!(
                "{bare}, {} events: the limit of the client",
                format_figure(CLIENT_LIMIT_EVENTS as f64)
            );
            table.add_as(&name, Peer::Bare, client_limit(bare).await);
        }
    }
    println!(
        "## Replay: one client, {} events of 200 B\n\n{table}",
        format_figure(EVENTS as f64)
    );
    println!("{}\n\n{}\n", table.compare(0), table.compare(1));
    Ok(())
}

/// Measures the first replay of a channel, which finds nothing in the server's caches.
async fn first_replay(server: &Server, number: usize) -> Result<Vec<f64>> {
    let channel = format!("{CHANNEL}-{number}");
    let backlog = Backlog::publish(server, &channel, EVENTS).await?;
    sleep(SETTLE_TIME).await;
    let start = Instant::now();
    let mut subscriber = backlog.resume(server, &channel).await?;
    backlog.read(&mut subscriber, EVENTS).await?;
    Ok(rates(&subscriber, start))
}

async fn client_limit(bare: &Server) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut subscriber = Subscriber::open(bare, CHANNEL, None).await?;
    subscriber.read_any(CLIENT_LIMIT_EVENTS, |_| ()).await?;
    Ok(rates(&subscriber, start))
}

fn rates(subscriber: &Subscriber, start: Instant) -> Vec<f64> {
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = subscriber.body_bytes() as f64 / 1e6;
    vec![
        subscriber.event_count() as f64 / seconds,
        megabytes / seconds,
    ]
}
