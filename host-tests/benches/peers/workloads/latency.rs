//! A steady flow of events, and how old they are when they arrive.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use super::{audience, millis, rounds, with_channels};
use crate::client::{Datum, Publisher, now};
use crate::servers::{Server, TEMPORARY};
use crate::table::{Table, quantile};

const SUBSCRIBERS: usize = 100;
const EVENTS: u64 = 400;
const PERIOD: Duration = Duration::from_millis(10);

/// The size of a durable write, and how many are made to time them.
const WRITE_BYTES: usize = 4_096;
const WRITES: usize = 200;

/// Measures and prints.
pub(crate) async fn run(servers: &[Server], count: usize) -> Result<()> {
    let before = tokio::task::spawn_blocking(durable_writes).await??;
    let mut table = Table::new(&[
        "p50, ms",
        "p99, ms",
        "max, ms",
        "publisher answered p50, ms",
        "publisher answered p99, ms",
    ]);
    rounds(
        &with_channels(servers),
        count,
        &mut table,
        async |server, round| {
            let (streams, mut publisher) =
                audience(server, &format!("latency-{round}"), SUBSCRIBERS).await?;
            let readers: Vec<_> = streams
                .into_iter()
                .map(|mut stream| {
                    tokio::spawn(async move {
                        let mut ages = Vec::with_capacity(EVENTS as usize);
                        let note = |datum: Datum| {
                            ages.push(now().saturating_sub(datum.stamp) as f64 / 1e6);
                        };
                        stream.events(1 + EVENTS, note).await?;
                        anyhow::Ok(ages)
                    })
                })
                .collect();
            let answered = publish(&mut publisher).await?;
            let mut ages = vec![];
            for reader in readers {
                ages.extend(reader.await??);
            }
            ages.sort_by(f64::total_cmp);
            let at = |percent| quantile(&ages, percent).unwrap_or_default();
            let answer = |percent| quantile(&answered, percent).unwrap_or_default();
            Ok(vec![at(50), at(99), at(100), answer(50), answer(99)])
        },
    )
    .await;
    let after = tokio::task::spawn_blocking(durable_writes).await??;
    println!(
        "## Latency: {SUBSCRIBERS} subscribers, {} events/s of 200 B, from publishing to delivery\n\n\
         {table}\n\
         Only Runnel answers and delivers when the event is on the disk, which takes several durable \
         writes. A plain one of {WRITE_BYTES} bytes on the same disk took {} ms before, {} ms after \
         (p50, p99).\n",
        1_000 / PERIOD.as_millis(),
        before,
        after,
    );
    Ok(())
}

/// Publishes an event every period, and says how long each answer took, sorted. An event that is late
/// because the one before was not answered in time has the stamp of when it was due, so that a server
/// that makes its publisher wait gains nothing.
async fn publish(publisher: &mut Publisher) -> Result<Vec<f64>> {
    let mut answered = vec![];
    let mut due = Instant::now() + PERIOD;
    for _ in 0..EVENTS {
        let late = due.elapsed();
        sleep_until(due).await;
        let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        let begun = Instant::now();
        publisher.publish_one(now().saturating_sub(late)).await?;
        answered.push(millis(begun.elapsed()));
        due += PERIOD;
    }
    answered.sort_by(f64::total_cmp);
    Ok(answered)
}

/// The median and the 99th percentile of a durable write on the disk that Runnel's log is on, in
/// milliseconds.
fn durable_writes() -> Result<String> {
    let mut file = tempfile::tempfile_in(TEMPORARY)?;
    let mut times = vec![];
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(millis(begun.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    let at = |percent| quantile(&times, percent).unwrap_or_default();
    Ok(format!("{:.2} and {:.2}", at(50), at(99)))
}
