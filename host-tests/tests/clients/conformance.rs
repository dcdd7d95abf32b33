//! The conformance test of a client.

use std::path::PathBuf;
use std::time::Duration;

use runnel_testing::{HostProcess, Server};
use tokio::select;
use tokio::time::timeout;

use crate::events::{COUNT, Event};
use crate::print_uncaptured;
use crate::proxy::{CutPoint, End, PAGE, ProxiedStream, Proxy};
use crate::publisher::Publisher;
use crate::subscriber::{Subscriber, Transcript};

/// Reconnection after 50 to 100 ms, and streams that end after 0.8 to 1 s.
const VARIABLES: [&str; 2] = ["retry_ms=50", "max_stream_seconds=1"];

const ROUNDS: usize = 8;

/// In this round the server is killed, and no stream is cut.
const KILL_ROUND: usize = 4;

/// In this round the server ends a stream, and none is cut.
const END_ROUND: usize = 6;

/// Bounds all rounds together. Each step has a shorter timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Bounds all rounds with the server of the environment, whose clients wait for seconds before they
/// reconnect.
const EXTERNAL_TIMEOUT: Duration = Duration::from_secs(300);

/// The URLs for a client.
pub(crate) struct Endpoint {
    /// A page of the same origin, for browsers.
    pub(crate) page: String,
    pub(crate) events: String,
}

/// A test that a client receives every event once, in order and unchanged, while its connections are cut
/// and the server is killed and restarted.
pub(crate) struct Conformance {
    cut_point: CutPoint,
    /// The folder with `node_modules`, if a page needs them.
    modules: Option<PathBuf>,
    /// The change that the client makes to data.
    change: fn(&str) -> String,
}

impl Conformance {
    /// Returns the test of a client that conforms wherever its connection is cut.
    pub(crate) fn new() -> Self {
        Self {
            cut_point: CutPoint::Anywhere,
            modules: None,
            change: str::to_owned,
        }
    }

    /// Cuts only between events.
    pub(crate) fn cut_between_events(self) -> Self {
        let cut_point = CutPoint::BetweenEvents;
        Self { cut_point, ..self }
    }

    /// Serves the modules in a folder to pages.
    pub(crate) fn with_modules(self, folder: PathBuf) -> Self {
        let modules = Some(folder);
        Self { modules, ..self }
    }

    /// Expects a client that changes data in this way.
    pub(crate) fn with_data_changed_by(self, change: fn(&str) -> String) -> Self {
        Self { change, ..self }
    }

    /// Runs the test with the client that `start` starts.
    pub(crate) async fn check(self, start: impl FnOnce(&Endpoint) -> Subscriber) {
        let (server, mut host) = match Server::from_env() {
            Some(server) => (server, None),
            None => {
                let host = HostProcess::start_temporary(&VARIABLES);
                (host.server.clone(), Some(host))
            }
        };
        let proxy = Proxy::start(&server.authority, self.cut_point, self.modules).await;
        let mut publisher = Publisher::new(server);
        let origin = format!("http://{}", proxy.authority);
        let subscriber = start(&Endpoint {
            page: format!("{origin}{PAGE}"),
            events: format!("{origin}{}", publisher.path()),
        });

        let limit = if host.is_some() {
            TIMEOUT
        } else {
            EXTERNAL_TIMEOUT
        };
        let rounds = run_rounds(&mut host, &proxy, &mut publisher, &subscriber);
        if timeout(limit, rounds).await.is_err() {
            panic!("the client is too slow: {}", subscriber.transcript());
        }
        let ids = publisher.ids().await;
        publisher.close().await;
        let stopped = subscriber.stopped().await;

        let transcript = subscriber.transcript();
        let mut expected = publisher.expected(ids);
        for event in &mut expected {
            event.data = (self.change)(&event.data);
        }
        let streams = proxy.ended_streams();
        assert_same(&transcript, &expected);
        assert_resumed(&streams, &expected);
        let is_cut_anywhere = self.cut_point == CutPoint::Anywhere;
        assert_eq!(cuts_in_event(&streams) > 0, is_cut_anywhere, "{streams:?}");
        let summary = summary(&transcript, &streams, host.is_some(), &stopped);
        print_uncaptured(&summary);
    }
}

/// Publishes all events and interrupts the client in between. Waits until it has received them.
async fn run_rounds(
    host: &mut Option<HostProcess>,
    proxy: &Proxy,
    publisher: &mut Publisher,
    subscriber: &Subscriber,
) {
    for round in 0..ROUNDS {
        // The client is connected …
        publisher.publish(20).await;
        subscriber.has_received(publisher.published).await;
        match host {
            Some(host) if round == KILL_ROUND => {
                publisher.publish(10).await;
                host.kill_and_restart();
            }
            Some(_) if round == END_ROUND => proxy.ended_by_server().await,
            _ => cut_and_reopen(round, proxy, publisher, subscriber).await,
        }
        // … or about to be.
        let rest = COUNT * (round + 1) / ROUNDS - publisher.published;
        publisher.publish(rest).await;
    }
    subscriber.has_received(COUNT).await;
}

