//! The standard output and the standard error of the process, written without ever blocking a caller.
//!
//! A program that does not read the log must not stop the server: once a pipe is full, a write to it
//! blocks until somebody reads. So only a thread of its own writes, and takes the lines from a bounded
//! queue. Lines that do not fit are dropped and counted. The number appears in a line of its own where
//! the dropped ones would have been.

mod guest;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;

pub(crate) use guest::GuestOutput;

/// The bytes that may wait to be written.
const CAPACITY: usize = 1 << 20;

/// The number of waiting bytes at which lines are accepted again after some were dropped. Fewer than
/// the capacity, so that a slow reader does not read about drops in every other line.
const LOW_WATER: usize = CAPACITY / 2;

/// The pause after a write to a descriptor that is full and that another program has made non-blocking.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// An output of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that was dropped, because too many are waiting to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many lines are waiting to be written")]
pub struct LineDropped;

/// The outputs of the process. Clones write to the same queue, in the order of their calls.
#[derive(Clone)]
pub struct ProcessOutput(Arc<Handle>);

/// Ends the thread when it is dropped, after the last line is written.
struct Handle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signals every change of the queue.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<(Target, Vec<u8>)>,
    /// The bytes of `lines`.
    bytes: usize,
    /// The lines dropped since the last one that was accepted.
    dropped: u64,
    /// Set while the thread writes a line that it has taken.
    is_writing: bool,
    /// Set when no line can follow.
    is_closed: bool,
}

impl fmt::Debug for ProcessOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessOutput").finish_non_exhaustive()
    }
}

impl ProcessOutput {
    /// Starts the thread that writes to the outputs of this process.
    ///
    /// # Errors
    /// If the thread cannot be started or the outputs cannot be opened.
    pub fn start() -> io::Result<Self> {
        Self::with_writers(open(Target::Stdout)?, open(Target::Stderr)?)
    }

