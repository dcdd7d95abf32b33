//! Many clients resume at once, as after a network failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;

use super::{Backlog, millis, rounds, with_channels};
use crate::servers::Server;
use crate::table::{Table, quantile, shown};

const CHANNEL: &str = "resume";
const CLIENTS: usize = 50;
const EVENTS: u64 = 2_000;

/// Measures and prints.
pub(crate) async fn run(servers: &[Server], count: usize) -> Result<()> {
    let servers = with_channels(servers);
    let mut backlogs = vec![];
    for server in &servers {
        let backlog = Backlog::publish(server, CHANNEL, EVENTS).await?;
        backlogs.push((server.peer(), Arc::new(backlog)));
    }
    let backlog = |server: &Server| backlogs.iter().find(|(peer, _)| *peer == server.peer());
    let mut table = Table::new(&["events/s", "first event p50, ms", "first event p99, ms"]);
    rounds(&servers, count, &mut table, async |server, _| {
        let Some((_, backlog)) = backlog(server) else {
            return Ok(vec![]);
        };
        let start = Instant::now();
        let clients = (0..CLIENTS).map(|_| client(server, backlog));
        let mut firsts: Vec<_> = try_join_all(clients).await?;
        let rate = (CLIENTS as u64 * EVENTS) as f64 / start.elapsed().as_secs_f64();
        firsts.sort_unstable();
        let firsts: Vec<_> = firsts.into_iter().map(millis).collect();
        let at = |percent| quantile(&firsts, percent).unwrap_or_default();
        Ok(vec![rate, at(50), at(99)])
    })
    .await;
    let each = shown(EVENTS as f64);
    println!("## Resume: {CLIENTS} clients at once, {each} events of 200 B each\n\n{table}");
    println!("{}\n", table.compare(0));
    Ok(())
}

/// Resumes, takes all events, and says when the first came.
async fn client(server: &Server, backlog: &Backlog) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = backlog.resume(server, CHANNEL).await?;
    let mut first = None;
    stream
        .events(EVENTS, |_| {
            first.get_or_insert_with(|| start.elapsed());
        })
        .await?;
    Ok(first.unwrap_or_default())
}
