//! Bursts of events on a channel with many subscribers.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{audience, rounds, with_channels};
use crate::client::{Publisher, Stream};
use crate::servers::Server;
use crate::table::{Table, shown};

const SUBSCRIBERS: usize = 1_000;
const BURSTS: u64 = 5;
const EVENTS: u64 = 100;

/// Measures and prints.
pub(crate) async fn run(servers: &[Server], count: usize) -> Result<()> {
    let mut table = Table::new(&["deliveries/s", "server's CPU, µs a delivery"]);
    rounds(
        &with_channels(servers),
        count,
        &mut table,
        async |server, round| {
            let (mut streams, mut publisher) =
                audience(server, &format!("fan-out-{round}"), SUBSCRIBERS).await?;
            let before = server.usage()?;
            let mut taken = Duration::ZERO;
            for number in 0..BURSTS {
                let until = 1 + (number + 1) * EVENTS;
                let start = Instant::now();
                streams = burst(streams, &mut publisher, until).await?;
                taken += start.elapsed();
            }
            let deliveries = (SUBSCRIBERS as u64 * BURSTS * EVENTS) as f64;
            let cpu = (server.usage()? - before).cpu;
            Ok(vec![
                deliveries / taken.as_secs_f64(),
                cpu.as_secs_f64() * 1e6 / deliveries,
            ])
        },
    )
    .await;
    println!(
        "## Fan-out: {} subscribers, {BURSTS} bursts of {EVENTS} events of 200 B\n\n\
         {table}\n{}\n",
        shown(SUBSCRIBERS as f64),
        table.compare(0)
    );
    Ok(())
}

/// Publishes and waits until every subscriber has had `until` events in all.
async fn burst(streams: Vec<Stream>, publisher: &mut Publisher, until: u64) -> Result<Vec<Stream>> {
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                stream.events(until, |_| ()).await?;
                anyhow::Ok(stream)
            })
        })
        .collect();
    publisher.publish(EVENTS).await?;
    let mut streams = Vec::with_capacity(readers.len());
    for reader in readers {
        streams.push(reader.await??);
    }
    Ok(streams)
}