/// Cuts the stream while events are published, publishes more, and lets the client reconnect. In every
/// other round, also cuts the replay.
async fn cut_and_reopen(
    round: usize,
    proxy: &Proxy,
    publisher: &mut Publisher,
    subscriber: &Subscriber,
) {
    let immediately = round.is_multiple_of(4);
    let bytes = rand::random_range(1..4_000);
    proxy.cut_after(if immediately { 0 } else { bytes });
    for _ in 0..40 {
        if proxy.is_closed() {
            break;
        }
        publisher.publish(1).await;
    }
    select! {
        () = proxy.closed() => {}
        () = subscriber.has_received(publisher.published) => {
            proxy.cut_after(0);
            proxy.closed().await;
        }
    }
    publisher.publish(15).await;
    publisher.publish_batch(20).await;
    if !round.is_multiple_of(2) {
        proxy.cut_after(rand::random_range(1..2_000));
        select! {
            () = proxy.closed() => {}
            () = subscriber.has_received(publisher.published) => {}
        }
    }
    proxy.reopen();
}

/// Asserts that a client without a proxy resumes when the server is killed and restarted on its port.
pub(crate) async fn assert_follows_restarts(
    test: &str,
    start: impl FnOnce(&Endpoint) -> Subscriber,
) {
    if Server::from_env().is_some() {
        print_uncaptured(&format!(
            "skipped: {test} (it kills the server, and RUNNEL_URL names one)"
        ));
        return;
    }
    let mut host = HostProcess::start_temporary(&VARIABLES);
    let mut publisher = Publisher::new(host.server.clone());
    let origin = format!("http://{}", host.server.authority);
    let subscriber = start(&Endpoint {
        page: format!("{origin}/"),
        events: format!("{origin}{}", publisher.path()),
    });
    for _ in 0..3 {
        publisher.publish(20).await;
        subscriber.has_received(publisher.published).await;
        publisher.publish(10).await;
        host.kill_and_restart();
        publisher.publish(10).await;
    }
    subscriber.has_received(publisher.published).await;
    let ids = publisher.ids().await;
    publisher.close().await;
    let stopped = subscriber.stopped().await;
    let transcript = subscriber.transcript();
    assert_same(&transcript, &publisher.expected(ids));
    assert!(transcript.opened >= 4, "{transcript}");
    let Transcript { client, events, .. } = transcript;
    print_uncaptured(&format!(
        "{client}: {} events in order over 3 kills of the server, no proxy; at the end: {stopped}",
        events.len()
    ));
}

/// Asserts that a client received these events and no others, and `runnel.end` at most once: a client
/// that is disconnected when the channel is closed does not receive it. Prints only the first
/// difference.
fn assert_same(transcript: &Transcript, expected: &[Event]) {
    let events = &transcript.events;
    let pairs = events.iter().zip(expected);
    let same = pairs
        .take_while(|(event, expected)| event == expected)
        .count();
    assert!(
        events == expected,
        "event {same} is {:?} instead of {:?}: {transcript}",
        events.get(same).map(Event::abbreviated),
        expected.get(same).map(Event::abbreviated)
    );
    let control_events = transcript.control_events.iter();
    let control_events: Vec<_> = control_events.map(|event| &event.kind).collect();
    assert!(
        control_events.is_empty() || control_events == ["runnel.end"],
        "{transcript}"
    );
}

/// Asserts that a client sent the last event id whenever it reconnected, and never an earlier one.
fn assert_resumed(streams: &[ProxiedStream], expected: &[Event]) {
    let mut last = None;
    for stream in streams {
        let id = stream.last_event_id.as_deref().filter(|id| !id.is_empty());
        // Before the first event, a client has the position at which its stream began.
        let index = id.and_then(|id| expected.iter().position(|event| event.id == id));
        assert!(last <= index, "{id:?} is too old: {streams:?}");
        last = index;
    }
    let cuts = streams.iter().filter(|stream| is_cut(stream)).count();
    assert!(cuts >= 5, "there are only {cuts} cuts: {streams:?}");
}

/// Returns `true` if the stream had begun when it was cut.
fn is_cut(stream: &ProxiedStream) -> bool {
    matches!(stream.end, End::Cut { .. }) && stream.bytes > 0
}

/// Counts the streams that were cut in the middle of an event.
fn cuts_in_event(streams: &[ProxiedStream]) -> usize {
    let cut = End::Cut { in_event: true };
    streams.iter().filter(|stream| stream.end == cut).count()
}

fn summary(
    transcript: &Transcript,
    streams: &[ProxiedStream],
    is_killed: bool,
    stopped: &str,
) -> String {
    let cuts = streams.iter().filter(|stream| is_cut(stream)).count();
    let ended = streams
        .iter()
        .filter(|stream| stream.end == End::ByServer && stream.bytes > 0)
        .count();
    let kill = if is_killed {
        "a kill of the server"
    } else {
        "no kill of the server (skipped: RUNNEL_URL names the server)"
    };
    format!(
        "{}: {} events in order over {cuts} cuts ({} in an event), {} ends by the \
         server and {kill}; at the end: {stopped}",
        transcript.client,
        transcript.events.len(),
        cuts_in_event(streams),
        // The last one is the end of the channel.
        ended.saturating_sub(1 + usize::from(is_killed)),
    )
}
