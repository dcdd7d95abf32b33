//! What every client has to go through.

use std::path::PathBuf;
use std::time::Duration;

use tokio::select;
use tokio::time::timeout;

use crate::events::{COUNT, Event};
use crate::proxy::{Cutting, End, PAGE, Passage, Proxy};
use crate::publisher::Publisher;
use crate::say;
use crate::server::{Host, Server};
use crate::subscriber::{Account, Subscriber};

const ROUNDS: usize = 8;

/// In this round nothing is cut: the server is killed.
const ROUND_OF_THE_KILL: usize = 4;

/// In this round nothing is cut: the server ends a stream.
const ROUND_OF_THE_END: usize = 6;

/// How long the rounds may take. Each step is given less, but there are many.
const LONGEST: Duration = Duration::from_secs(120);

/// The same for the server that the environment names, whose clients wait for seconds whenever they
/// reconnect.
const LONGEST_NAMED: Duration = Duration::from_secs(300);

/// Where a client finds its events.
pub(crate) struct Invitation {
    /// A page of the same origin, for browsers.
    pub(crate) page: String,
    pub(crate) events: String,
}

/// A client's way through cut connections, while a server is killed and started again.
pub(crate) struct Trial {
    cutting: Cutting,
    /// The folder with `node_modules`, if a page needs them.
    modules: Option<PathBuf>,
    /// How the client passes on the data of an event.
    passed_on: fn(&str) -> String,
}

impl Trial {
    /// For a client that passes on events as they are, wherever its connection is cut.
    pub(crate) fn new() -> Self {
        Self {
            cutting: Cutting::Anywhere,
            modules: None,
            passed_on: str::to_owned,
        }
    }

    /// Only cuts between two events.
    pub(crate) fn cut_between_events(self) -> Self {
        let cutting = Cutting::BetweenEvents;
        Self { cutting, ..self }
    }

    /// Serves pages the modules in a folder.
    pub(crate) fn with_modules(self, folder: PathBuf) -> Self {
        let modules = Some(folder);
        Self { modules, ..self }
    }

    /// For a client that changes data in this way.
    pub(crate) fn with_data_passed_on(self, passed_on: fn(&str) -> String) -> Self {
        Self { passed_on, ..self }
    }

    /// Holds a client to get every event once, in order, and with the data that was published.
    pub(crate) async fn of(self, start: impl FnOnce(&Invitation) -> Subscriber) {
        let named = Server::named();
        let mut host = match named {
            Some(_) => None,
            None => Some(Host::start().await),
        };
        let server = named.unwrap_or_else(|| host.as_ref().unwrap().server.clone());
        let proxy = Proxy::start(&server.authority, self.cutting, self.modules).await;
        let mut publisher = Publisher::new(server);
        let origin = format!("http://{}", proxy.authority);
        let subscriber = start(&Invitation {
            page: format!("{origin}{PAGE}"),
            events: format!("{origin}{}", publisher.path()),
        });

        let patience = if host.is_some() {
            LONGEST
        } else {
            LONGEST_NAMED
        };
        let rounds = all_rounds(&mut host, &proxy, &mut publisher, &subscriber);
        if timeout(patience, rounds).await.is_err() {
            panic!("the client is too slow: {}", subscriber.account());
        }
        let ids = publisher.ids().await;
        publisher.close().await;
        let stopped = subscriber.stopped().await;

        let account = subscriber.account();
        let mut expected = publisher.expected(ids);
        for event in &mut expected {
            event.data = (self.passed_on)(&event.data);
        }
        let passages = proxy.passages();
        assert_same(&account, &expected);
        assert_resumed(&passages, &expected);
        let anywhere = self.cutting == Cutting::Anywhere;
        assert_eq!(in_mid_event(&passages) > 0, anywhere, "{passages:?}");
        say(&summary(&account, &passages, host.is_some(), &stopped));
    }
}

/// Publishes all events, disturbs the client in between, and waits until it has got so many.
async fn all_rounds(
    host: &mut Option<Host>,
    proxy: &Proxy,
    publisher: &mut Publisher,
    subscriber: &Subscriber,
) {
    for round in 0..ROUNDS {
        // The client is connected …
        publisher.publish(20).await;
        subscriber.has(publisher.published).await;
        if let Some(running) = host.take_if(|_| round == ROUND_OF_THE_KILL) {
            publisher.publish(10).await;
            *host = Some(running.kill_and_restart().await);
        } else if host.is_some() && round == ROUND_OF_THE_END {
            proxy.end_by_server().await;
        } else {
            cut_and_mend(round, proxy, publisher, subscriber).await;
        }
        // … or about to be.
        let rest = COUNT * (round + 1) / ROUNDS - publisher.published;
        publisher.publish(rest).await;
    }
    subscriber.has(COUNT).await;
}

