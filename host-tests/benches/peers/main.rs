//! Compares Runnel with its peers: `cargo bench --package runnel-host --bench peers`.
//!
//! Starts every server on loopback in a separate process and runs the same client against each. All
//! servers are measured in one run: a round of a workload covers every server before the next round
//! begins. Prints Markdown with the minimum, the **median** and the maximum over rounds.
//!
//! | server | implementation |
//! |---|---|
//! | Runnel | the component as it is deployed, on the embedded host, its log in SQLite on disk |
//! | Nchan | nginx and its module Nchan, two workers, messages in shared memory |
//! | axum | a native server: `Sse`, a broadcast channel, a replay buffer in memory |
//! | better-sse | Node.js, a history in memory that is replayed in one write |
//! | bare component | the upper bound: a component on the same host that writes ready-made chunks |
//!
//! Servers that are not installed are skipped. Nchan is the Debian package `libnginx-mod-nchan`;
//! better-sse is installed by npm below the target directory.
//!
//! Every event has 200 bytes of data, which include its number. A workload fails unless each
//! subscriber receives each event once and in order. The exception is the bare component, which
//! repeats the same chunk. Runnel, axum and better-sse receive batches of up to 200 events in one
//! request. Nchan has no batches and receives the same events as pipelined requests.
//!
//! Arguments, after `--`: names of workloads to run only those, `--server NAME` (repeatable) to run
//! only those servers, `--quick` for few rounds during development. Needs Linux, and for the idle
//! streams an open-file limit (`ulimit -n`) of more than 5 100.

mod client;
mod machine;
mod servers;
mod table;
mod workloads;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use servers::Peer;
use workloads::{fan_out, first_byte, idle, latency, replay, resume};

#[derive(Debug, Parser)]
#[command(name = "peers", about = "Compares Runnel with its peers")]
struct Cli {
    /// Workloads to run; all if none is named
    workloads: Vec<Workload>,
    /// Server to run; all if none is named
    #[arg(long = "server")]
    servers: Vec<Peer>,
    /// Runs few rounds and idle streams
    #[arg(long)]
    quick: bool,
    /// Serves as the axum server
    #[arg(long, hide = true)]
    serve_axum: bool,
    /// Accepted because Cargo passes it to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
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
    let selected = |workload| cli.workloads.is_empty() || cli.workloads.contains(&workload);
    println!("{}.\n", machine::describe()?);
    let peers = installed(&cli.servers).await;
    let mut servers = vec![];
    for peer in &peers {
        let server = peer.start().await?;
        println!("- {server}: {}", machine::version(&server).await?);
        servers.push(server);
    }
    println!("\nLoad of the machine before: {}.\n", machine::load()?);
    let rounds = |full, quick| if cli.quick { quick } else { full };
    if selected(Workload::Replay) {
        replay::run(&servers, rounds(9, 3)).await?;
    }
    if selected(Workload::Resume) {
        resume::run(&servers, rounds(5, 2)).await?;
    }
    if selected(Workload::FanOut) {
        fan_out::run(&servers, rounds(3, 1)).await?;
    }
    if selected(Workload::Latency) {
        latency::run(&servers, rounds(3, 1)).await?;
    }
    if selected(Workload::FirstByte) {
        first_byte::run(&servers, rounds(10, 3)).await?;
    }
    for server in servers {
        server.stop().await?;
    }
    if selected(Workload::Idle) {
        let config = idle::Config {
            streams: if cli.quick { 500 } else { 5_000 },
            hold: Duration::from_secs(if cli.quick { 20 } else { 40 }),
        };
        idle::run(&peers, config).await?;
    }
    println!("Load of the machine after: {}.", machine::load()?);
    Ok(())
}

/// Returns the selected servers that can be started, and prints why the others cannot.
async fn installed(selected: &[Peer]) -> Vec<Peer> {
    let mut installed = vec![];
    for peer in Peer::ALL {
        if !selected.is_empty() && !selected.contains(&peer) {
            continue;
        }
        match peer.prepare().await {
            Ok(()) => installed.push(peer),
            Err(error) => println!("- {peer}: skipped: {error:#}"),
        }
    }
    installed
}
