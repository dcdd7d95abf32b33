//! Fan-out: bursts of events on a channel with many subscribers.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{open_subscribers, run_rounds, with_channels};
use crate::client::{Publisher, Subscriber};
use crate::servers::Server;
use crate::table::{Table, format_figure};

const SUBSCRIBERS: usize = 1_000;
const BURSTS: u64 = 5;
const EVENTS: u64 = 100;

/// Measures and prints the workload.
pub(crate) async fn run(servers: &[Server], rounds: usize) -> Result<()> {
    let mut table = Table::new(&["deliveries/s", "server's CPU, µs a delivery"]);
    run_rounds(
        &with_channels(servers),
        rounds,
        &mut table,
        async |server, round| {
            let (mut subscribers, mut publisher) =
                open_subscribers(server, &format!("fan-out-{round}"), SUBSCRIBERS).await?;
            let before = server.usage()?;
            let mut elapsed = Duration::ZERO;
            for number in 0..BURSTS {
                let total = 1 + (number + 1) * EVENTS;
                let start = Instant::now();
                subscribers = burst(subscribers, &mut publisher, total).await?;
                elapsed += start.elapsed();
            }
            let deliveries = (SUBSCRIBERS as u64 * BURSTS * EVENTS) as f64;
            let cpu = (server.usage()? - before).cpu;
            Ok(vec![
                deliveries / elapsed.as_secs_f64(),
                cpu.as_secs_f64() * 1e6 / deliveries,
            ])
        },
    )
    .await;
    println!(
        "## Fan-out: {} subscribers, {BURSTS} bursts of {EVENTS} events of 200 B\n\n\
         {table}\n{}\n",
        format_figure(SUBSCRIBERS as f64),
        table.compare(0)
    );
    Ok(())
}

/// Publishes a burst and waits until every subscriber has received `total` events since it was opened.
async fn burst(
    subscribers: Vec<Subscriber>,
    publisher: &mut Publisher,
    total: u64,
) -> Result<Vec<Subscriber>> {
    let readers: Vec<_> = subscribers
        .into_iter()
        .map(|mut subscriber| {
            tokio::spawn(async move {
                subscriber.read_in_order(total, |_| ()).await?;
                anyhow::Ok(subscriber)
            })
        })
        .collect();
    publisher.publish(EVENTS).await?;
    let mut subscribers = Vec::with_capacity(readers.len());
    for reader in readers {
        subscribers.push(reader.await??);
    }
    Ok(subscribers)
}
