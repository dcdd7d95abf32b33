//! Latency: a steady flow of events, and their age on arrival.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use super::{millis, open_subscribers, run_rounds, with_channels};
use crate::client::{EventPayload, Publisher, now};
use crate::servers::{Server, TEMPORARY_FOLDER};
use crate::table::{Table, percentile};

const SUBSCRIBERS: usize = 100;
const EVENTS: u64 = 400;
const PERIOD: Duration = Duration::from_millis(10);

/// The size of a durable write, and the number of writes that are timed.
const WRITE_BYTES: usize = 4_096;
const WRITES: usize = 200;

/// Measures and prints the workload.
pub(crate) async fn run(servers: &[Server], rounds: usize) -> Result<()> {
    let before = tokio::task::spawn_blocking(durable_writes).await??;
    let mut table = Table::new(&[
        "p50, ms",
        "p99, ms",
        "max, ms",
        "publisher answered p50, ms",
        "publisher answered p99, ms",
    ]);
    run_rounds(
        &with_channels(servers),
        rounds,
        &mut table,
        async |server, round| {
            let (subscribers, mut publisher) =
                open_subscribers(server, &format!("latency-{round}"), SUBSCRIBERS).await?;
            let readers: Vec<_> = subscribers
                .into_iter()
                .map(|mut subscriber| {
                    tokio::spawn(async move {
                        let mut ages = Vec::with_capacity(EVENTS as usize);
                        let record_age = |payload: EventPayload| {
                            ages.push(now().saturating_sub(payload.stamp) as f64 / 1e6);
                        };
                        subscriber.read_in_order(1 + EVENTS, record_age).await?;
                        anyhow::Ok(ages)
                    })
                })
                .collect();
            let responses = publish(&mut publisher).await?;
            let mut ages = vec![];
            for reader in readers {
                ages.extend(reader.await??);
            }
            ages.sort_by(f64::total_cmp);
            let age = |percent| percentile(&ages, percent).unwrap_or_default();
            let response = |percent| percentile(&responses, percent).unwrap_or_default();
            Ok(vec![age(50), age(99), age(100), response(50), response(99)])
        },
    )
    .await;
    let after = tokio::task::spawn_blocking(durable_writes).await??;
    println!(
        "## Latency: {SUBSCRIBERS} subscribers, {} events/s of 200 B, from publishing to delivery\n\n\
         {table}\n\
         Only Runnel answers and delivers once the event is on the disk, which takes several durable \
         writes. A plain one of {WRITE_BYTES} bytes on the same disk took {} ms before, {} ms after \
         (p50, p99).\n",
        1_000 / PERIOD.as_millis(),
        before,
        after,
    );
    Ok(())
}

/// Publishes an event every period, and returns the sorted response times. An event that is late
/// because the response to its predecessor was late is stamped with the time at which it was due.
/// Otherwise a server would gain by making its publisher wait (coordinated omission).
async fn publish(publisher: &mut Publisher) -> Result<Vec<f64>> {
    let mut response_times = vec![];
    let mut due = Instant::now() + PERIOD;
    for _ in 0..EVENTS {
        let late = due.elapsed();
        sleep_until(due).await;
        let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        let begin = Instant::now();
        publisher.publish_one(now().saturating_sub(late)).await?;
        response_times.push(millis(begin.elapsed()));
        due += PERIOD;
    }
    response_times.sort_by(f64::total_cmp);
    Ok(response_times)
}

/// Measures durable writes on the disk of Runnel's log, and returns the median and the 99th percentile
/// in milliseconds.
fn durable_writes() -> Result<String> {
    let mut file = tempfile::tempfile_in(TEMPORARY_FOLDER)?;
    let mut times = vec![];
    for _ in 0..WRITES {
        let begin = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(millis(begin.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    let at = |percent| percentile(&times, percent).unwrap_or_default();
    Ok(format!("{:.2} and {:.2}", at(50), at(99)))
}
