//! The embedded host as a child process.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::child_process::{ChildProcess, send_signal, without_runnel_variables};
use crate::mounted_application::MountedApplication;
use crate::server::Server;

/// Bounds the start of a host whose component is built.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// An embedded host in a process of its own, killed when it is dropped.
pub struct HostProcess {
    /// Its address and publish token.
    pub server: Server,
    process: ChildProcess,
    settings: Settings,
    /// The data of [`HostProcess::start_temporary`], removed when this is dropped.
    _folder: Option<TempDir>,
}

struct Settings {
    state_dir: PathBuf,
    options: Vec<String>,
    /// The limit of open files, if it is not that of the tests.
    descriptors: Option<u32>,
}

/// A host that ended or was silent instead of serving.
#[derive(Debug, thiserror::Error)]
#[error("the host does not start: {stderr}")]
struct StartError {
    stderr: String,
}

impl HostProcess {
    /// Starts a host on a free port with the data in `state_dir`. Each of `variables` is
    /// `name=value`. The host generates a publish token, and logs warnings and errors only.
    pub fn start(state_dir: &Path, variables: &[&str]) -> Self {
        Self::start_with(state_dir, variables, &[])
    }

    /// Starts the same host with further command-line options.
    pub fn start_with(state_dir: &Path, variables: &[&str], options: &[&str]) -> Self {
        let mut all = arguments(&[&["log_level=warn"], variables].concat());
        all.extend(options.iter().map(|&option| option.to_owned()));
        let settings = Settings {
            state_dir: state_dir.to_owned(),
            options: all,
            descriptors: None,
        };
        let command = settings.command("127.0.0.1:0", None);
        Self::run(command, settings, None).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts the same host without variables. It may have `descriptors` files open.
    pub fn start_limited(state_dir: &Path, descriptors: u32) -> Self {
        let settings = Settings {
            state_dir: state_dir.to_owned(),
            options: vec![],
            descriptors: Some(descriptors),
        };
        let command = settings.command("127.0.0.1:0", None);
        Self::run(command, settings, None).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts the same host, and reads nothing of its standard error until
    /// [`HostProcess::read_stderr`] is called.
    pub fn start_unread(state_dir: &Path, variables: &[&str]) -> Self {
        let settings = Settings {
            state_dir: state_dir.to_owned(),
            options: arguments(variables),
            descriptors: None,
        };
        let command = settings.command("127.0.0.1:0", None);
        let started = start_with(command, ChildProcess::spawn_unread);
        let (server, process) = started.unwrap_or_else(|error| panic!("{error}"));
        Self {
            server,
            process,
            settings,
            _folder: None,
        }
    }

    /// Begins to read the standard error of [`HostProcess::start_unread`].
    pub fn read_stderr(&mut self) {
        self.process.read_stderr();
    }

    /// Starts a host of `application` with the data in `state_dir`.
    pub fn start_mounted(
        application: &MountedApplication,
        state_dir: &Path,
        variables: &[&str],
    ) -> Self {
        let folder = application.folder().to_str().unwrap();
        Self::start_with(state_dir, variables, &["--from", folder])
    }

    /// Starts a host with data of its own, on a port that stays free while the host is down.
    pub fn start_temporary(variables: &[&str]) -> Self {
        let mut tries = 0;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings {
                state_dir: folder.path().to_owned(),
                options: arguments(variables),
                descriptors: None,
            };
            let command = settings.command(&format!("127.0.0.1:{}", stable_port()), None);
            match Self::run(command, settings, Some(folder)) {
                Ok(host) => return host,
                // Another process may have taken the port.
                Err(error) => assert!(tries < 5, "{error}"),
            }
            tries += 1;
        }
    }

    /// Starts the host of all tests that need no special settings. It is never dropped, so its data
    /// are removed by its guard.
    pub(crate) fn start_shared() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let settings = Settings {
            state_dir: folder.clone(),
            options: vec![],
            descriptors: None,
        };
        let command = settings.command("127.0.0.1:0", Some(&folder));
        Self::run(command, settings, None).unwrap_or_else(|error| panic!("{error}"))
    }

    fn run(
        command: Command,
        settings: Settings,
        folder: Option<TempDir>,
    ) -> Result<Self, StartError> {
        let (server, process) = start(command)?;
        Ok(Self {
            server,
            process,
            settings,
            _folder: folder,
        })
    }

