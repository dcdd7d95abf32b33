//! Runnel side by side with its peers: `cargo bench --package runnel-host --bench peers`.
//!
//! Starts every server on loopback, as a process of its own, and runs the same client against each,
//! in one run: the rounds of a work go over all servers before the next round begins. It prints
//! Markdown with the minimum, the **median** and the maximum over rounds.
//!
//! | server | made of |
//! |---|---|
//! | Runnel | the component as it is deployed, on the embedded host, its log in SQLite on disk |
//! | Nchan | nginx and its module Nchan, two workers, messages in shared memory |
//! | axum | a native server: `Sse`, a broadcast channel, a replay buffer in memory |
//! | better-sse | Node.js, a history in memory that is replayed in one write |
//! | bare component | the floor: a component on the same host that writes ready-made chunks |
//!
//! What is not installed is skipped. Nchan is the Debian package `libnginx-mod-nchan`; better-sse is
//! installed by npm below the target directory.
//!
//! Every event has 200 bytes of data with its number in it, and a work fails unless each subscriber
//! has had each event once and in order (but for the bare component, which always says the same).
//! Runnel, axum and better-sse are given batches of up to 200 events in one request; Nchan, which
//! takes none, the same events as requests that are sent in one go.
//!
//! Arguments, after `--`: the names of works to run only those, `--server NAME` (repeated) to run
//! only those servers, `--quick` for few rounds while developing. Needs Linux, and for the idle
//! streams an open-file limit (`ulimit -n`) of more than 5 100.

mod client;
mod machine;
mod servers;
mod table;
mod works;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use servers::Peer;
use works::{fan_out, first_byte, idle, latency, replay, resume};

#[derive(Debug, Parser)]
#[command(name = "peers", about = "Runnel side by side with its peers")]
struct Cli {
    /// The works to run; all, if none is named
    works: Vec<Work>,
    /// A server to run; all, if none is named
    #[arg(long = "server")]
    servers: Vec<Peer>,
    /// Few rounds and idle streams
    #[arg(long)]
    quick: bool,
    /// Be the axum server
    #[arg(long, hide = true)]
    serve_axum: bool,
    /// What Cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Replay,
    Resume,
    FanOut,
    Latency,
    FirstByte,
    Idle,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    if cli.serve_axum {
        return servers::axum::serve().await;
    }
    let wanted = |work| cli.works.is_empty() || cli.works.contains(&work);
    println!("{}.\n", machine::describe()?);
    let peers = installed(&cli.servers).await;
    let mut servers = vec![];
    for peer in &peers {
        let server = peer.start().await?;
        println!("- {server}: {}", machine::version(&server).await?);
        servers.push(server);
    }
    println!("\nThe machine's load before: {}.\n", machine::load()?);
    let rounds = |full, quick| if cli.quick { quick } else { full };
    if wanted(Work::Replay) {
        replay::run(&servers, rounds(9, 3)).await?;
    }
    if wanted(Work::Resume) {
        resume::run(&servers, rounds(5, 2)).await?;
    }
    if wanted(Work::FanOut) {
        fan_out::run(&servers, rounds(3, 1)).await?;
    }
    if wanted(Work::Latency) {
        latency::run(&servers, rounds(3, 1)).await?;
    }
    if wanted(Work::FirstByte) {
        first_byte::run(&servers, rounds(10, 3)).await?;
    }
    for server in servers {
        server.stop().await?;
    }
    if wanted(Work::Idle) {
        let extent = idle::Extent {
            streams: if cli.quick { 500 } else { 5_000 },
            hold: Duration::from_secs(if cli.quick { 20 } else { 40 }),
        };
        idle::run(&peers, extent).await?;
    }
    println!("The machine's load after: {}.", machine::load()?);
    Ok(())
}

/// Those of the wanted servers that can be started; says why the others cannot.
async fn installed(wanted: &[Peer]) -> Vec<Peer> {
    let mut installed = vec![];
    for peer in Peer::ALL {
        if !wanted.is_empty() && !wanted.contains(&peer) {
            continue;
        }
        match peer.prepare().await {
            Ok(()) => installed.push(peer),
            Err(error) => println!("- {peer}: skipped: {error:#}"),
        }
    }
    installed
}
