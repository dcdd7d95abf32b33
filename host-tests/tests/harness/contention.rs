//! Many publishers at once, on stores that answer at once and on stores that take their time.

use std::collections::BTreeMap;
use std::time::Duration;

use runnel_host::store::{Fault, Operation};
use tokio::time::sleep;

use crate::site::{CHANNEL, Site, data_in_order, publish};
use crate::subscriber::Subscriber;

/// Each call takes between nothing and some milliseconds.
fn take_time(site: &Site, seed: u64) {
    let mut random = seed;
    site.befall(move |_| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Fault::Hang(Duration::from_millis((random >> 33) % 4))
    });
}

/// Lets publishers publish events of their own, one after the other; all are acknowledged. Returns
/// the data by id.
async fn publish_all(site: &Site, publishers: u64, each: u64) -> BTreeMap<String, String> {
    let publishers: Vec<_> = (0..publishers)
        .map(|name| {
            let host = site.host.clone();
            tokio::spawn(async move {
                let mut acknowledged = vec![];
                for number in 0..each {
                    let data = format!("{name} {number}");
                    acknowledged.push((publish(&host, CHANNEL, &data).await.id(), data));
                }
                acknowledged
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for publisher in publishers {
        for (id, data) in publisher.await.unwrap() {
            assert_eq!(all.insert(id, data), None, "an id was given twice");
        }
    }
    all
}

async fn assert_holds_exactly(site: &Site, acknowledged: &BTreeMap<String, String>) {
    let log = site.log().await;
    let by_id: BTreeMap<_, _> = log
        .iter()
        .map(|event| (event.id.clone(), event.data.clone()))
        .collect();
    assert_eq!(by_id, *acknowledged);
    assert_eq!(data_in_order(log).len(), acknowledged.len());
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_publishes_are_all_kept_once() {
    for seed in 0..12 {
        let site = Site::new();
        if seed > 0 {
            take_time(&site, seed);
        }
        let acknowledged = publish_all(&site, 8, 1).await;
        assert_eq!(acknowledged.len(), 8);
        assert_holds_exactly(&site, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_publishes_on_disk_are_all_kept_once() {
    use runnel_host::store::Sqlite;
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = std::sync::Arc::new(Sqlite::open(folder.path(), "default").unwrap());
        let host = crate::site::host(sqlite, &[]);
        let publishers: Vec<_> = (0..8)
            .map(|name: u64| {
                let host = host.clone();
                tokio::spawn(async move { publish(&host, CHANNEL, &name.to_string()).await.id() })
            })
            .collect();
        let mut ids = vec![];
        for publisher in publishers {
            ids.push(publisher.await.unwrap());
        }
        ids.sort();
        let log = crate::site::log(&host, CHANNEL).await;
        assert_eq!(
            log.iter().map(|event| event.id.clone()).collect::<Vec<_>>(),
            ids
        );
        let mut data = data_in_order(log);
        data.sort();
        assert_eq!(data, ["0", "1", "2", "3", "4", "5", "6", "7"]);
        crate::site::assert_sound(&host);
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_publishers_are_all_acknowledged_and_each_event_is_there_once() {
    for seed in 0..4 {
        let site = Site::new();
        site.publish("0").await.id();
        sleep(Duration::from_millis(5)).await;
        if seed > 0 {
            take_time(&site, seed);
        }
        let mut subscriber = Subscriber::open_live(&site.host, CHANNEL).await;
        let mut acknowledged = publish_all(&site, 16, 12).await;
        assert_eq!(acknowledged.len(), 192);
        let live = subscriber.events(192).await;
        assert_eq!(
            live.iter().map(|e| e.seq()).collect::<Vec<_>>(),
            (2..=193).collect::<Vec<_>>()
        );
        site.heal();
        acknowledged.insert(site.log().await[0].id.clone(), "0".to_owned());
        assert_holds_exactly(&site, &acknowledged).await;
        // Each publisher's own events are in the order in which it published them.
        for name in 0..16 {
            let prefix = format!("{name} ");
            let numbers = live.iter().filter_map(|e| e.data.strip_prefix(&prefix));
            let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
            assert_eq!(numbers, (0..12).collect::<Vec<_>>());
        }
    }
}

/// An instance may swap 256 times in its life and takes 128 requests. On a store that takes long for a
/// swap, most of them are lost to other instances.
#[tokio::test(start_paused = true)]
async fn instances_do_not_run_out_of_swaps_over_a_slow_store() {
    let site = Site::new();
    site.befall(|call| match call.operation {
        Operation::Current | Operation::Swap => Fault::Hang(Duration::from_millis(5)),
        _ => Fault::None,
    });
    let acknowledged = publish_all(&site, 16, 150).await;
    assert_eq!(acknowledged.len(), 2_400);
    site.heal();
    assert_holds_exactly(&site, &acknowledged).await;
}
