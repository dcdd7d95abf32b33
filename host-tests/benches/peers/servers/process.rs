//! A child process that ends with the benchmark, however that ends, and the resources it uses.

use std::ffi::OsStr;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The script of the shell between the benchmark and the program. It starts the program, prints its
/// id and stays its parent. The shell's standard input is a pipe that only the benchmark holds: when
/// the pipe closes, the shell terminates the program, and kills it if it does not end.
const SUPERVISOR: &str = r#"
exec 3<&0
"$0" "$@" </dev/null 3<&- &
program=$!
echo $program
exec >/dev/null 2>&1
read -r line <&3
kill $program
(sleep 10; kill -9 $program) &
wait $program
kill $!
"#;

/// The time that a program may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The unit in which Linux reports CPU time to programs: 1/`USER_HZ`.
const TICK: Duration = Duration::from_millis(10);

/// A running program.
pub(super) struct Process {
    id: u32,
    shell: Child,
    /// The pipe that keeps the program running.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Returns a command that starts the program under the supervisor. Arguments can be added.
    pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        // A separate process group: Ctrl-C ends the benchmark, and its end that of the program.
        command
            .arg("-c")
            .arg(SUPERVISOR)
            .arg(program)
            .process_group(0);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SPIN_VARIABLE_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Starts a [`Process::command`].
    pub(super) async fn start(mut command: Command) -> Result<Self> {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = shell.stdin.take();
        let output = shell.stdout.take().context("there is no pipe")?;
        let mut lines = BufReader::new(output).lines();
        let id = lines.next_line().await?.unwrap_or_default();
        Ok(Self {
            id: id.parse().context("the shell did not print the id")?,
            shell,
            stdin,
            lines,
        })
    }

    /// Returns the next line with this text that the program prints.
    pub(super) async fn line_with(&mut self, text: &str) -> Result<String> {
        while let Some(line) = self.lines.next_line().await? {
            if line.contains(text) {
                return Ok(line);
            }
        }
        bail!("it has ended; its messages are above")
    }

    /// Terminates the program and waits for its end.
    pub(super) async fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        let ended = timeout(STOP_TIMEOUT, self.shell.wait()).await;
        ended.context("it does not end")??;
        Ok(())
    }

    /// Returns the resources that the program and its children have used so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id))?;
        let children = children.split_whitespace().map(str::parse);
        let ids = [Ok(self.id)].into_iter().chain(children);
        ids.map(|id| Usage::of(id?)).sum()
    }
}

/// The resources that processes have used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time in user and kernel mode, with a resolution of 10 ms.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) memory: i64,
}

impl Usage {
    fn of(process: u32) -> Result<Self> {
        let read = |name| std::fs::read_to_string(format!("/proc/{process}/{name}"));
        let stat = read("stat")?;
        // The name of the program is in parentheses and may contain blanks. Of the fields after it,
        // the 12th and 13th are the CPU times.
        let (_, fields) = stat.rsplit_once(')').context("stat has no program name")?;
        let ticks: u32 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u32>)
            .sum::<Result<_, _>>()?;
        let status = read("status")?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|kilobytes| kilobytes.trim().strip_suffix(" kB"))
            .context("status has no VmRSS")?;
        Ok(Self {
            cpu: TICK * ticks,
            memory: resident.parse::<i64>()? * 1024,
        })
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory - other.memory,
        }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Self::add)
    }
}

/// Runs a command and returns its standard output, or if that is empty its standard error.
///
/// # Errors
/// If the command cannot be started or fails.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
    let name = command.as_std().get_program().to_owned();
    let name = name.to_string_lossy();
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{name} is not installed"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "{name} failed: {}",
            stderr.lines().next().unwrap_or_default()
        );
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let text = if stdout.is_empty() { stderr } else { stdout };
    Ok(text.trim().to_owned())
}
