//! The phases of a connection, each with its time limit.
//!
//! | phase | begins | ends | limit |
//! |---|---|---|---|
//! | `New` | with the connection | with the first request | [`head_timeout`](super::ServerOptions::head_timeout), whatever the client sends |
//! | `Serving` | with a request | with the last open response | none here: the component limits bodies, [`TimeoutStream`](super::timeout_stream::TimeoutStream) writes |
//! | `Idle` | with the last open response | with the next byte on HTTP/1, or the next request | [`idle_timeout`](super::ServerOptions::idle_timeout) |
//! | `Head` | with the next byte on HTTP/1 | with the request | `head_timeout` |
//!
//! On HTTP/2 bytes arrive on an idle connection too, such as answers to pings, so they begin no phase.

use std::time::Duration;

use http::Version;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The phase of one connection. Clones refer to the same connection.
#[derive(Debug, Clone)]
pub(super) struct PhaseTracker(watch::Sender<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Set once a request has shown it.
    is_http2: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    New,
    /// The number of open responses.
    Serving(usize),
    Idle,
    Head,
}

/// The time limits of phases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

/// An open response; dropping it ends the response.
#[derive(Debug)]
pub(super) struct OpenResponse(PhaseTracker);

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    fn deadline(&self, limits: Limits) -> Option<Instant> {
        match self.phase {
            Phase::New | Phase::Head => Some(self.since + limits.head),
            Phase::Idle => Some(self.since + limits.idle),
            Phase::Serving(_) => None,
        }
    }
}

impl PhaseTracker {
    /// Begins with a new connection.
    pub(super) fn new() -> Self {
        let state = State {
            phase: Phase::New,
            since: Instant::now(),
            is_http2: false,
        };
        Self(watch::Sender::new(state))
    }

    /// Records bytes from the client.
    pub(super) fn received(&self) {
        self.0.send_if_modified(|state| {
            let begins_head = state.phase == Phase::Idle && !state.is_http2;
            if begins_head {
                state.enter(Phase::Head);
            }
            begins_head
        });
    }

    /// Records a request, whose response is open until the guard is dropped.
    pub(super) fn request(&self, version: Version) -> OpenResponse {
        self.0.send_modify(|state| {
            state.is_http2 = version == Version::HTTP_2;
            let others = match state.phase {
                Phase::Serving(others) => others,
                _ => 0,
            };
            state.enter(Phase::Serving(others + 1));
        });
        OpenResponse(self.clone())
    }

    /// Waits until a phase has lasted for longer than its limit, and returns it.
    pub(super) async fn expired(&self, limits: Limits) -> Phase {
        let mut changes = self.0.subscribe();
        loop {
            let (phase, deadline) = {
                let state = changes.borrow_and_update();
                (state.phase, state.deadline(limits))
            };
            let expiry = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // This tracker is the sender, so the channel stays open.
                _ = changes.changed() => {}
                () = expiry => return phase,
            }
        }
    }
}

impl Drop for OpenResponse {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| match state.phase {
            Phase::Serving(others @ 2..) => state.phase = Phase::Serving(others - 1),
            _ => state.enter(Phase::Idle),
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const LIMITS: Limits = Limits {
        head: Duration::from_secs(30),
        idle: Duration::from_secs(600),
    };

    /// Returns the seconds until a phase expires, and the phase.
    async fn expiry(tracker: &PhaseTracker) -> (u64, Phase) {
        let start = Instant::now();
        let phase = tracker.expired(LIMITS).await;
        (start.elapsed().as_secs(), phase)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_expires_whatever_it_sends() {
        let tracker = PhaseTracker::new();
        let expiry = tokio::spawn({
            let tracker = tracker.clone();
            async move { expiry(&tracker).await }
        });
        tokio::task::yield_now().await;
        for _ in 0..29 {
            advance(Duration::from_secs(1)).await;
            tracker.received();
        }
        assert_eq!(expiry.await.unwrap(), (30, Phase::New));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_response_does_not_expire() {
        let tracker = PhaseTracker::new();
        let first = tracker.request(Version::HTTP_2);
        let second = tracker.request(Version::HTTP_2);
        drop(first);
        let hour = Duration::from_secs(3_600);
        assert!(timeout(hour, tracker.expired(LIMITS)).await.is_err());
        drop(second);
        assert_eq!(expiry(&tracker).await, (600, Phase::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_lives_longer_than_a_begun_head() {
        let tracker = PhaseTracker::new();
        drop(tracker.request(Version::HTTP_11));
        advance(Duration::from_secs(500)).await;
        tracker.received();
        advance(Duration::from_secs(10)).await;
        // Further bytes do not extend it.
        tracker.received();
        assert_eq!(expiry(&tracker).await, (20, Phase::Head));
        drop(tracker.request(Version::HTTP_11));
        assert_eq!(expiry(&tracker).await, (600, Phase::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_on_an_idle_http2_connection_begin_no_head() {
        let tracker = PhaseTracker::new();
        drop(tracker.request(Version::HTTP_2));
        advance(Duration::from_secs(100)).await;
        tracker.received();
        assert_eq!(expiry(&tracker).await, (500, Phase::Idle));
    }
}
