//! The process dies between any two store calls of a commit, and another one takes over.

use std::sync::Arc;
use std::time::Duration;

use runnel_host::store::{Fault, FaultPattern, Memory};
use runnel_testing::{CHANNEL, Fixture, TestStore, publish};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::outcome::Outcome;
use crate::scenario::{ALL, Scenario};

/// Longer than any test waits.
const FOREVER: Duration = Duration::from_secs(1_000_000);

/// Returns a runtime that simulates a process. Dropping it ends all tasks at once.
fn process() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Sends the request of a scenario in a process that dies before the `nth` store call. Returns the
/// content of the store, or `None` if the request makes fewer calls.
fn crashed(scenario: Scenario, nth: u64) -> Option<Arc<Memory>> {
    let process = process();
    let (memory, is_finished) = process.block_on(async {
        let fixture = scenario.prepare().await;
        let pattern = FaultPattern::Always(Fault::Delay(FOREVER));
        fixture.store.inject(pattern.from_call(nth));
        let response = timeout(Duration::from_secs(60), scenario.send(&fixture)).await;
        (fixture.store.memory.clone(), response.is_ok())
    });
    (!is_finished).then_some(memory)
}

#[test]
fn a_commit_that_crashed_at_any_store_call_is_complete_or_absent_and_the_next_one_succeeds() {
    for scenario in ALL {
        let mut crashes = 0;
        while let Some(memory) = crashed(scenario, crashes + 1) {
            crashes += 1;
            println!("{scenario:?}, crashed before call {crashes}");
            process().block_on(async {
                let fixture = Fixture::over(TestStore::with(memory), scenario.variables());
                scenario.check(&fixture, Outcome::Unknown).await;
            });
        }
        assert!(crashes > 0);
    }
}

#[test]
fn a_waiting_publisher_takes_over_the_creation_lease_of_one_that_crashed() {
    for after in [0, 1_100, 2_950].map(Duration::from_millis) {
        let mut crashes = 0;
        while let Some(memory) = crashed(Scenario::FirstPublish(after), crashes + 1) {
            crashes += 1;
            println!("crashed before call {crashes}");
            process().block_on(async {
                let fixture = Fixture::over(TestStore::with(memory), &[]);
                let publishers: Vec<_> = (0..5)
                    .map(|number| {
                        let host = fixture.host.clone();
                        let data = format!("waits {number}");
                        tokio::spawn(async move { publish(&host, CHANNEL, &data).await.event_id() })
                    })
                    .collect();
                for publisher in publishers {
                    publisher.await.unwrap();
                }
                let mut log = fixture.log_data().await;
                log.sort();
                assert!(
                    log.len() == 5 || (log.len() == 6 && log[0] == "new"),
                    "{log:?}"
                );
            });
        }
        assert!(crashes >= 5);
    }
}
