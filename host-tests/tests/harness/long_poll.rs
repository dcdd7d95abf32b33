//! Clients that poll, over a store that fails.

use std::time::Duration;

use runnel_host::store::{Call, Fault, FaultPattern, FaultPlan, Operation};
use runnel_testing::{Fixture, Response, authorized_with, numbered_text, publish, send};
use tokio::time::{Instant, sleep};

const EVENTS: u64 = 60;
const BYTES: usize = 2_500;

async fn poll(fixture: &Fixture, query: &str) -> Response {
    let headers = [("accept", "application/json")];
    let path = format!("/events/c?{query}");
    send(&fixture.host, authorized_with("GET", &path, &headers, "")).await
}

/// Returns a host whose channel has some segments.
async fn prepare() -> Fixture {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=EVENTS, BYTES).await;
    sleep(Duration::from_secs(2)).await;
    fixture.store.take_calls();
    fixture
}

/// Returns the data of all pages, up to the one without more.
async fn read_all(fixture: &Fixture, limit: u64) -> Vec<String> {
    let (mut data, mut cursor) = (vec![], "earliest".to_owned());
    loop {
        let response = poll(fixture, &format!("limit={limit}&last_event_id={cursor}")).await;
        assert_eq!(response.status, 200, "{response:?}");
        let page = response.json();
        assert_eq!(page.get("gaps"), None);
        for event in page["events"].as_array().unwrap() {
            data.push(event["data"].as_str().unwrap().to_owned());
        }
        cursor = page["cursor"].as_str().unwrap().to_owned();
        if page["more"] == false {
            return data;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_without_more_is_the_last_whichever_store_read_fails() {
    let fixture = prepare().await;
    let expected: Vec<_> = (1..=EVENTS)
        .map(|number| numbered_text(number, BYTES))
        .collect();
    for limit in [7, 1_000] {
        fixture.store.take_calls();
        assert_eq!(read_all(&fixture, limit).await, expected);
        let reads = fixture.store.take_calls().len() as u64;
        for fault in [
            Fault::ErrorBefore,
            Fault::Delay(Duration::from_millis(2_300)),
        ] {
            for nth in 1..=reads {
                println!("{fault:?} of read {nth}, {limit} events a page");
                sleep(Duration::from_secs(20)).await;
                fixture
                    .store
                    .inject(FaultPattern::Once(fault).from_call(nth));
                assert_eq!(read_all(&fixture, limit).await, expected);
                fixture.store.heal();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_poll_is_answered_in_time_while_the_store_fails() {
    for fault in [Fault::ErrorBefore, Fault::Delay(Duration::from_secs(100))] {
        let fixture = prepare().await;
        let page = poll(&fixture, "last=1").await.json();
        let cursor = page["cursor"].as_str().unwrap();
        // The first read succeeds, and all that follow fail.
        let mut reads = 0;
        let fails = move |call: &Call<'_>| {
            reads += u64::from(call.operation == Operation::Get);
            reads > 1
        };
        fixture.store.inject(FaultPlan::when(fails, fault));
        let start = Instant::now();
        let response = poll(&fixture, &format!("wait=20&last_event_id={cursor}")).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.json()["cursor"], cursor);
        // A failing store ends the wait early, but not so early that clients would retry in a hurry.
        let time = start.elapsed().as_secs();
        assert!((5..26).contains(&time), "{time} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_store_is_a_temporary_failure() {
    for fault in [Fault::ErrorBefore, Fault::Delay(Duration::from_secs(100))] {
        for query in [
            "",
            "wait=25",
            "last=1",
            "last_event_id=earliest",
            "last_event_id=000000-1",
        ] {
            let fixture = prepare().await;
            fixture.store.inject(FaultPlan::always(fault));
            let start = Instant::now();
            let response = poll(&fixture, query).await;
            assert_eq!(
                response.problem_type(),
                "urn:runnel:problem:store",
                "{query}"
            );
            assert_eq!(response.status, 503);
            assert!(response.retry_after() > 0);
            assert!(
                start.elapsed() <= Duration::from_secs(6),
                "{:?}",
                start.elapsed()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_poll_is_answered_as_soon_as_the_store_recovers() {
    let fixture = prepare().await;
    fixture.store.inject(FaultPlan::always(Fault::ErrorBefore));
    let host = fixture.host.clone();
    let headers = [("accept", "application/json")];
    let request = authorized_with("GET", "/events/c?wait=25&last=1", &headers, "");
    let waiting = tokio::spawn(async move { send(&host, request).await });
    sleep(Duration::from_secs(2)).await;
    fixture.store.heal();
    let start = Instant::now();
    let page = waiting.await.unwrap().json();
    assert_eq!(page["events"][0]["data"], numbered_text(EVENTS, BYTES));
    assert!(
        start.elapsed() <= Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_cut_short_by_a_store_failure_is_not_cacheable() {
    let fixture = prepare().await;
    let first = fixture.log().await.remove(0).id;
    // Until then, its instance caches the segments.
    sleep(Duration::from_secs(5)).await;
    fixture.store.inject(FaultPlan::when(
        |call| call.operation == Operation::Get && call.key.starts_with("seg!"),
        Fault::ErrorBefore,
    ));
    let response = poll(&fixture, &format!("last_event_id={first}")).await;
    if response.status == 200 {
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        assert_eq!(response.json()["more"], true);
    } else {
        assert_eq!(response.problem_type(), "urn:runnel:problem:store");
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_one_channel_are_not_delayed_for_long_by_another_that_cannot_be_read() {
    let fixture = prepare().await;
    publish(&fixture.host, "d", "first").await.event_id();
    let poll_both = async |query: &str| {
        let headers = [("accept", "application/json")];
        let path = format!("/events?channel=c&channel=d&{query}");
        send(&fixture.host, authorized_with("GET", &path, &headers, ""))
            .await
            .json()
    };
    let page = poll_both("last=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    let mut reads = 0;
    let fails = move |call: &Call<'_>| {
        let is_read = call.operation == Operation::Get && call.key == "head!c";
        reads += u64::from(is_read);
        is_read && reads > 1
    };
    fixture
        .store
        .inject(FaultPlan::when(fails, Fault::ErrorBefore));
    let start = Instant::now();
    let query = format!("wait=25&last_event_id={cursor}");
    let polling = poll_both(&query);
    let publishing = async {
        sleep(Duration::from_secs(2)).await;
        publish(&fixture.host, "d", "news").await.event_id();
    };
    let (page, ()) = tokio::join!(polling, publishing);
    assert_eq!(page["events"][0]["data"], "news");
    assert!(
        start.elapsed() <= Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}
