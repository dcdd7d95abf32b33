//! How soon a client that resumes hears from a server that was idle, and from one that was not.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;

use super::{Backlog, millis};
use crate::servers::Server;
use crate::table::Table;

const CHANNEL: &str = "first-byte";

/// Longer than the host keeps an instance without requests.
const IDLENESS: Duration = Duration::from_secs(2);

/// Warm requests for each cold one.
const WARM: usize = 20;

/// Measures and prints.
pub(crate) async fn run(servers: &[Server], count: usize) -> Result<()> {
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
    for round in 0..count {
        sleep(IDLENESS).await;
        for place in 0..servers.len() {
            let at = (round + place) % servers.len();
            table.add(&servers[at], both(&servers[at], &backlogs[at]).await);
        }
    }
    println!(
        "## First byte: after {} s without a request, and warm (the median of {WARM} requests)\n\n\
         {table}",
        IDLENESS.as_secs()
    );
    Ok(())
}

async fn both(server: &Server, backlog: &Backlog) -> Result<Vec<f64>> {
    let mut figures = request(server, backlog).await?;
    let (mut bytes, mut events) = (vec![], vec![]);
    for _ in 0..WARM {
        let warm = request(server, backlog).await?;
        bytes.push(warm[0]);
        events.push(warm[1]);
    }
    for times in [&mut bytes, &mut events] {
        times.sort_by(f64::total_cmp);
        figures.push(times[WARM / 2]);
    }
    Ok(figures)
}

/// The time to the first byte of the response and to the first event, from before the connection is
/// made.
async fn request(server: &Server, backlog: &Backlog) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut stream = backlog.resume(server, CHANNEL).await?;
    stream.read(|_| ()).await?;
    let byte = start.elapsed();
    stream.count(1, |_| ()).await?;
    Ok(vec![millis(byte), millis(start.elapsed())])
}
