//! The server under test: the one the environment names, or embedded hosts.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// The binary of the embedded host.
const HOST: &str = env!("CARGO_BIN_EXE_runnel-host");

/// The first start builds the component.
const START_PATIENCE: Duration = Duration::from_secs(900);

/// Starts the host and stays its parent. Its standard input is a pipe that only the tests hold: it
/// ends when they are done with the host or are gone, however they went, and then the host is killed.
/// As long as the shell has not waited for the host, no other process can have its id. The first
/// argument is a folder to remove at the end, or nothing. The shell itself is mute once the host runs,
/// for its own output would kill it when nobody reads that any more.
const GUARDIAN: &str = r#"
exec 3<&0
folder=$1
shift
"$0" "$@" </dev/null 3<&- &
host=$!
echo "process $host"
exec >/dev/null 2>&1
{ read -r line <&3; kill -9 $host; } &
wait $host
status=$?
kill $!
test -z "$folder" || rm -rf "$folder"
exit $status
"#;

/// Where a server is, and the token to publish there.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) token: String,
}

impl Server {
    /// The server that the environment names.
    fn named() -> Option<Self> {
        let url = std::env::var("RUNNEL_URL").ok()?;
        let token = std::env::var("RUNNEL_TOKEN").expect("RUNNEL_URL needs RUNNEL_TOKEN");
        Some(Self::at(&url, token))
    }

    fn at(url: &str, token: String) -> Self {
        let authority = url
            .strip_prefix("http://")
            .unwrap_or_else(|| panic!("{url:?} does not begin with http://"));
        Self {
            authority: authority.trim_end_matches('/').to_owned(),
            token,
        }
    }
}

/// The server of all tests that have no special wishes.
pub(crate) fn server() -> Server {
    static SHARED: OnceLock<(Server, Option<Host>)> = OnceLock::new();
    let (server, _) = SHARED.get_or_init(|| match Server::named() {
        Some(server) => (server, None),
        None => {
            // Nothing is dropped at the end of the tests, so the folder is left to the guardian.
            let folder = tempfile::tempdir().unwrap().keep();
            let host = Host::run(&folder, folder.to_str().unwrap(), &[]);
            (host.server.clone(), Some(host))
        }
    });
    server.clone()
}

/// Whether a test may start hosts of its own. If not, says that it is skipped.
pub(crate) fn may_start_hosts(test: &str) -> bool {
    let named = std::env::var_os("RUNNEL_URL").is_some();
    if named {
        println!("skipped: {test} (it needs a host of its own, and RUNNEL_URL names one)");
    } else {
        // The first host builds the component for all.
        server();
    }
    !named
}

/// A command that runs a host as it was built for the shared one, with no variable set from outside.
pub(crate) fn host_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPIN_VARIABLE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The binary of the embedded host, for [`host_command`].
pub(crate) fn host_binary() -> &'static str {
    HOST
}

/// An embedded host in a process of its own, killed when it is dropped.
pub(crate) struct Host {
    pub(crate) server: Server,
    process: u32,
    guardian: Child,
    /// The guardian's standard input, which waiting for it would close.
    leash: Option<ChildStdin>,
    errors: Arc<Mutex<String>>,
}

impl Host {
    /// A host that uses the component as the shared one has built it.
    pub(crate) fn start(state_dir: &Path, variables: &[&str]) -> Self {
        Self::start_with(state_dir, variables, &[])
    }

    /// The same, with options of the host.
    pub(crate) fn start_with(state_dir: &Path, variables: &[&str], options: &[&str]) -> Self {
        // Tests hold that nothing went wrong; that streams open and end goes without saying.
        let mut arguments = vec!["--no-build", "--variable", "log_level=warn"];
        arguments.extend(options);
        for variable in variables {
            arguments.extend(["--variable", variable]);
        }
        Self::run(state_dir, "", &arguments)
    }

    fn run(state_dir: &Path, to_be_removed: &str, arguments: &[&str]) -> Self {
        let mut guardian = host_command("sh")
            .args(["-c", GUARDIAN, HOST, to_be_removed])
            .args(["--listen", "127.0.0.1:0"])
            .arg("--state-dir")
            .arg(state_dir)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = collect(guardian.stderr.take().unwrap());
        let lines = lines(guardian.stdout.take().unwrap());
        let after = |start: &str| loop {
            match lines.recv_timeout(START_PATIENCE) {
                Ok(line) => {
                    if let Some(rest) = line.trim().strip_prefix(start) {
                        return rest.trim().to_owned();
                    }
                }
                Err(error) => panic!(
                    "the host said nothing of {start:?} ({error}), but: {}",
                    errors.lock().unwrap()
                ),
            }
        };
        let process = after("process").parse().unwrap();
        let url = after("Runnel is listening on");
        let token = after("publish token");
        Self {
            server: Server::at(&url, token),
            process,
            leash: guardian.stdin.take(),
            guardian,
            errors,
        }
    }

    /// Asks the host to stop, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.guardian.wait().unwrap()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        self.signal("-TERM");
    }

    /// Waits until the host has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.guardian.wait().unwrap()
    }

    /// Ends the host without asking it.
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        self.guardian.wait().unwrap();
    }

    /// How many file descriptors the host has open, where the system tells.
    pub(crate) fn descriptors(&self) -> Option<usize> {
        let folder = format!("/proc/{}/fd", self.process);
        Some(std::fs::read_dir(folder).ok()?.count())
    }

    /// The memory of the host in KiB, where the system tells.
    pub(crate) fn kibibytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// What the host has written to standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
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
        drop(self.leash.take());
        _ = self.guardian.wait();
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

/// The lines of a pipe, which is read to its end whether or not anybody listens.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            _ = sender.send(line);
        }
    });
    receiver
}
