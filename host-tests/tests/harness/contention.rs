//! Concurrent publishers, on fast and on slow stores.

use std::collections::BTreeMap;
use std::time::Duration;

use runnel_host::store::{Fault, FaultPlan, Operation};
use runnel_testing::{
    CHANNEL, Fixture, Subscriber, assert_no_trap, data_in_order, host, log, publish,
};
use tokio::time::sleep;

/// Delays each store call by 0 to 3 ms.
fn delay_calls(fixture: &Fixture, seed: u64) {
    let mut random = seed;
    fixture.store.inject(FaultPlan::new(move |_| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Fault::Delay(Duration::from_millis((random >> 33) % 4))
    }));
}

/// Lets `publishers` publish `each` events one after the other, which must all be acknowledged. Returns
/// the data by id.
async fn publish_all(fixture: &Fixture, publishers: u64, each: u64) -> BTreeMap<String, String> {
    let publishers: Vec<_> = (0..publishers)
        .map(|name| {
            let host = fixture.host.clone();
            tokio::spawn(async move {
                let mut acknowledged = vec![];
                for number in 0..each {
                    let data = format!("{name} {number}");
                    acknowledged.push((publish(&host, CHANNEL, &data).await.event_id(), data));
                }
                acknowledged
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for publisher in publishers {
        for (id, data) in publisher.await.unwrap() {
            assert_eq!(all.insert(id, data), None, "an id was assigned twice");
        }
    }
    all
}

async fn assert_log_is(fixture: &Fixture, acknowledged: &BTreeMap<String, String>) {
    let log = fixture.log().await;
    let by_id: BTreeMap<_, _> = log
        .iter()
        .map(|event| (event.id.clone(), event.data.clone()))
        .collect();
    assert_eq!(by_id, *acknowledged);
    assert_eq!(data_in_order(log).len(), acknowledged.len());
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_publishes_are_each_stored_once() {
    for seed in 0..12 {
        let fixture = Fixture::new();
        if seed > 0 {
            delay_calls(&fixture, seed);
        }
        let acknowledged = publish_all(&fixture, 8, 1).await;
        assert_eq!(acknowledged.len(), 8);
        assert_log_is(&fixture, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_publishes_on_disk_are_each_stored_once() {
    use runnel_host::store::Sqlite;
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = std::sync::Arc::new(Sqlite::open(folder.path(), "default").unwrap());
        let host = host(sqlite, &[]);
        let publishers: Vec<_> = (0..8)
            .map(|name: u64| {
                let host = host.clone();
                tokio::spawn(
                    async move { publish(&host, CHANNEL, &name.to_string()).await.event_id() },
                )
            })
            .collect();
        let mut ids = vec![];
        for publisher in publishers {
            ids.push(publisher.await.unwrap());
        }
        ids.sort();
        let log = log(&host, CHANNEL).await;
        assert_eq!(
            log.iter().map(|event| event.id.clone()).collect::<Vec<_>>(),
            ids
        );
        let mut data = data_in_order(log);
        data.sort();
        assert_eq!(data, ["0", "1", "2", "3", "4", "5", "6", "7"]);
        assert_no_trap(&host);
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_publishes_are_all_acknowledged_and_each_stored_once() {
    for seed in 0..4 {
        let fixture = Fixture::new();
        fixture.publish("0").await.event_id();
        sleep(Duration::from_millis(5)).await;
        if seed > 0 {
            delay_calls(&fixture, seed);
        }
        let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
        let mut acknowledged = publish_all(&fixture, 16, 12).await;
        assert_eq!(acknowledged.len(), 192);
        let live = subscriber.events(192).await;
        assert_eq!(
            live.iter().map(|e| e.seq()).collect::<Vec<_>>(),
            (2..=193).collect::<Vec<_>>()
        );
        fixture.store.heal();
        acknowledged.insert(fixture.log().await[0].id.clone(), "0".to_owned());
        assert_log_is(&fixture, &acknowledged).await;
        // The events of one publisher keep their order.
        for name in 0..16 {
            let prefix = format!("{name} ");
            let numbers = live.iter().filter_map(|e| e.data.strip_prefix(&prefix));
            let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
            assert_eq!(numbers, (0..12).collect::<Vec<_>>());
        }
    }
}

/// An instance can swap 256 times and serves 128 requests. On a store whose swaps are slow, most swaps
/// lose the race with other instances.
#[tokio::test(start_paused = true)]
async fn instances_do_not_run_out_of_swaps_on_a_slow_store() {
    let fixture = Fixture::new();
    fixture.store.inject(FaultPlan::when(
        |call| [Operation::Current, Operation::Swap].contains(&call.operation),
        Fault::Delay(Duration::from_millis(5)),
    ));
    let acknowledged = publish_all(&fixture, 16, 150).await;
    assert_eq!(acknowledged.len(), 2_400);
    fixture.store.heal();
    assert_log_is(&fixture, &acknowledged).await;
}
