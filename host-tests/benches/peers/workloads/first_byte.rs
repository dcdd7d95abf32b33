//! First byte: the latency of a resumed stream on an idle server and on a busy one.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;

use super::{Backlog, millis};
use crate::servers::Server;
use crate::table::Table;

const CHANNEL: &str = "first-byte";

/// Longer than the host keeps an instance without requests.
const IDLE_TIME: Duration = Duration::from_secs(2);

/// Warm requests per cold one.
const WARM_REQUESTS: usize = 20;

/// Measures and prints the workload.
pub(crate) async fn run(servers: &[Server], rounds: usize) -> Result<()> {
    let mut table = Table::new(&[
        "first byte cold, ms",
        "first event cold, ms",
        "first byte warm, ms",
        "first event warm, ms",
    ]);
    let mut backlogs = vec![];
    for server in servers {
        backlogs.push(Backlog::publish(server, CHANNEL, 1).await?);
    }
    for round in 0..rounds {
        sleep(IDLE_TIME).await;
        for offset in 0..servers.len() {
            let index = (round + offset) % servers.len();
            let (server, backlog) = (&servers[index], &backlogs[index]);
            table.add(server, measure(server, backlog).await);
        }
    }
    println!(
        "## First byte: after {} s without a request, and warm (the median of {WARM_REQUESTS} requests)\n\n\
         {table}",
        IDLE_TIME.as_secs()
    );
    Ok(())
}

/// Measures a cold request and the median of the warm ones after it.
async fn measure(server: &Server, backlog: &Backlog) -> Result<Vec<f64>> {
    let mut figures = request(server, backlog).await?;
    let (mut bytes, mut events) = (vec![], vec![]);
    for _ in 0..WARM_REQUESTS {
        let warm = request(server, backlog).await?;
        bytes.push(warm[0]);
        events.push(warm[1]);
    }
    for times in [&mut bytes, &mut events] {
        times.sort_by(f64::total_cmp);
        figures.push(times[WARM_REQUESTS / 2]);
    }
    Ok(figures)
}

/// Returns the times to the first byte of the response and to the first event, measured from before the
/// connection is opened.
async fn request(server: &Server, backlog: &Backlog) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut subscriber = backlog.resume(server, CHANNEL).await?;
    subscriber.read(|_| ()).await?;
    let first_byte = start.elapsed();
    subscriber.read_any(1, |_| ()).await?;
    Ok(vec![millis(first_byte), millis(start.elapsed())])
}
