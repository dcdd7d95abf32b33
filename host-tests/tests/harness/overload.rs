//! Too many clients, too frequent or too slow: their cost is bounded, and nothing remains of it.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Request;
use http_body_util::channel::Channel;
use runnel_host::Host;
use runnel_host::store::{Fault, FaultPlan};
use runnel_testing::{CHANNEL, Fixture, Response, Subscriber, publish};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// Longer than an instance is kept after its last request: 1 s.
const IDLE: Duration = Duration::from_millis(1_100);

/// Counts instances, open stores and tasks.
fn counts(host: &Host) -> [usize; 3] {
    let tasks = Handle::current().metrics().num_alive_tasks();
    [host.live_instances(), host.live_stores(), tasks]
}

#[tokio::test(start_paused = true)]
async fn a_hundred_streams_rarely_call_a_store_that_is_down_for_minutes() {
    for fault in [
        Fault::ErrorBefore,
        Fault::Delay(Duration::from_secs(1_000_000)),
    ] {
        let variables = [
            ("store_patience_seconds", "3600"),
            ("max_stream_seconds", "3600"),
        ];
        let fixture = Fixture::with(&variables);
        fixture.publish("kept").await.event_id();
        sleep(IDLE).await;
        let mut streams = vec![];
        for _ in 0..100 {
            streams.push(Subscriber::open_live(&fixture.host, CHANNEL).await);
        }
        fixture.store.inject(FaultPlan::always(fault));
        fixture.store.take_calls();
        let mut minutes = vec![];
        for _ in 0..5 {
            let minute = Duration::from_secs(60);
            join_all(streams.iter_mut().map(|s| s.read_for(minute))).await;
            minutes.push(fixture.store.take_calls().len());
        }
        println!("{fault:?}: calls by 100 streams in each of 5 minutes: {minutes:?}");
        match fault {
            // Each stream on its own every 2.5 to 5 s, and more often in the first minute.
            Fault::ErrorBefore => {
                assert!(minutes[0] <= 100 * 30, "{minutes:?}");
                assert!(minutes[1..].iter().all(|calls| *calls <= 100 * 24));
            }
            // No stream calls again before its last call has returned.
            _ => assert!(minutes.iter().sum::<usize>() <= 100, "{minutes:?}"),
        }
        assert!(fixture.host.live_instances() <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_for_a_failing_store_and_closes_when_it_recovers() {
    let fixture = Fixture::new();
    fixture.publish("before").await.event_id();
    fixture.store.inject(FaultPlan::always(Fault::ErrorBefore));
    fixture.store.take_calls();
    let (mut slow, mut longest) = (0, 0);
    for _ in 0..100 {
        let start = Instant::now();
        let response = fixture.publish("lost").await;
        assert_eq!(response.status, 503);
        assert_eq!(response.problem_type(), "urn:runnel:problem:store");
        let seconds: u64 = response.retry_after();
        assert!(seconds > 0);
        longest = longest.max(seconds);
        slow += usize::from(start.elapsed() > Duration::from_millis(10));
        sleep(Duration::from_millis(200)).await;
    }
    let calls = fixture.store.take_calls().len();
    println!("100 publishes: {slow} waited for the store, which got {calls} calls");
    // The five that open the circuit, and occasional probes.
    assert!(slow <= 12, "{slow}");
    assert!(longest <= 24, "{longest}");
    assert!(calls <= 12 * 30, "{calls}");
    fixture.store.heal();
    let healed = Instant::now();
    while fixture.publish("after").await.status != 201 {
        sleep(Duration::from_millis(200)).await;
    }
    assert!(healed.elapsed() <= Duration::from_secs(25));
    assert_eq!(fixture.log_data().await, ["before", "after"]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limiter_whose_store_fails_admits_every_request() {
    let fixture = Fixture::with(&[("publish_rate", "5"), ("stream_rate", "5")]);
    fixture.store.inject(FaultPlan::when(
        |call| call.key.starts_with("rate!"),
        Fault::ErrorBefore,
    ));
    for number in 0..30 {
        publish(&fixture.host, CHANNEL, &number.to_string())
            .await
            .event_id();
        let mut subscriber = fixture.subscribe("").await;
        subscriber.read_opening().await;
    }
    assert!(fixture.store.keys("rate!").is_empty());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_channels_of_one_client_do_not_grow_the_rate_limiter() {
    let variables = [
        ("publish_rate", "100000"),
        ("channel_rate", "1"),
        ("stream_rate", "100000"),
    ];
    let fixture = Fixture::with(&variables);
    for number in 0..10_000 {
        let query = "?live=false";
        let subscriber = Subscriber::open(&fixture.host, &format!("c:{number}"), query).await;
        drop(subscriber);
    }
    let mut rejected = 0;
    for number in 0..6_000 {
        let response = publish(&fixture.host, &format!("c:{number}"), "x").await;
        rejected += usize::from(response.status == 429);
    }
    let stored = fixture.store.memory.snapshot();
    let limits: Vec<_> = stored
        .iter()
        .filter(|(key, _)| key.starts_with("rate!"))
        .collect();
    let bytes: usize = limits.iter().map(|(_, value)| value.len()).sum();
    println!(
        "{} keys of {bytes} bytes; {rejected} of 6000 first publishes were rejected",
        limits.len()
    );
    assert!(limits.len() <= 64 + 2);
    assert!(limits.iter().all(|(_, value)| value.len() <= 1 + 64 * 16));
    sleep(Duration::from_secs(2)).await;
    publish(&fixture.host, "c:5999", "x").await.event_id();
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_makes_few_store_calls_and_none_if_it_is_off() {
    let fixture = Fixture::new();
    fixture.publish("off").await.event_id();
    fixture.subscribe("").await.read_opening().await;
    assert!(
        fixture
            .store
            .take_calls()
            .iter()
            .all(|(_, key)| !key.starts_with("rate!"))
    );
    let fixture = Fixture::with(&[("publish_rate", "1000"), ("channel_rate", "1000")]);
    for number in 0..1_000 {
        fixture.publish(&number.to_string()).await.event_id();
        sleep(Duration::from_millis(5)).await;
    }
    let all = fixture.store.take_calls();
    let limiting = all.iter().filter(|(_, key)| key.starts_with("rate!"));
    let calls = limiting.count();
    println!("1000 publishes: {calls} store calls for two limits");
    assert!(calls <= 600, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn rate_limits_do_not_exhaust_the_swaps_of_an_instance() {
    // So low that every request needs a lease for each.
    let fixture = Fixture::with(&[("publish_rate", "15"), ("channel_rate", "15")]);
    for number in 0..300 {
        fixture.publish(&number.to_string()).await.event_id();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(fixture.host.started_instances() <= 4);
    assert_eq!(fixture.log().await.len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_disconnected_and_a_slow_one_is_not() {
    let fixture = Fixture::with(&[("write_timeout_seconds", "10")]);
    fixture.publish_numbered(1..=600, 2_000).await;
    sleep(IDLE).await;
    let start = counts(&fixture.host);
    let mut stalled = fixture.subscribe("?last_event_id=earliest").await;
    stalled.read_opening().await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(fixture.host.live_instances(), 1);
    sleep(Duration::from_secs(1) + 2 * IDLE).await;
    assert_eq!(fixture.host.live_instances(), 0);
    drop(stalled);
    sleep(IDLE).await;
    assert_eq!(counts(&fixture.host), start);

    let mut slow = fixture.subscribe("?last_event_id=earliest").await;
    slow.read_opening().await;
    let mut events = 0;
    while events < 600 {
        sleep(Duration::from_secs(9)).await;
        let chunk = slow.chunk().await.unwrap();
        events += chunk.iter().filter(|frame| frame.data.is_some()).count();
    }
    // It is live now, and may be idle for longer than a write may take.
    slow.read_for(Duration::from_secs(60)).await;
    fixture.publish("news").await.event_id();
    assert_eq!(slow.event().await.unwrap().data, "news");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_request_body_gets_a_408_and_leaves_no_resources_behind() {
    let fixture = Fixture::with(&[("body_timeout_seconds", "5")]);
    let start = counts(&fixture.host);
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let request = Request::post("/publish/c")
        .header("authorization", "Bearer harness-token")
        .header("content-type", "text/plain")
        .body(body)
        .unwrap();
    let start_of_body = Instant::now();
    let responding = async { Response::collect(fixture.host.request(request).await).await };
    let trickling = async {
        while start_of_body.elapsed() < Duration::from_secs(60) {
            if sender.send_data(Bytes::from_static(b"x")).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
    };
    let (response, ()) = tokio::join!(responding, trickling);
    assert_eq!(response.status, 408);
    assert_eq!(response.problem_type(), "urn:runnel:problem:body-timeout");
    assert!(start_of_body.elapsed() < Duration::from_secs(8));
    drop(sender);
    sleep(IDLE).await;
    assert_eq!(counts(&fixture.host), start);
    assert!(fixture.store.keys("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_short_streams_leave_no_resources_behind() {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=5, 4_000).await;
    sleep(IDLE).await;
    let (start, keys) = (counts(&fixture.host), fixture.store.memory.snapshot());
    let (mut held, mut most) = (std::collections::VecDeque::new(), 0);
    for number in 0..10_000 {
        let query = ["", "?last=2", "?last_event_id=earliest"][number % 3];
        let mut subscriber = fixture.subscribe(query).await;
        if number % 2 == 0 {
            subscriber.read_opening().await;
        }
        held.push_back(subscriber);
        if held.len() > 50 {
            held.pop_front();
        }
        if number % 50 == 0 {
            // Heartbeats notice the disconnects.
            sleep(Duration::from_secs(8)).await;
            most = most.max(fixture.host.live_instances());
        }
    }
    drop(held);
    sleep(Duration::from_secs(15) + IDLE).await;
    println!("10000 streams: at most {most} instances at a time, none at the end");
    assert!(most <= 8, "{most}");
    assert_eq!(counts(&fixture.host), start);
    assert_eq!(fixture.store.memory.snapshot(), keys);
    let last = fixture.subscribe("?live=false&last=1").await;
    assert_eq!(last.rest().await.len(), 1);
}
