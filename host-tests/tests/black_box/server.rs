//! The server under test: the one given in the environment, or embedded hosts.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// Path of the embedded host's binary.
const HOST: &str = env!("CARGO_BIN_EXE_runnel-host");

/// Timeout of a start, long because the first one builds the component.
const START_TIMEOUT: Duration = Duration::from_secs(900);

/// Shell script that starts the host and supervises it as its parent process.
///
/// Its standard input is a pipe whose other end only the test process holds. The pipe closes when the
/// test is done with the host or the test process dies for any reason, and then the script kills the
/// host. Until the script has waited for the host, no other process can get the host's id. The first
/// argument is a directory to remove at the end, or empty. The script closes its own output once the
/// host runs, because writing to a pipe that nobody reads would kill it.
const SUPERVISOR: &str = r#"
exec 3<&0
directory=$1
shift
"$0" "$@" </dev/null 3<&- &
host=$!
echo "process $host"
exec >/dev/null 2>&1
{ read -r line <&3; kill -9 $host; } &
wait $host
status=$?
kill $!
test -z "$directory" || rm -rf "$directory"
exit $status
"#;

/// The address of a server and its publish token.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Host and port, separated by a colon.
    pub(crate) authority: String,
    pub(crate) token: String,
}

impl Server {
    /// Returns the server given by `RUNNEL_URL` and `RUNNEL_TOKEN`.
    fn from_env() -> Option<Self> {
        let url = std::env::var("RUNNEL_URL").ok()?;
        let token = std::env::var("RUNNEL_TOKEN").expect("RUNNEL_URL requires RUNNEL_TOKEN");
        Some(Self::new(&url, token))
    }

    fn new(url: &str, token: String) -> Self {
        let authority = url
            .strip_prefix("http://")
            .unwrap_or_else(|| panic!("{url:?} does not start with http://"));
        Self {
            authority: authority.trim_end_matches('/').to_owned(),
            token,
        }
    }
}

/// Returns the server shared by all tests that need no special settings.
pub(crate) fn server() -> Server {
    static SHARED: OnceLock<(Server, Option<Host>)> = OnceLock::new();
    let (server, _) = SHARED.get_or_init(|| match Server::from_env() {
        Some(server) => (server, None),
        None => {
            // Statics are never dropped, so the supervisor removes the directory.
            let directory = tempfile::tempdir().unwrap().keep();
            let host = Host::run(&directory, directory.to_str().unwrap(), &[]);
            (host.server.clone(), Some(host))
        }
    });
    server.clone()
}

/// Returns `true` if a test can start its own hosts. Otherwise prints that the test is skipped.
pub(crate) fn can_start_hosts(test: &str) -> bool {
    let is_external = std::env::var_os("RUNNEL_URL").is_some();
    if is_external {
        println!("skipped: {test} (it needs its own host, but RUNNEL_URL is set)");
    } else {
        // The shared host builds the component for all others.
        server();
    }
    !is_external
}

/// Creates a command for the host, without any `SPIN_VARIABLE_…` of the environment.
pub(crate) fn host_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPIN_VARIABLE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Returns the path of the host binary, for [`host_command`].
pub(crate) fn host_binary() -> &'static str {
    HOST
}

/// An embedded host in its own process. Dropping it kills the process.
pub(crate) struct Host {
    pub(crate) server: Server,
    process: u32,
    supervisor: Child,
    /// The supervisor's standard input, kept here because [`Child::wait`] would close it.
    stdin: Option<ChildStdin>,
    stderr: Arc<Mutex<String>>,
}

impl Host {
    /// Starts a host with these variables, using the component that the shared host has built.
    pub(crate) fn start(state_dir: &Path, variables: &[&str]) -> Self {
        Self::start_with(state_dir, variables, &[])
    }

    /// Starts a host with these variables and command-line options.
    pub(crate) fn start_with(state_dir: &Path, variables: &[&str], options: &[&str]) -> Self {
        // Tests assert that nothing is logged; at the default level every stream would be.
        let mut arguments = vec!["--no-build", "--variable", "log_level=warn"];
        arguments.extend(options);
        for variable in variables {
            arguments.extend(["--variable", variable]);
        }
        Self::run(state_dir, "", &arguments)
    }

    fn run(state_dir: &Path, directory_to_remove: &str, arguments: &[&str]) -> Self {
        let mut supervisor = host_command("sh")
            .args(["-c", SUPERVISOR, HOST, directory_to_remove])
            .args(["--listen", "127.0.0.1:0"])
            .arg("--state-dir")
            .arg(state_dir)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = collect(supervisor.stderr.take().unwrap());
        let lines = lines(supervisor.stdout.take().unwrap());
        let after = |start: &str| loop {
            match lines.recv_timeout(START_TIMEOUT) {
                Ok(line) => {
                    if let Some(rest) = line.trim().strip_prefix(start) {
                        return rest.trim().to_owned();
                    }
                }
                Err(error) => panic!(
                    "the host did not print {start:?} ({error}): {}",
                    stderr.lock().unwrap()
                ),
            }
        };
        let process = after("process").parse().unwrap();
        let url = after("Runnel is listening on");
        let token = after("publish token");
        Self {
            server: Server::new(&url, token),
            process,
            stdin: supervisor.stdin.take(),
            supervisor,
            stderr,
        }
    }

    /// Sends SIGTERM and waits until the host has exited.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.supervisor.wait().unwrap()
    }

    /// Sends SIGTERM without waiting.
    pub(crate) fn send_sigterm(&self) {
        self.signal("-TERM");
    }

    /// Waits until the host has exited.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.supervisor.wait().unwrap()
    }

    /// Sends SIGKILL and waits until the host has exited.
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        self.supervisor.wait().unwrap();
    }

    /// Returns the number of open file descriptors, or `None` if the system does not report it.
    pub(crate) fn open_descriptors(&self) -> Option<usize> {
        let directory = format!("/proc/{}/fd", self.process);
        Some(std::fs::read_dir(directory).ok()?.count())
    }

    /// Returns the resident memory in KiB, or `None` if the system does not report it.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Returns the standard error output so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.process.to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.stdin.take());
        _ = self.supervisor.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let into = collected.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            into.lock().unwrap().push_str(&text);
        }
    });
    collected
}

/// Sends the lines of a pipe. The pipe is drained even after the receiver is dropped.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            _ = sender.send(line);
        }
    });
    receiver
}