    fn with_writers(
        mut stdout: impl Write + Send + 'static,
        mut stderr: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let output = Self(Arc::new(Handle(shared.clone())));
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                while let Some((target, line)) = shared.next() {
                    match target {
                        Target::Stdout => write_line(&mut stdout, &line),
                        Target::Stderr => write_line(&mut stderr, &line),
                    }
                    shared.written();
                }
            })?;
        Ok(output)
    }

    /// Queues a line, without its line feed. Never waits.
    ///
    /// # Errors
    /// If too many lines are waiting. The number of such lines is reported in the log.
    pub fn line(&self, target: Target, line: &str) -> Result<(), LineDropped> {
        self.bytes(target, format!("{line}\n").into_bytes())
    }

    /// Queues bytes that end with a line feed.
    fn bytes(&self, target: Target, bytes: Vec<u8>) -> Result<(), LineDropped> {
        let Self(handle) = self;
        let mut queue = handle.0.lock();
        let result = queue.push(target, bytes);
        drop(queue);
        handle.0.changed.notify_all();
        result
    }

    /// Waits until everything is written, for at most `timeout`. Returns `false` if something is not.
    pub fn flush(&self, timeout: Duration) -> bool {
        let Self(handle) = self;
        let deadline = Instant::now() + timeout;
        let mut queue = handle.0.lock();
        while !queue.is_flushed() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = handle.0.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next line and takes it; `None` once there can be none.
    fn next(&self) -> Option<(Target, Vec<u8>)> {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.pop() {
                return Some(line);
            }
            if queue.is_closed {
                return None;
            }
            let waited = self.changed.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn written(&self) {
        self.lock().is_writing = false;
        self.changed.notify_all();
    }
}

impl Queue {
    fn push(&mut self, target: Target, line: Vec<u8>) -> Result<(), LineDropped> {
        let limit = if self.dropped == 0 {
            CAPACITY
        } else {
            LOW_WATER
        };
        if self.bytes + line.len() > limit {
            self.dropped += 1;
            return Err(LineDropped);
        }
        self.report_drops();
        self.append(target, line);
        Ok(())
    }

    fn report_drops(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let time = humantime::format_rfc3339_millis(SystemTime::now());
            let line = format!(
                "{{\"time\":\"{time}\",\"level\":\"warn\",\"event\":\"log_dropped\",\"lines\":{dropped}}}\n"
            );
            self.append(Target::Stderr, line.into_bytes());
        }
    }

    fn append(&mut self, target: Target, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back((target, line));
    }

    fn pop(&mut self) -> Option<(Target, Vec<u8>)> {
        if self.lines.is_empty() {
            self.report_drops();
        }
        let line = self.lines.pop_front()?;
        self.bytes -= line.1.len();
        self.is_writing = true;
        Some(line)
    }

    fn is_flushed(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

/// Writes a whole line. A line whose reader is gone is lost, as is any other that the system refuses.
fn write_line(writer: &mut impl Write, mut line: &[u8]) {
    while !line.is_empty() {
        match writer.write(line) {
            Ok(written) if written > 0 => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            _ => return,
        }
    }
}

/// Opens an output for the thread alone. The handles of the standard library have a lock, for which
/// the end of the process would wait, and a buffer.
#[cfg(unix)]
fn open(target: Target) -> io::Result<impl Write + Send> {
    use std::os::fd::AsFd as _;

    let descriptor = match target {
        Target::Stdout => io::stdout().as_fd().try_clone_to_owned(),
        Target::Stderr => io::stderr().as_fd().try_clone_to_owned(),
    };
    Ok(std::fs::File::from(descriptor?))
}

#[cfg(not(unix))]
fn open(target: Target) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        Target::Stdout => Box::new(io::LineWriter::new(io::stdout())),
        Target::Stderr => Box::new(io::stderr()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The bound of waits that do not fail.
    const LONG: Duration = Duration::from_secs(60);

    /// A pipe whose reader takes a line for each message of the channel, and all once it is closed.
    struct Pipe {
        permits: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            _ = self.permits.recv();
            self.written.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns an output to a pipe that nobody reads, the sender that reads it, and what was read.
    fn unread() -> (ProcessOutput, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (reader, permits) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let pipe = Pipe {
            permits,
            written: written.clone(),
        };
        let output = ProcessOutput::with_writers(io::sink(), pipe).unwrap();
        (output, reader, written)
    }

    fn lines(written: &Mutex<Vec<u8>>) -> Vec<String> {
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_of_both_outputs_are_written_in_order() {
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let pipe = || {
            let (_, permits) = mpsc::channel();
            Pipe {
                permits,
                written: written.clone(),
            }
        };
        let output = ProcessOutput::with_writers(pipe(), pipe()).unwrap();
        let expected: Vec<_> = (0..1_000).map(|number| number.to_string()).collect();
        for (number, line) in expected.iter().enumerate() {
            let target = [Target::Stdout, Target::Stderr][number % 2];
            output.line(target, line).unwrap();
        }
        assert!(output.flush(LONG));
        assert_eq!(lines(&written), expected);
    }

    #[test]
    fn an_output_that_nobody_reads_takes_what_fits_and_reports_how_many_lines_it_dropped() {
        let (output, reader, written) = unread();
        let line = "x".repeat(1_023);
        let results: Vec<_> = (0..2_000)
            .map(|_| output.line(Target::Stderr, &line))
            .collect();
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        // One more, if the thread had taken the first line already.
        assert!((1_024..=1_025).contains(&accepted), "{accepted}");
        assert!(results[accepted..].iter().all(Result::is_err));
        assert!(!output.flush(Duration::from_millis(10)));
        drop(reader);
        assert!(output.flush(LONG));
        output.line(Target::Stderr, "after").unwrap();
        assert!(output.flush(LONG));
        let lines = lines(&written);
        let [kept @ .., report, after] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert_eq!(kept, vec![line; accepted]);
        let (time, rest) = report.split_once("Z\",").unwrap();
        assert!(time.starts_with("{\"time\":\"20"), "{time}");
        let dropped = 2_000 - accepted;
        let expected =
            format!("\"level\":\"warn\",\"event\":\"log_dropped\",\"lines\":{dropped}}}");
        assert_eq!((rest, after.as_str()), (&expected[..], "after"));
    }

    #[test]
    fn drops_are_reported_where_they_happened_and_not_again_before_half_of_the_lines_are_read() {
        let (output, reader, written) = unread();
        let line = "x".repeat(1_023);
        while output.line(Target::Stderr, &line).is_ok() {}
        // The reader takes a few lines, so that there would be room for some.
        for _ in 0..10 {
            reader.send(()).unwrap();
        }
        while lines(&written).len() < 10 {
            thread::yield_now();
        }
        assert_eq!(output.line(Target::Stderr, "dropped"), Err(LineDropped));
        for _ in 0..600 {
            reader.send(()).unwrap();
        }
        while lines(&written).len() < 610 {
            thread::yield_now();
        }
        output.line(Target::Stderr, "accepted").unwrap();
        drop(reader);
        assert!(output.flush(LONG));
        let lines = lines(&written);
        assert!(lines[lines.len() - 2].ends_with("\"lines\":2}"));
        assert_eq!(lines[lines.len() - 1], "accepted");
        let reports = lines.iter().filter(|line| line.contains("log_dropped"));
        assert_eq!(reports.count(), 1);
    }

    #[test]
    fn the_thread_ends_with_the_last_handle_after_the_last_line() {
        let (output, reader, written) = unread();
        output.line(Target::Stderr, "last").unwrap();
        let shared = Arc::downgrade(&output.0.0);
        drop((output, reader));
        while shared.strong_count() > 0 {
            thread::yield_now();
        }
        assert_eq!(lines(&written), ["last"]);
    }

    /// A descriptor that is full at first and takes one byte at a time.
    struct Reluctant {
        refusals: usize,
        written: Vec<u8>,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.refusals > 0 {
                self.refusals -= 1;
                let kinds = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
                return Err(kinds[self.refusals % 2].into());
            }
            self.written.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_whole_to_a_descriptor_that_does_not_block() {
        let mut writer = Reluctant {
            refusals: 3,
            written: vec![],
        };
        write_line(&mut writer, b"line\n");
        assert_eq!(writer.written, b"line\n");
    }
}
