//! A process that ends with the benchmark, however that ends, and what it uses.

use std::ffi::OsStr;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Starts the program, writes its id, and stays its parent. The shell's standard input is a pipe
/// that only the benchmark holds: when it lets go of it, or is gone, the program is told to end, and
/// killed if it does not.
const LEASH: &str = r#"
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

/// How long a program may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// What Linux counts CPU time in, for every program: `USER_HZ`.
const TICK: Duration = Duration::from_millis(10);

/// A running program.
pub(super) struct Process {
    id: u32,
    shell: Child,
    leash: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// A command that starts the program on the leash. Arguments can be added.
    pub(super) fn leashed(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        // A group of its own: Ctrl-C ends the benchmark, and that the program.
        command.arg("-c").arg(LEASH).arg(program).process_group(0);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SPIN_VARIABLE_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Starts a [`Process::leashed`] program.
    pub(super) async fn start(mut command: Command) -> Result<Self> {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let leash = shell.stdin.take();
        let output = shell.stdout.take().context("there is no pipe")?;
        let mut lines = BufReader::new(output).lines();
        let id = lines.next_line().await?.unwrap_or_default();
        Ok(Self {
            id: id.parse().context("the shell did not say the id")?,
            shell,
            leash,
            lines,
        })
    }

    /// The next line with this text that the program writes.
    pub(super) async fn line_with(&mut self, text: &str) -> Result<String> {
        while let Some(line) = self.lines.next_line().await? {
            if line.contains(text) {
                return Ok(line);
            }
        }
        bail!("it has ended; what it said is above")
    }

    /// Ends the program.
    pub(super) async fn stop(mut self) -> Result<()> {
        drop(self.leash.take());
        let ended = timeout(STOP_PATIENCE, self.shell.wait()).await;
        ended.context("it does not end")??;
        Ok(())
    }

    /// What the program and its children have used so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id))?;
        let children = children.split_whitespace().map(str::parse);
        let ids = [Ok(self.id)].into_iter().chain(children);
        ids.map(|id| Usage::of(id?)).sum()
    }
}

/// What processes have used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Time on a CPU, in user and kernel mode, to 10 ms.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) memory: i64,
}

impl Usage {
    fn of(process: u32) -> Result<Self> {
        let read = |name| std::fs::read_to_string(format!("/proc/{process}/{name}"));
        let stat = read("stat")?;
        // The name of the program, which may have blanks in it, is in parentheses. Behind it the CPU
        // times are the 12th and 13th field.
        let (_, fields) = stat.rsplit_once(')').context("stat without a name")?;
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
            .context("status without VmRSS")?;
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

/// What a command writes to standard output, or else to standard error.
///
/// # Errors
/// If it cannot be started or fails.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
    let name = command.as_std().get_program().to_owned();
    let name = name.to_string_lossy();
    let done = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{name} is not installed"))?;
    let complaints = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        bail!(
            "{name} failed: {}",
            complaints.lines().next().unwrap_or_default()
        );
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let said = if said.is_empty() { complaints } else { said };
    Ok(said.trim().to_owned())
}
