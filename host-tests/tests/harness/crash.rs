//! The process dies between any two store calls of a commit; another one takes over.

use std::sync::Arc;
use std::time::Duration;

use runnel_host::store::{Fault, Memory};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::answer::Said;
use crate::scenario::{ALL, Scenario};
use crate::site::{CHANNEL, Site, publish};
use crate::store::Store;

/// One process: when it is dropped, all that runs in it ends where it stands.
fn process() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Does it in a process that dies before the `nth` store call; `None` if there are fewer.
fn crashed(scenario: Scenario, nth: u64) -> Option<Arc<Memory>> {
    let process = process();
    let (memory, finished) = process.block_on(async {
        let site = scenario.prepare().await;
        let mut calls = 0;
        site.befall(move |_| {
            calls += 1;
            if calls < nth {
                Fault::None
            } else {
                Fault::Hang(Duration::from_secs(1_000_000))
            }
        });
        let finished = timeout(Duration::from_secs(60), scenario.act(&site)).await;
        (site.memory.clone(), finished.is_ok())
    });
    (!finished).then_some(memory)
}

#[test]
fn a_commit_that_died_at_any_call_took_place_or_did_not_and_the_next_one_goes_through() {
    for scenario in ALL {
        let mut died = 0;
        while let Some(memory) = crashed(scenario, died + 1) {
            died += 1;
            println!("{scenario:?}, died before call {died}");
            process().block_on(async {
                let variables = match scenario {
                    Scenario::Discards => &[("retention_events", "3")][..],
                    _ => &[],
                };
                let site = Site::over(Store::over(memory), variables);
                scenario.check(&site, Said::Unknown).await;
            });
        }
        assert!(died > 0);
    }
}

#[test]
fn a_creator_that_died_is_succeeded_by_one_of_those_who_wait() {
    for after in [0, 1_100, 2_950] {
        let mut died = 0;
        while let Some(memory) = crashed(Scenario::Creates(after), died + 1) {
            died += 1;
            println!("died before call {died}");
            process().block_on(async {
                let site = Site::over(Store::over(memory), &[]);
                let publishers: Vec<_> = (0..5)
                    .map(|number| {
                        let host = site.host.clone();
                        let data = format!("waits {number}");
                        tokio::spawn(async move { publish(&host, CHANNEL, &data).await.id() })
                    })
                    .collect();
                for publisher in publishers {
                    publisher.await.unwrap();
                }
                let mut log = site.log_data().await;
                log.sort();
                assert!(
                    log.len() == 5 || (log.len() == 6 && log[0] == "new"),
                    "{log:?}"
                );
            });
        }
        assert!(died >= 5);
    }
}
