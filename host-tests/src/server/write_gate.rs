//! Backpressure from the socket to the body of a response.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Keeps a body from handing over a frame before the one before it is written to the socket. hyper would
/// take some 400 KB of frames ahead of a client that does not read.
///
/// For HTTP/1, where a connection has one response at a time. Clones refer to the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteGate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Set while a frame waits to be written.
    is_closed: bool,
    waker: Option<Waker>,
}

impl WriteGate {
    /// Closes the gate: a frame has been handed over.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Opens the gate: everything handed over is written.
    pub(super) fn open(&self) {
        let waker = {
            let mut state = self.lock();
            state.is_closed = false;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the gate is open.
    pub(super) fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.is_closed {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
