//! Resume: many clients resume at once, as after a network failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;

use super::{Backlog, millis, run_rounds, with_channels};
use crate::servers::Server;
use crate::table::{Table, format_figure, percentile};

const CHANNEL: &str = "resume";
const CLIENTS: usize = 50;
const EVENTS: u64 = 2_000;

/// Measures and prints the workload.
pub(crate) async fn run(servers: &[Server], rounds: usize) -> Result<()> {
    let servers = with_channels(servers);
    let mut backlogs = vec![];
    for server in &servers {
        let backlog = Backlog::publish(server, CHANNEL, EVENTS).await?;
        backlogs.push((server.peer(), Arc::new(backlog)));
    }
    let backlog = |server: &Server| backlogs.iter().find(|(peer, _)| *peer == server.peer());
    let mut table = Table::new(&["events/s", "first event p50, ms", "first event p99, ms"]);
    run_rounds(&servers, rounds, &mut table, async |server, _| {
        let Some((_, backlog)) = backlog(server) else {
            return Ok(vec![]);
        };
        let start = Instant::now();
        let clients = (0..CLIENTS).map(|_| resume(server, backlog));
        let mut first_events: Vec<_> = try_join_all(clients).await?;
        let rate = (CLIENTS as u64 * EVENTS) as f64 / start.elapsed().as_secs_f64();
        first_events.sort_unstable();
        let first_events: Vec<_> = first_events.into_iter().map(millis).collect();
        let first_event = |percent| percentile(&first_events, percent).unwrap_or_default();
        Ok(vec![rate, first_event(50), first_event(99)])
    })
    .await;
    let events = format_figure(EVENTS as f64);
    println!("## Resume: {CLIENTS} clients at once, {events} events of 200 B each\n\n{table}");
    println!("{}\n", table.compare(0));
    Ok(())
}

/// Resumes, reads all events, and returns the time to the first.
async fn resume(server: &Server, backlog: &Backlog) -> Result<Duration> {
    let start = Instant::now();
    let mut subscriber = backlog.resume(server, CHANNEL).await?;
    let mut first = None;
    subscriber
        .read_in_order(EVENTS, |_| {
            first.get_or_insert_with(|| start.elapsed());
        })
        .await?;
    Ok(first.unwrap_or_default())
}
