//! Clients that ask again and again, over a store that fails.

use std::time::Duration;

use runnel_host::store::{Fault, Operation};
use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::misfortune::Misfortune;
use crate::site::{Site, authorized_with, send, text};

const EVENTS: u64 = 60;
const BYTES: usize = 2_500;

async fn ask(site: &Site, query: &str) -> Answer {
    let headers = [("accept", "application/json")];
    let path = format!("/events/c?{query}");
    send(&site.host, authorized_with("GET", &path, &headers, "")).await
}

/// A host whose channel has some segments.
async fn prepare() -> Site {
    let site = Site::new();
    site.publish_run(1, EVENTS, BYTES).await;
    sleep(Duration::from_secs(2)).await;
    site.take_asked();
    site
}

/// The data of all pages, until one says that there is no more.
async fn read_all(site: &Site, limit: u64) -> Vec<String> {
    let (mut data, mut cursor) = (vec![], "earliest".to_owned());
    loop {
        let answer = ask(site, &format!("limit={limit}&last_event_id={cursor}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
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
async fn a_page_without_more_is_the_last_whichever_read_fails() {
    let site = prepare().await;
    let expected: Vec<_> = (1..=EVENTS).map(|number| text(number, BYTES)).collect();
    for limit in [7, 1_000] {
        site.take_asked();
        assert_eq!(read_all(&site, limit).await, expected);
        let reads = site.take_asked().len() as u64;
        for fault in [
            Fault::ErrorBefore,
            Fault::Hang(Duration::from_millis(2_300)),
        ] {
            for nth in 1..=reads {
                println!("{fault:?} of read {nth}, {limit} events a page");
                sleep(Duration::from_secs(20)).await;
                Misfortune::Once(fault).begin(&site, nth);
                assert_eq!(read_all(&site, limit).await, expected);
                site.heal();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_while_the_store_fails_is_answered_in_time() {
    for fault in [Fault::ErrorBefore, Fault::Hang(Duration::from_secs(100))] {
        let site = prepare().await;
        let page = ask(&site, "last=1").await.json();
        let cursor = page["cursor"].as_str().unwrap();
        // The first read works, and all that follow fail.
        let mut reads = 0;
        site.befall(move |call| {
            reads += u64::from(call.operation == Operation::Get);
            if reads > 1 { fault } else { Fault::None }
        });
        let start = Instant::now();
        let answer = ask(&site, &format!("wait=20&last_event_id={cursor}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["cursor"], cursor);
        // A store that fails is given up before the wait is over, but not so soon that clients
        // would come back in a hurry.
        let time = start.elapsed().as_secs();
        assert!((5..26).contains(&time), "{time} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_a_temporary_failure() {
    for fault in [Fault::ErrorBefore, Fault::Hang(Duration::from_secs(100))] {
        for query in [
            "",
            "wait=25",
            "last=1",
            "last_event_id=earliest",
            "last_event_id=000000-1",
        ] {
            let site = prepare().await;
            site.befall(move |_| fault);
            let start = Instant::now();
            let answer = ask(&site, query).await;
            assert_eq!(answer.problem(), "urn:runnel:problem:store", "{query}");
            assert_eq!(answer.status, 503);
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            assert!(
                start.elapsed() <= Duration::from_secs(6),
                "{:?}",
                start.elapsed()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_as_soon_as_the_store_works_again() {
    let site = prepare().await;
    site.befall(|_| Fault::ErrorBefore);
    let host = site.host.clone();
    let headers = [("accept", "application/json")];
    let request = authorized_with("GET", "/events/c?wait=25&last=1", &headers, "");
    let waiting = tokio::spawn(async move { send(&host, request).await });
    sleep(Duration::from_secs(2)).await;
    site.heal();
    let start = Instant::now();
    let page = waiting.await.unwrap().json();
    assert_eq!(page["events"][0]["data"], text(EVENTS, BYTES));
    assert!(
        start.elapsed() <= Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_store_cut_short_is_kept_by_no_cache() {
    let site = prepare().await;
    let first = site.log().await.remove(0).id;
    // Until then its instance knows the segments.
    sleep(Duration::from_secs(5)).await;
    site.befall(|call| match call.operation {
        Operation::Get if call.key.starts_with("seg!") => Fault::ErrorBefore,
        _ => Fault::None,
    });
    let answer = ask(&site, &format!("last_event_id={first}")).await;
    if answer.status == 200 {
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        assert_eq!(answer.json()["more"], true);
    } else {
        assert_eq!(answer.problem(), "urn:runnel:problem:store");
    }
}

#[tokio::test(start_paused = true)]
async fn news_of_one_channel_does_not_wait_long_for_another_that_cannot_be_read() {
    let site = prepare().await;
    crate::site::publish(&site.host, "d", "first").await.id();
    let several = async |query: &str| {
        let headers = [("accept", "application/json")];
        let path = format!("/events?channel=c&channel=d&{query}");
        send(&site.host, authorized_with("GET", &path, &headers, ""))
            .await
            .json()
    };
    let page = several("last=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    let mut reads = 0;
    site.befall(move |call| {
        reads += u64::from(call.operation == Operation::Get && call.key == "head!c");
        match call.operation {
            Operation::Get if call.key == "head!c" && reads > 1 => Fault::ErrorBefore,
            _ => Fault::None,
        }
    });
    let start = Instant::now();
    let query = format!("wait=25&last_event_id={cursor}");
    let asking = several(&query);
    let publishing = async {
        sleep(Duration::from_secs(2)).await;
        crate::site::publish(&site.host, "d", "news").await.id();
    };
    let (page, ()) = tokio::join!(asking, publishing);
    assert_eq!(page["events"][0]["data"], "news");
    assert!(
        start.elapsed() <= Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}