    /// Kills the host with SIGKILL and starts it again with the same data, settings and address.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        let command = self.settings.command(&self.server.authority, None);
        let (server, process) = start(command).unwrap_or_else(|error| panic!("{error}"));
        self.server = server;
        self.process = process;
    }

    /// Kills the host with SIGKILL.
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait();
    }

    /// Sends SIGTERM and waits until the host has ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.send_sigterm();
        self.wait()
    }

    /// Sends SIGTERM and does not wait.
    pub fn send_sigterm(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until the host has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Returns the standard error of the host so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Counts the open file descriptors of the host; `None` on systems without `/proc`.
    pub fn open_descriptors(&self) -> Option<usize> {
        let folder = format!("/proc/{}/fd", self.process.id());
        Some(std::fs::read_dir(folder).ok()?.count())
    }

    /// Returns the resident memory of the host in KiB; `None` on systems without `/proc`.
    pub fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

impl Settings {
    fn command(&self, address: &str, folder_to_remove: Option<&Path>) -> Command {
        build_component();
        let binary = host_binary();
        let mut command = match (folder_to_remove, self.descriptors) {
            (Some(folder), _) => ChildProcess::command_removing(binary, folder),
            (None, None) => ChildProcess::command(binary),
            (None, Some(limit)) => {
                let mut command = ChildProcess::command("sh");
                let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
                command.args(["-c", &script]).arg(binary);
                command
            }
        };
        command
            .args(["--no-build", "--listen", address, "--state-dir"])
            .arg(&self.state_dir)
            .args(&self.options);
        command
    }
}

fn arguments(variables: &[&str]) -> Vec<String> {
    let arguments = variables
        .iter()
        .flat_map(|&variable| ["--variable".to_owned(), variable.to_owned()]);
    arguments.collect()
}

/// Starts a host and waits until it serves.
fn start(command: Command) -> Result<(Server, ChildProcess), StartError> {
    start_with(command, ChildProcess::spawn)
}

/// Called for each line of the standard output of a process.
type OnLine = Box<dyn FnMut(String) + Send>;

fn start_with(
    command: Command,
    spawn: fn(Command, OnLine) -> ChildProcess,
) -> Result<(Server, ChildProcess), StartError> {
    let (sender, lines) = mpsc::channel();
    let process = spawn(command, Box::new(move |line| _ = sender.send(line)));
    let after = |prefix: &str| {
        while let Ok(line) = lines.recv_timeout(START_TIMEOUT) {
            if let Some(rest) = line.trim().strip_prefix(prefix) {
                return Some(rest.trim().to_owned());
            }
        }
        None
    };
    let url = after("Runnel is listening on");
    let token = url.as_ref().and_then(|_| after("publish token"));
    match url.zip(token) {
        Some((url, token)) => Ok((Server::at(&url, token), process)),
        None => Err(StartError {
            stderr: process.kill().1,
        }),
    }
}

/// Builds and compiles the component once in this process, so that hosts start quickly.
fn build_component() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| drop(runnel_host::Application::load_default().unwrap()));
}

/// Returns a free port that no outgoing connection will get while the host is down: systems choose
/// those from 32768 on.
fn stable_port() -> u16 {
    loop {
        let port = rand::random_range(10_240..32_768);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Returns the path of the embedded host, which Cargo sets for the tests of its package.
fn host_binary() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_runnel-host").expect("tests are run by cargo")
}

/// Returns a command that runs the embedded host in the foreground, with no variable set from outside.
pub fn host_command() -> Command {
    build_component();
    let mut command = Command::new(host_binary());
    without_runnel_variables(&mut command);
    command
}

/// Starts the embedded host, sends SIGTERM as soon as it announces its address, and returns how it ended.
pub fn terminate_when_announced(state_dir: &Path) -> ExitStatus {
    let mut command = host_command();
    command.args(["--no-build", "--listen", "127.0.0.1:0", "--state-dir"]);
    let mut host = command
        .arg(state_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let announcement = lines.next().unwrap().unwrap();
    send_signal(host.id(), Signal::TERM);
    assert!(announcement.starts_with("Runnel is listening on"));
    // Until the end of its output, the host can write more of the announcement.
    lines.for_each(drop);
    host.wait().unwrap()
}

/// Returns `false` and prints that the test is skipped if `RUNNEL_URL` names the server to test.
pub fn can_start_hosts(test: &str) -> bool {
    let is_external = Server::from_env().is_some();
    if is_external {
        println!("skipped: {test} (it needs a host of its own, and RUNNEL_URL names one)");
    }
    !is_external
}