/// Cuts the client's stream while events are published, publishes more, and lets the client come
/// back, sometimes only to be cut again while it is replayed what it missed.
async fn cut_and_mend(
    round: usize,
    proxy: &Proxy,
    publisher: &mut Publisher,
    subscriber: &Subscriber,
) {
    let at_once = round.is_multiple_of(4);
    let bytes = rand::random_range(1..4_000);
    proxy.cut_after(if at_once { 0 } else { bytes });
    for _ in 0..40 {
        if proxy.is_down() {
            break;
        }
        publisher.publish(1).await;
    }
    select! {
        () = proxy.down() => {}
        () = subscriber.has(publisher.published) => {
            proxy.cut_after(0);
            proxy.down().await;
        }
    }
    publisher.publish(15).await;
    publisher.publish_batch(20).await;
    if !round.is_multiple_of(2) {
        proxy.cut_after(rand::random_range(1..2_000));
        select! {
            () = proxy.down() => {}
            () = subscriber.has(publisher.published) => {}
        }
    }
    proxy.mend();
}

/// Holds a client without a proxy to follow a server that is killed and started again on its port.
pub(crate) async fn restarts(test: &str, start: impl FnOnce(&Invitation) -> Subscriber) {
    if Server::named().is_some() {
        say(&format!(
            "skipped: {test} (it kills the server, and RUNNEL_URL names one)"
        ));
        return;
    }
    let mut host = Host::start().await;
    let mut publisher = Publisher::new(host.server.clone());
    let origin = format!("http://{}", host.server.authority);
    let subscriber = start(&Invitation {
        page: format!("{origin}/"),
        events: format!("{origin}{}", publisher.path()),
    });
    for _ in 0..3 {
        publisher.publish(20).await;
        subscriber.has(publisher.published).await;
        publisher.publish(10).await;
        host = host.kill_and_restart().await;
        publisher.publish(10).await;
    }
    subscriber.has(publisher.published).await;
    let ids = publisher.ids().await;
    publisher.close().await;
    let stopped = subscriber.stopped().await;
    let account = subscriber.account();
    assert_same(&account, &publisher.expected(ids));
    assert!(account.opened >= 4, "{account}");
    let Account { client, events, .. } = account;
    say(&format!(
        "{client}: {} events in order over 3 kills of the server, no proxy; at the end: {stopped}",
        events.len()
    ));
}

/// Holds a client to have got these events and no others, and to have been told of the end at most
/// once: not if it was away when the channel was closed. Says where the lists part and not all that
/// is in them.
fn assert_same(account: &Account, expected: &[Event]) {
    let events = &account.events;
    let pairs = events.iter().zip(expected);
    let place = pairs.take_while(|(got, expected)| got == expected).count();
    assert!(
        events == expected,
        "after {place} events comes {:?} instead of {:?}: {account}",
        events.get(place).map(Event::brief),
        expected.get(place).map(Event::brief)
    );
    let signals: Vec<_> = account.signals.iter().map(|event| &event.kind).collect();
    assert!(signals.is_empty() || signals == ["runnel.end"], "{account}");
}

/// Holds a client to have said where it was whenever it came back, and never to have gone back.
fn assert_resumed(passages: &[Passage], expected: &[Event]) {
    let mut place = None;
    for passage in passages {
        let given = passage.last_event_id.as_deref().filter(|id| !id.is_empty());
        let now = given.map(|id| expected.iter().position(|event| event.id == id).unwrap());
        assert!(place <= now, "{given:?} is sent too late: {passages:?}");
        place = now;
    }
    let cuts = passages.iter().filter(|passage| is_cut(passage)).count();
    assert!(cuts >= 5, "there are only {cuts} cuts: {passages:?}");
}

/// Whether a stream was cut that had begun.
fn is_cut(passage: &Passage) -> bool {
    matches!(passage.end, End::Cut { .. }) && passage.bytes > 0
}

/// How many streams were cut in mid-event.
fn in_mid_event(passages: &[Passage]) -> usize {
    let cut = End::Cut { in_mid_event: true };
    passages.iter().filter(|passage| passage.end == cut).count()
}

fn summary(account: &Account, passages: &[Passage], killed: bool, stopped: &str) -> String {
    let count = |wanted: fn(&Passage) -> bool| passages.iter().filter(|each| wanted(each)).count();
    let cuts = count(is_cut);
    let ended = count(|passage| passage.end == End::ByServer && passage.bytes > 0);
    let kill = if killed {
        "a kill of the server"
    } else {
        "no kill of the server (skipped: RUNNEL_URL names it)"
    };
    format!(
        "{}: {} events in order over {cuts} cuts ({} in mid-event), {} ends by the \
         server and {kill}; at the end: {stopped}",
        account.client,
        account.events.len(),
        in_mid_event(passages),
        // The last one is that of the channel.
        ended.saturating_sub(1 + usize::from(killed)),
    )
}
