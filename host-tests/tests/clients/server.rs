//! The server under test: the one the environment names, or an embedded host of a test's own.

use std::net::TcpListener;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::leash::{Process, leashed};

/// The binary of the embedded host.
const HOST: &str = env!("CARGO_BIN_EXE_runnel-host");

const TOKEN: &str = "clients-token";

/// How long a host may take to start once the component is built.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where a server is, and the token to publish there.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) token: String,
}

impl Server {
    /// The server that the environment names.
    pub(crate) fn named() -> Option<Self> {
        let url = std::env::var("RUNNEL_URL").ok()?;
        let token = std::env::var("RUNNEL_TOKEN").expect("RUNNEL_URL needs RUNNEL_TOKEN");
        let authority = url
            .strip_prefix("http://")
            .unwrap_or_else(|| panic!("{url:?} does not begin with http://"));
        Some(Self {
            authority: authority.trim_end_matches('/').to_owned(),
            token,
        })
    }
}

/// An embedded host in a process of its own, on a port that it keeps when it is started again.
pub(crate) struct Host {
    pub(crate) server: Server,
    folder: TempDir,
    process: Process,
    variables: Vec<String>,
}

impl Host {
    /// A host whose streams end by themselves after 0.8 to 1 s, and whose clients are told to
    /// reconnect soon.
    pub(crate) async fn start() -> Self {
        Self::start_with(&["retry_ms=50", "max_stream_seconds=1"]).await
    }

    /// A host with these variables.
    pub(crate) async fn start_with(variables: &[&str]) -> Self {
        build().await;
        let variables: Vec<_> = variables
            .iter()
            .map(|&variable| variable.to_owned())
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let mut complaints = String::new();
        for _ in 0..5 {
            let authority = format!("127.0.0.1:{}", quiet_port());
            match run(&folder, &authority, &variables).await {
                Ok(process) => {
                    let token = TOKEN.to_owned();
                    return Self {
                        server: Server { authority, token },
                        folder,
                        process,
                        variables,
                    };
                }
                // Somebody else may have taken the port.
                Err(complaint) => complaints = complaint,
            }
        }
        panic!("the host does not start: {complaints}");
    }

    /// Ends the host with SIGKILL, and starts it again on its data and its port.
    pub(crate) async fn kill_and_restart(self) -> Self {
        self.process.kill().await;
        let process = run(&self.folder, &self.server.authority, &self.variables).await;
        let process = process.unwrap_or_else(|why| panic!("the host does not start again: {why}"));
        Self { process, ..self }
    }
}

/// Builds and compiles the component, so that hosts start at once.
async fn build() {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    let build = || async {
        let loading = tokio::task::spawn_blocking(runnel_host::Application::load_default);
        loading.await.unwrap().map(|_| ()).unwrap();
    };
    BUILT.get_or_init(build).await;
}

/// A free port which no outgoing connection will be given while the host is away: systems take those
/// from 32768 on.
fn quiet_port() -> u16 {
    loop {
        let port = rand::random_range(10_240..32_768);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

async fn run(folder: &TempDir, authority: &str, variables: &[String]) -> Result<Process, String> {
    let mut command = leashed(HOST);
    command.args(["--no-build", "--listen", authority, "--state-dir"]);
    command.arg(folder.path());
    command.args(["--variable", &format!("publish_token={TOKEN}")]);
    for variable in variables {
        command.args(["--variable", variable]);
    }
    let (process, mut lines) = Process::start(command);
    let started = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("Runnel is listening") {
                return true;
            }
        }
        false
    };
    if timeout(START_PATIENCE, started).await == Ok(true) {
        // Whatever else it writes has to go somewhere.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(process)
    } else {
        Err(process.kill().await.1)
    }
}
