//! The servers under comparison, each a separate process on loopback.

pub(crate) mod axum;
mod better_sse;
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

/// The publish token of Runnel; the others need none.
pub(crate) const TOKEN: &str = "token";

/// The time that a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The folder of temporary files. It is below the target directory and so on a disk.
pub(crate) const TEMPORARY_FOLDER: &str = env!("CARGO_TARGET_TMPDIR");

const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const NCHAN_CONFIGURATION: &str = include_str!("../../../peers/nchan.conf");

/// The argument that makes this benchmark serve as the axum server.
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
    /// The upper bound: a component on the embedded host that writes ready-made chunks.
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
    /// All kinds, in the order of tables.
    pub(crate) const ALL: [Self; 5] = [
        Self::Runnel,
        Self::Nchan,
        Self::Axum,
        Self::BetterSse,
        Self::Bare,
    ];

    /// Returns the path of a channel's event stream. The bare component has a single idle one.
    pub(crate) fn events_path(self, channel: &str) -> String {
        match (self, channel) {
            (Self::Bare, "idle") => "/idle".to_owned(),
            _ => format!("/events/{channel}"),
        }
    }

    /// Returns true if a request can publish several events, in NDJSON.
    pub(crate) fn accepts_batches(self) -> bool {
        self != Self::Nchan
    }

    /// Returns true if events can be published to the server.
    pub(crate) fn has_channels(self) -> bool {
        self != Self::Bare
    }

    /// Builds or installs the server, so that it starts at once.
    ///
    /// # Errors
    /// If the server cannot be built or is not installed.
    pub(crate) async fn prepare(self) -> Result<()> {
        match self {
            Self::Runnel => build(None).await,
            Self::Bare => build(Some(bare_folder())).await,
            Self::Axum => Ok(()),
            Self::BetterSse => better_sse::install().await.map(|_| ()),
            Self::Nchan => {
                output(Command::new("nginx").arg("-v")).await?;
                let module = Path::new(NCHAN_MODULE);
                ensure!(module.is_file(), "{NCHAN_MODULE} is not installed");
                Ok(())
            }
        }
    }

    /// Starts a server on a free port.
    pub(crate) async fn start(self) -> Result<Server> {
        self.try_start()
            .await
            .with_context(|| format!("{self} does not start"))
    }

    async fn try_start(self) -> Result<Server> {
        let folder = tempfile::tempdir_in(TEMPORARY_FOLDER)?;
        let mut command = match self {
            Self::Runnel | Self::Bare => embedded_host_command(self, folder.path()),
            Self::Axum => Process::command(std::env::current_exe()?),
            Self::BetterSse => better_sse::command().await?,
            Self::Nchan => return start_nchan(folder).await,
        };
        if self == Self::Axum {
            command.arg(SERVE_AXUM);
        }
        let mut process = Process::start(command).await?;
        let announcement = timeout(START_TIMEOUT, process.line_with("http://"));
        let line = announcement.await.context("it does not start in time")??;
        let address = line.rsplit("http://").next().unwrap_or_default();
        Ok(Server {
            peer: self,
            address: address.trim().parse().context(line)?,
            process,
            _folder: folder,
        })
    }
}

/// A running server. It ends when the value is dropped or the benchmark exits.
pub(crate) struct Server {
    peer: Peer,
    address: SocketAddr,
    process: Process,
    /// The folder of its data.
    _folder: TempDir,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

impl Server {
    /// Returns the kind of the server.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Returns the address of the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the resources that its processes have used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// Returns the folder of the bare component.
fn bare_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/bare")
}

/// Builds and compiles an application of the embedded host.
async fn build(from: Option<PathBuf>) -> Result<()> {
    let load = move || Application::load(from.as_deref(), BuildMode::Build);
    tokio::task::spawn_blocking(load).await??;
    Ok(())
}

fn embedded_host_command(peer: Peer, folder: &Path) -> Command {
    let mut command = Process::command(env!("CARGO_BIN_EXE_runnel-host"));
    command.args(["--no-build", "--listen", "127.0.0.1:0", "--state-dir"]);
    command.arg(folder);
    if peer == Peer::Bare {
        command.arg("--from").arg(bare_folder());
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

async fn start_nchan(folder: TempDir) -> Result<Server> {
    // nginx does not support port 0, so a free port is chosen here. It is very likely still free when
    // nginx starts.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = folder.path().join("nginx.conf");
    let configuration = NCHAN_CONFIGURATION
        .replace("{module}", NCHAN_MODULE)
        .replace("{address}", &address.to_string())
        .replace("{folder}", &folder.path().display().to_string());
    std::fs::write(&file, configuration)?;
    let mut command = Process::command("nginx");
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
        .context("its port does not accept connections")?;
    Ok(Server {
        peer: Peer::Nchan,
        address,
        process,
        _folder: folder,
    })
}
