//! The servers that are compared, each a process of its own on loopback.

pub(crate) mod axum;
mod node;
mod process;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use runnel_host::{Application, BuildMode};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use process::Process;
pub(crate) use process::{Usage, output};

/// The publish token of Runnel; the others want none.
pub(crate) const TOKEN: &str = "token";

/// How long a server may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where temporary files are: below the target directory, so on a disk.
pub(crate) const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");

const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const NCHAN_CONFIGURATION: &str = include_str!("../../../peers/nchan.conf");

/// The argument with which this benchmark is the axum server.
pub(crate) const SERVE_AXUM: &str = "--serve-axum";

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Runnel on the embedded host, with SQLite on disk.
    Runnel,
    /// nginx with Nchan, two workers, messages in shared memory.
    Nchan,
    /// axum's `Sse` over a broadcast channel and a replay buffer in memory.
    Axum,
    /// better-sse on Node.js with a history in memory.
    BetterSse,
    /// The floor: a component on the embedded host that writes ready-made chunks.
    Bare,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runnel => "Runnel",
            Self::Nchan => "Nchan",
            Self::Axum => "axum",
            Self::BetterSse => "better-sse",
            Self::Bare => "bare component",
        })
    }
}

impl Peer {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Runnel,
        Self::Nchan,
        Self::Axum,
        Self::BetterSse,
        Self::Bare,
    ];

    /// The path of a channel's event stream. The bare component has a single idle one.
    pub(crate) fn events_path(self, channel: &str) -> String {
        match (self, channel) {
            (Self::Bare, "idle") => "/idle".to_owned(),
            _ => format!("/events/{channel}"),
        }
    }

    /// Whether a request can publish several events, in NDJSON.
    pub(crate) fn takes_batches(self) -> bool {
        self != Self::Nchan
    }

    /// Whether events can be published to it at all.
    pub(crate) fn has_channels(self) -> bool {
        self != Self::Bare
    }

    /// Builds or installs what it needs, so that it starts at once.
    ///
    /// # Errors
    /// If that is not there; the message says why.
    pub(crate) async fn prepare(self) -> Result<()> {
        match self {
            Self::Runnel => build(None).await,
            Self::Bare => build(Some(bare())).await,
            Self::Axum => Ok(()),
            Self::BetterSse => node::install().await.map(|_| ()),
            Self::Nchan => {
                output(Command::new("nginx").arg("-v")).await?;
                let module = Path::new(NCHAN_MODULE);
                ensure!(module.is_file(), "{NCHAN_MODULE} is not installed");
                Ok(())
            }
        }
    }

    /// Starts one on a free port.
    pub(crate) async fn start(self) -> Result<Server> {
        self.try_start()
            .await
            .with_context(|| format!("{self} does not start"))
    }

    async fn try_start(self) -> Result<Server> {
        let folder = tempfile::tempdir_in(TEMPORARY)?;
        let mut command = match self {
            Self::Runnel | Self::Bare => embedded_host(self, folder.path()),
            Self::Axum => Process::leashed(std::env::current_exe()?),
            Self::BetterSse => node::command().await?,
            Self::Nchan => return nchan(folder).await,
        };
        if self == Self::Axum {
            command.arg(SERVE_AXUM);
        }
        let mut process = Process::start(command).await?;
        let announced = timeout(START_PATIENCE, process.line_with("http://"));
        let line = announced.await.context("it takes too long")??;
        let address = line.rsplit("http://").next().unwrap_or_default();
        Ok(Server {
            peer: self,
            address: address.trim().parse().context(line)?,
            process,
            _folder: folder,
        })
    }
}

/// A running server. It ends when this is dropped, or when the benchmark is gone.
pub(crate) struct Server {
    peer: Peer,
    address: SocketAddr,
    process: Process,
    /// Its data.
    _folder: TempDir,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

impl Server {
    /// What kind it is.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its processes have used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    /// Ends it and waits until it has ended.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// The folder of the bare component.
fn bare() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/bare")
}

/// Builds and compiles an application of the embedded host.
async fn build(from: Option<PathBuf>) -> Result<()> {
    let load = move || Application::load(from.as_deref(), BuildMode::Build);
    tokio::task::spawn_blocking(load).await??;
    Ok(())
}

fn embedded_host(peer: Peer, folder: &Path) -> Command {
    let mut command = Process::leashed(env!("CARGO_BIN_EXE_runnel-host"));
    command.args(["--no-build", "--listen", "127.0.0.1:0", "--state-dir"]);
    command.arg(folder);
    if peer == Peer::Bare {
        command.arg("--from").arg(bare());
        return command;
    }
    let token = format!("publish_token={TOKEN}");
    for variable in [
        token.as_str(),
        "retention_events=1000000",
        "retention_bytes=67108864",
        "max_stream_seconds=3600",
    ] {
        command.args(["--variable", variable]);
    }
    command
}

async fn nchan(folder: TempDir) -> Result<Server> {
    // nginx takes no port 0. Nobody else listens on this one a moment later, in all likelihood.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = folder.path().join("nginx.conf");
    let configuration = NCHAN_CONFIGURATION
        .replace("{module}", NCHAN_MODULE)
        .replace("{address}", &address.to_string())
        .replace("{folder}", &folder.path().display().to_string());
    std::fs::write(&file, configuration)?;
    let mut command = Process::leashed("nginx");
    command.args(["-e", "stderr", "-p"]);
    command.arg(folder.path()).arg("-c").arg(&file);
    let process = Process::start(command).await?;
    let listening = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), listening)
        .await
        .context("nothing listens on its port")?;
    Ok(Server {
        peer: Peer::Nchan,
        address,
        process,
        _folder: folder,
    })
}
