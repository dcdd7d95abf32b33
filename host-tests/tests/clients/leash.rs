//! Processes that end with the tests, however those end.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

/// Starts the program and stays its parent. The shell's standard input is a pipe that only the tests
/// hold: when they let go of it, or are gone, the program is killed. As long as the shell has not
/// waited for the program, no other process can have its id.
const LEASH: &str = r#"
exec 3<&0
"$0" "$@" </dev/null 3<&- &
program=$!
exec >/dev/null 2>&1
read -r line <&3
kill -9 $program
wait $program
"#;

/// A program that is to be started on a leash. Arguments can be added.
pub(crate) fn leashed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(LEASH).arg(program);
    for (name, _) in std::env::vars_os() {
        let lower = name.to_string_lossy().to_ascii_lowercase();
        // Nothing leaves this machine, and the tests set every variable themselves.
        if lower.ends_with("_proxy") || lower.starts_with("spin_variable_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running program.
pub(crate) struct Process {
    shell: Child,
    leash: Option<ChildStdin>,
    complaints: JoinHandle<String>,
}

impl Process {
    /// Starts a [`leashed`] program. Its standard output ends when it does.
    pub(crate) fn start(mut command: Command) -> (Self, Lines<BufReader<ChildStdout>>) {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = shell.stderr.take().unwrap();
        let complaints = tokio::spawn(async move {
            let mut bytes = vec![];
            _ = errors.read_to_end(&mut bytes).await;
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let leash = shell.stdin.take();
        let process = Self {
            shell,
            leash,
            complaints,
        };
        (process, lines)
    }

    /// Ends the program with SIGKILL if it has not ended yet; how it ended, and all that it wrote to
    /// standard error.
    pub(crate) async fn kill(mut self) -> (ExitStatus, String) {
        drop(self.leash.take());
        let status = self.shell.wait().await.unwrap();
        (status, self.complaints.await.unwrap())
    }
}
