//! Child processes that end with the tests, even if the tests are killed.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// Starts the program, prints its process id, and stays its parent. The shell's standard input is a
/// pipe that only the tests hold open: when they close it or end, the shell kills the program.
/// No other process can get the id before the shell has waited for the program. The first argument is
/// a folder to remove at the end, or empty. The shell writes nothing once the program runs, because
/// writing to a pipe that nobody reads would kill it.
const GUARD: &str = r#"
exec 3<&0
folder=$1
shift
"$0" "$@" </dev/null 3<&- &
program=$!
echo $program
exec >/dev/null 2>&1
{ read -r line <&3; kill -9 $program; } &
wait $program
status=$?
kill $!
test -z "$folder" || rm -rf "$folder"
exit $status
"#;

/// Bounds the wait for the process id.
const SPAWN_TIMEOUT: Duration = Duration::from_secs(60);

/// A running program, killed when it is dropped.
pub struct ChildProcess {
    id: u32,
    shell: Child,
    /// The standard input of the shell, which waiting for it would close.
    guard: Option<ChildStdin>,
    stderr: Output,
}

impl ChildProcess {
    /// Returns a command that [`ChildProcess::spawn`] can run. Arguments can be added.
    ///
    /// Variables of Runnel that are set for the tests are not passed on.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        guarded(program.as_ref(), "".as_ref())
    }

    /// Returns the same command, which also removes `folder` when the program has ended.
    pub fn command_removing(program: impl AsRef<OsStr>, folder: &Path) -> Command {
        guarded(program.as_ref(), folder.as_ref())
    }

    /// Starts the program of a [`ChildProcess::command`]. A thread passes each line of its standard
    /// output to `on_line`, and drops `on_line` at the end of the output.
    pub fn spawn(command: Command, on_line: impl FnMut(String) + Send + 'static) -> Self {
        let mut process = Self::spawn_unread(command, on_line);
        process.read_stderr();
        process
    }

    /// Starts the same program, and reads nothing of its standard error until
    /// [`ChildProcess::read_stderr`] is called.
    pub fn spawn_unread(
        mut command: Command,
        mut on_line: impl FnMut(String) + Send + 'static,
    ) -> Self {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let guard = shell.stdin.take();
        let stderr = Output::new(shell.stderr.take().unwrap());
        let stdout = shell.stdout.take().unwrap();
        let (id_sender, id) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            _ = id_sender.send(lines.next());
            lines.for_each(&mut on_line);
        });
        let id = id.recv_timeout(SPAWN_TIMEOUT).ok().flatten();
        Self {
            id: id.expect("a process id").parse().unwrap(),
            shell,
            guard,
            stderr,
        }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.id, signal);
    }

    /// Waits until the program has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.shell.wait().unwrap()
    }

    /// Kills the program with SIGKILL if it has not ended yet, and waits for its end. Returns its exit
    /// status and standard error.
    pub fn kill(mut self) -> (ExitStatus, String) {
        drop(self.guard.take());
        let status = self.wait();
        (status, self.stderr.at_end())
    }

    /// Begins to read the standard error of the program.
    pub fn read_stderr(&mut self) {
        self.stderr.collect();
    }

    /// Returns the standard error of the program so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        drop(self.guard.take());
        _ = self.shell.wait();
    }
}

/// Sends a signal to a process of this user.
pub(crate) fn send_signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.try_into().unwrap());
    rustix::process::kill_process(process.unwrap(), signal).unwrap();
}

fn guarded(program: &OsStr, folder: &OsStr) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD]).arg(program).arg(folder);
    without_runnel_variables(&mut command);
    command
}

/// Removes the variables that override those of spin.toml.
pub(crate) fn without_runnel_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let upper_case = name.to_string_lossy().to_ascii_uppercase();
        if upper_case.starts_with("SPIN_VARIABLE_") {
            command.env_remove(name);
        }
    }
}

/// The text of a pipe, which a thread reads.
struct Output {
    /// The pipe, until it is read.
    pipe: Option<ChildStderr>,
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn new(pipe: ChildStderr) -> Self {
        Self {
            pipe: Some(pipe),
            text: Arc::default(),
            reader: None,
        }
    }

    /// Starts the thread, unless it runs.
    fn collect(&mut self) {
        let Some(mut pipe) = self.pipe.take() else {
            return;
        };
        let collected = self.text.clone();
        self.reader = Some(thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                collected.push_str(&text);
            }
        }));
    }

    fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }

    /// Waits for the end of the pipe.
    fn at_end(&mut self) -> String {
        self.collect();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}
