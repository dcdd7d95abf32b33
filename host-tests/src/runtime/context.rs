//! The data that all instances of a host share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wasmtime_wasi::p2::OutputStream as _;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::guest_clock::GuestClock;
use super::metrics::{Counter, Gauge};
use crate::output::{GuestOutput, ProcessOutput, Target};

/// The clock, the random seed, the output and the counters that all instances of a host share.
pub(crate) struct HostContext {
    clock: GuestClock,
    /// The seed of every random number; without it, the system's random numbers are used.
    seed: Option<u64>,
    output: Output,
    pub(crate) live_instances: Gauge,
    pub(crate) live_stores: Gauge,
    /// Bytes of linear memory of all live instances.
    pub(crate) live_memory: Gauge,
    pub(crate) started_instances: Counter,
    /// Instructions that instances executed until their end, if the engine meters fuel.
    pub(crate) instructions: Counter,
    /// Set to make the next read trap.
    pub(crate) trap_next_read: Arc<AtomicBool>,
}

/// The place of what guests and the host print.
pub(crate) enum Output {
    /// A buffer in memory.
    Captured(MemoryOutputPipe),
    /// The outputs of the process.
    Process(ProcessOutput),
}

impl HostContext {
    pub(crate) fn new(seed: Option<u64>, start_time: Option<SystemTime>, output: Output) -> Self {
        Self {
            clock: GuestClock::start(start_time),
            seed,
            output,
            live_instances: Gauge::default(),
            live_stores: Gauge::default(),
            live_memory: Gauge::default(),
            started_instances: Counter::default(),
            instructions: Counter::default(),
            trap_next_read: Arc::default(),
        }
    }

    /// Returns the captured output; empty if none is captured.
    pub(crate) fn output(&self) -> String {
        match &self.output {
            Output::Captured(pipe) => String::from_utf8_lossy(&pipe.contents()).into_owned(),
            Output::Process(_) => String::new(),
        }
    }

    /// Builds the WASI context of a new instance, and counts the instance.
    pub(crate) fn start_instance(&self) -> WasiCtx {
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(self.clock).monotonic_clock(self.clock);
        match &self.output {
            Output::Captured(pipe) => wasi.stdout(pipe.clone()).stderr(pipe.clone()),
            Output::Process(output) => wasi
                .stdout(GuestOutput::new(output.clone(), Target::Stdout))
                .stderr(GuestOutput::new(output.clone(), Target::Stderr)),
        };
        let ordinal = self.started_instances.add(1);
        if let Some(seed) = self.seed {
            // Instances differ from each other, and in the same way in every run.
            let seed = seed.wrapping_add(ordinal.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            wasi.secure_random(StdRng::seed_from_u64(seed))
                .insecure_random(StdRng::seed_from_u64(!seed))
                .insecure_random_seed(seed.into());
        }
        wasi.build()
    }

    /// Logs a line for the operator of the host.
    pub(crate) fn log(&self, line: &str) {
        match &self.output {
            // The pipe is in memory and unbounded, so the write cannot fail.
            Output::Captured(pipe) => _ = pipe.clone().write(format!("{line}\n").into()),
            // The log itself reports dropped lines.
            Output::Process(output) => _ = output.line(Target::Stderr, line),
        }
    }
}
