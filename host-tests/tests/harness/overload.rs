//! Too many, too often, too slow: what it costs, and that nothing of it stays.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Request;
use http_body_util::channel::Channel;
use runnel_host::Host;
use runnel_host::store::Fault;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::site::{CHANNEL, Site, publish};
use crate::subscriber::Subscriber;

/// An instance is kept for a second after its last request.
const IDLE: Duration = Duration::from_millis(1_100);

/// All that the host can count: instances, stores, tasks.
fn counts(host: &Host) -> [usize; 3] {
    let tasks = Handle::current().metrics().num_alive_tasks();
    [host.live_instances(), host.live_stores(), tasks]
}

#[tokio::test(start_paused = true)]
async fn a_hundred_streams_over_a_store_that_is_down_for_minutes_ask_it_seldom() {
    for fault in [
        Fault::ErrorBefore,
        Fault::Hang(Duration::from_secs(1_000_000)),
    ] {
        let variables = [
            ("store_patience_seconds", "3600"),
            ("max_stream_seconds", "3600"),
        ];
        let site = Site::with(&variables);
        site.publish("kept").await.id();
        sleep(IDLE).await;
        let mut streams = vec![];
        for _ in 0..100 {
            streams.push(Subscriber::open_live(&site.host, CHANNEL).await);
        }
        site.befall(move |_| fault);
        site.take_asked();
        let mut minutes = vec![];
        for _ in 0..5 {
            let minute = Duration::from_secs(60);
            join_all(streams.iter_mut().map(|s| s.read_for(minute))).await;
            minutes.push(site.take_asked().len());
        }
        println!("{fault:?}: 100 streams ask {minutes:?} times in each of 5 minutes");
        match fault {
            // Each by itself every 2.5 to 5 s, after a first minute that begins more often.
            Fault::ErrorBefore => {
                assert!(minutes[0] <= 100 * 30, "{minutes:?}");
                assert!(minutes[1..].iter().all(|calls| *calls <= 100 * 24));
            }
            // No stream asks again before it was answered.
            _ => assert!(minutes.iter().sum::<usize>() <= 100, "{minutes:?}"),
        }
        assert!(site.host.live_instances() <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_publishers_is_left_alone_and_found_again() {
    let site = Site::new();
    site.publish("before").await.id();
    site.befall(|_| Fault::ErrorBefore);
    site.take_asked();
    let (mut slow, mut longest) = (0, 0);
    for _ in 0..100 {
        let start = Instant::now();
        let answer = site.publish("lost").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.problem(), "urn:runnel:problem:store");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!(seconds > 0);
        longest = longest.max(seconds);
        slow += usize::from(start.elapsed() > Duration::from_millis(10));
        sleep(Duration::from_millis(200)).await;
    }
    let asked = site.take_asked().len();
    println!("100 publishes: {slow} waited for the store, which was asked {asked} times");
    // The five that open the circuit, and a probe now and then.
    assert!(slow <= 12, "{slow}");
    assert!(longest <= 24, "{longest}");
    assert!(asked <= 12 * 30, "{asked}");
    site.heal();
    let healed = Instant::now();
    while site.publish("after").await.status != 201 {
        sleep(Duration::from_millis(200)).await;
    }
    assert!(healed.elapsed() <= Duration::from_secs(25));
    assert_eq!(site.log_data().await, ["before", "after"]);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_whose_store_fails_lets_everybody_through() {
    let site = Site::with(&[("publish_rate", "5"), ("stream_rate", "5")]);
    site.befall(|call| match call.key.starts_with("rate!") {
        true => Fault::ErrorBefore,
        false => Fault::None,
    });
    for number in 0..30 {
        publish(&site.host, CHANNEL, &number.to_string()).await.id();
        let mut subscriber = site.subscribe("").await;
        subscriber.read_opening().await;
    }
    assert!(site.keys("rate!").is_empty());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_channels_from_one_client_fit_the_limiter() {
    let variables = [
        ("publish_rate", "100000"),
        ("channel_rate", "1"),
        ("stream_rate", "100000"),
    ];
    let site = Site::with(&variables);
    for number in 0..10_000 {
        let query = "?live=false";
        let subscriber = Subscriber::open(&site.host, &format!("c:{number}"), query).await;
        drop(subscriber);
    }
    let mut refused = 0;
    for number in 0..6_000 {
        let answer = publish(&site.host, &format!("c:{number}"), "x").await;
        refused += usize::from(answer.status == 429);
    }
    let slots = site.memory.snapshot();
    let slots: Vec<_> = slots
        .iter()
        .filter(|(key, _)| key.starts_with("rate!"))
        .collect();
    let bytes: usize = slots.iter().map(|(_, value)| value.len()).sum();
    println!(
        "{} slots of {bytes} bytes; {refused} of 6000 newcomers had to wait",
        slots.len()
    );
    assert!(slots.len() <= 64 + 2);
    assert!(slots.iter().all(|(_, value)| value.len() <= 1 + 64 * 16));
    sleep(Duration::from_secs(2)).await;
    publish(&site.host, "c:5999", "x").await.id();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_off_costs_nothing_and_one_that_is_on_little() {
    let site = Site::new();
    site.publish("off").await.id();
    site.subscribe("").await.read_opening().await;
    assert!(
        site.take_asked()
            .iter()
            .all(|(_, key)| !key.starts_with("rate!"))
    );
    let site = Site::with(&[("publish_rate", "1000"), ("channel_rate", "1000")]);
    for number in 0..1_000 {
        site.publish(&number.to_string()).await.id();
        sleep(Duration::from_millis(5)).await;
    }
    let asked = site.take_asked();
    let limiting = asked.iter().filter(|(_, key)| key.starts_with("rate!"));
    let calls = limiting.count();
    println!("1000 publishes: {calls} calls of the store for two limits");
    assert!(calls <= 600, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_does_not_run_out_of_swaps_over_its_limits() {
    // So low that every request takes a lease of each.
    let site = Site::with(&[("publish_rate", "15"), ("channel_rate", "15")]);
    for number in 0..300 {
        site.publish(&number.to_string()).await.id();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(site.host.started_instances() <= 4);
    assert_eq!(site.log().await.len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_let_go_and_a_slow_one_is_not() {
    let site = Site::with(&[("write_timeout_seconds", "10")]);
    site.publish_run(1, 600, 2_000).await;
    sleep(IDLE).await;
    let start = counts(&site.host);
    let mut stalled = site.subscribe("?last_event_id=earliest").await;
    stalled.read_opening().await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(site.host.live_instances(), 1);
    sleep(Duration::from_secs(1) + 2 * IDLE).await;
    assert_eq!(site.host.live_instances(), 0);
    drop(stalled);
    sleep(IDLE).await;
    assert_eq!(counts(&site.host), start);

    let mut slow = site.subscribe("?last_event_id=earliest").await;
    slow.read_opening().await;
    let mut events = 0;
    while events < 600 {
        sleep(Duration::from_secs(9)).await;
        let chunk = slow.chunk().await.unwrap();
        events += chunk.iter().filter(|block| block.data.is_some()).count();
    }
    // It is live now, and waits for news for longer than a write may take.
    slow.read_for(Duration::from_secs(60)).await;
    site.publish("news").await.id();
    assert_eq!(slow.event().await.unwrap().data, "news");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_answered_and_leaves_nothing_behind() {
    let site = Site::with(&[("body_timeout_seconds", "5")]);
    let start = counts(&site.host);
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let request = Request::post("/publish/c")
        .header("authorization", "Bearer harness-token")
        .header("content-type", "text/plain")
        .body(body)
        .unwrap();
    let begun = Instant::now();
    let answering = async { Answer::of(site.host.request(request).await).await };
    let trickling = async {
        while begun.elapsed() < Duration::from_secs(60) {
            if sender.send_data(Bytes::from_static(b"x")).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
    };
    let (answer, ()) = tokio::join!(answering, trickling);
    assert_eq!(answer.status, 408);
    assert_eq!(answer.problem(), "urn:runnel:problem:body-timeout");
    assert!(begun.elapsed() < Duration::from_secs(8));
    drop(sender);
    sleep(IDLE).await;
    assert_eq!(counts(&site.host), start);
    assert!(site.keys("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_streams_that_come_and_go_leave_nothing_behind() {
    let site = Site::new();
    site.publish_run(1, 5, 4_000).await;
    sleep(IDLE).await;
    let (start, keys) = (counts(&site.host), site.memory.snapshot());
    let (mut held, mut most) = (std::collections::VecDeque::new(), 0);
    for number in 0..10_000 {
        let query = ["", "?last=2", "?last_event_id=earliest"][number % 3];
        let mut subscriber = site.subscribe(query).await;
        if number % 2 == 0 {
            subscriber.read_opening().await;
        }
        held.push_back(subscriber);
        if held.len() > 50 {
            held.pop_front();
        }
        if number % 50 == 0 {
            // Heartbeats find out who has gone.
            sleep(Duration::from_secs(8)).await;
            most = most.max(site.host.live_instances());
        }
    }
    drop(held);
    sleep(Duration::from_secs(15) + IDLE).await;
    println!("10000 streams: at most {most} instances at a time, none at the end");
    assert!(most <= 8, "{most}");
    assert_eq!(counts(&site.host), start);
    assert_eq!(site.memory.snapshot(), keys);
    let last = site.subscribe("?live=false&last=1").await;
    assert_eq!(last.rest().await.len(), 1);
}
