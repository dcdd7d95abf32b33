//! What all guests of one host share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::clock::Clock;

/// What all guests of one host share: the clock, the source of random numbers, the counters.
pub(crate) struct Environment {
    clock: Clock,
    /// When set, every random number follows from it.
    seed: Option<u64>,
    /// When set, what guests print is kept here.
    captured: Option<MemoryOutputPipe>,
    pub(crate) live_instances: Gauge,
    pub(crate) live_stores: Gauge,
    /// Bytes of linear memory of all instances.
    pub(crate) live_memory: Gauge,
    /// Instructions that instances which have ended executed, if the engine counts them.
    pub(crate) instructions: Counter,
    /// Whether the next read is to end its instance.
    pub(crate) trap: Arc<AtomicBool>,
    started_instances: AtomicU64,
}

impl Environment {
    pub(crate) fn new(
        seed: Option<u64>,
        start_time: SystemTime,
        captured: Option<MemoryOutputPipe>,
    ) -> Self {
        Self {
            clock: Clock::starting_at(start_time),
            seed,
            captured,
            live_instances: Gauge::default(),
            live_stores: Gauge::default(),
            live_memory: Gauge::default(),
            instructions: Counter::default(),
            trap: Arc::default(),
            started_instances: AtomicU64::new(0),
        }
    }

    /// How many instances were started.
    pub(crate) fn started_instances(&self) -> u64 {
        self.started_instances.load(Ordering::Relaxed)
    }

    /// What was captured.
    pub(crate) fn output(&self) -> String {
        self.captured.as_ref().map_or_else(String::new, |pipe| {
            String::from_utf8_lossy(&pipe.contents()).into_owned()
        })
    }

    /// The WASI side of one new instance.
    pub(crate) fn wasi(&self) -> WasiCtx {
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(self.clock).monotonic_clock(self.clock);
        match &self.captured {
            Some(pipe) => wasi.stdout(pipe.clone()).stderr(pipe.clone()),
            None => wasi.inherit_stdout().inherit_stderr(),
        };
        let ordinal = self.started_instances.fetch_add(1, Ordering::Relaxed);
        if let Some(seed) = self.seed {
            // Instances differ from each other, and in the same way in every run.
            let seed = seed.wrapping_add(ordinal.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            wasi.secure_random(StdRng::seed_from_u64(seed))
                .insecure_random(StdRng::seed_from_u64(!seed))
                .insecure_random_seed(seed.into());
        }
        wasi.build()
    }

    /// Notes something that the operator of the host should see.
    pub(crate) fn log(&self, line: &str) {
        use std::io::Write as _;
        match &self.captured {
            Some(pipe) => {
                use wasmtime_wasi::p2::OutputStream as _;
                // The pipe is in memory and without a limit.
                _ = pipe.clone().write(format!("{line}\n").into());
            }
            None => _ = writeln!(std::io::stderr(), "{line}"),
        }
    }
}

/// How many of something are alive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

/// How much of something there has been.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// How much so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts so much more.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::SeqCst);
    }
}

/// One that is alive: counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Gauge {
    /// How many are alive now.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts so many more.
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more, Ordering::SeqCst);
    }

    /// Counts so many less.
    pub(crate) fn subtract(&self, less: usize) {
        self.0.fetch_sub(less, Ordering::SeqCst);
    }

    /// Counts one more.
    pub(crate) fn enter(&self) -> Alive {
        self.0.fetch_add(1, Ordering::SeqCst);
        Alive(self.0.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
