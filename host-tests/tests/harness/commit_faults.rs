//! A store that fails at any call of a commit: the response to the publisher is true.

use std::time::Duration;

use runnel_host::store::{Fault, FaultPattern, Operation};
use tokio::time::{sleep, timeout};

use crate::outcome::Outcome;
use crate::scenario::{ALL, Scenario};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than a publisher is kept waiting.
const LONG: Duration = Duration::from_secs(20);

/// The faults that a commit must survive.
const COMMIT_FAULTS: [FaultPattern; 12] = [
    FaultPattern::Once(Fault::ErrorBefore),
    FaultPattern::Once(Fault::ErrorAfter),
    FaultPattern::Once(Fault::LostAfter),
    FaultPattern::Once(Fault::StaleRead),
    FaultPattern::Once(Fault::Delay(Duration::from_secs(3))),
    FaultPattern::Once(Fault::Delay(Duration::from_secs(8))),
    FaultPattern::During(SECOND, Fault::ErrorBefore),
    FaultPattern::During(SECOND, Fault::ErrorAfter),
    FaultPattern::During(LONG, Fault::ErrorBefore),
    FaultPattern::During(LONG, Fault::ErrorAfter),
    FaultPattern::OnceThenDuring(Fault::ErrorAfter, SECOND, Fault::ErrorBefore),
    FaultPattern::Always(Fault::LostAfter),
];

/// Returns the calls that a scenario makes without faults.
async fn calls(scenario: Scenario) -> Vec<Operation> {
    let fixture = scenario.prepare().await;
    let outcome = Outcome::of(&scenario.send(&fixture).await);
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    let calls = fixture.store.take_calls().into_iter();
    let calls = calls.map(|(operation, _)| operation).collect();
    scenario.check(&fixture, outcome).await;
    calls
}

/// Runs a scenario once for each fault pattern and call. Returns the outcomes.
async fn run_with_every_fault(scenario: Scenario) -> Vec<Outcome> {
    let calls = calls(scenario).await.len() as u64;
    assert!(calls > 0);
    let mut outcomes = vec![];
    for pattern in COMMIT_FAULTS {
        for nth in 1..=calls {
            println!("{scenario:?}, {pattern:?} from call {nth} on");
            let fixture = scenario.prepare().await;
            fixture.store.inject(pattern.from_call(nth));
            let response = timeout(Duration::from_secs(60), scenario.send(&fixture)).await;
            let outcome = Outcome::of(&response.expect("a publisher is not kept waiting"));
            println!("    {outcome:?} after {:?}", fixture.store.take_calls());
            sleep(Duration::from_secs(30)).await;
            fixture.store.heal();
            scenario.check(&fixture, outcome.clone()).await;
            outcomes.push(outcome);
        }
    }
    outcomes
}

macro_rules! responses_are_true {
    ($($test:ident: $scenario:expr,)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            run_with_every_fault($scenario).await;
        }
    )*};
}

responses_are_true! {
    a_first_publish_is_answered_truthfully_under_every_store_fault: Scenario::FirstPublish(Duration::ZERO),
    a_first_publish_during_a_creation_lease_is_answered_truthfully_under_every_store_fault: Scenario::FirstPublish(Duration::from_millis(1_100)),
    a_first_publish_at_the_end_of_a_creation_lease_is_answered_truthfully_under_every_store_fault: Scenario::FirstPublish(Duration::from_millis(2_950)),
    a_publish_that_seals_is_answered_truthfully_under_every_store_fault: Scenario::PublishThatSeals,
    a_publish_that_deletes_is_answered_truthfully_under_every_store_fault: Scenario::PublishThatDeletes,
    a_batch_is_complete_or_absent_under_every_store_fault: Scenario::PublishBatch,
    a_last_event_and_the_close_are_atomic_under_every_store_fault: Scenario::PublishLast,
    an_idempotency_key_appends_once_under_every_store_fault: Scenario::PublishWithKey,
    a_retry_with_the_same_key_appends_nothing_under_every_store_fault: Scenario::Retry,
    a_close_is_answered_truthfully_under_every_store_fault: Scenario::Close,
    a_purge_is_answered_truthfully_under_every_store_fault: Scenario::Purge,
}

#[tokio::test(start_paused = true)]
async fn a_publish_is_answered_truthfully_under_every_store_fault() {
    let outcomes = run_with_every_fault(Scenario::Publish).await;
    // The faults are severe enough to cause every outcome.
    assert!(
        outcomes.contains(&Outcome::NotCommitted) && outcomes.contains(&Outcome::Unknown),
        "{outcomes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_scenario_makes_the_store_calls_that_it_tests() {
    use Operation::{Current, DeleteMany, Increment, SetMany, Swap};
    for (scenario, expected) in [
        (
            Scenario::FirstPublish(Duration::ZERO),
            &[Current, Increment, Increment, Current, Swap, Current][..],
        ),
        (Scenario::Publish, &[Current, Swap]),
        (Scenario::PublishThatSeals, &[Current, SetMany, Swap]),
        (Scenario::PublishBatch, &[Current, Swap]),
        (Scenario::Retry, &[Current]),
        (Scenario::Close, &[Current, Swap]),
        (Scenario::Purge, &[Current, Swap, DeleteMany]),
    ] {
        assert_eq!(calls(scenario).await, expected, "{scenario:?}");
    }
    let calls = calls(Scenario::PublishThatDeletes).await;
    assert!(calls.contains(&DeleteMany), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_disconnects_during_a_commit_leaves_the_log_consistent() {
    for scenario in ALL {
        for nth in 1..=calls(scenario).await.len() as u64 {
            println!("{scenario:?}, disconnected during call {nth}");
            let fixture = scenario.prepare().await;
            let pattern = FaultPattern::Once(Fault::Delay(Duration::from_secs(3)));
            fixture.store.inject(pattern.from_call(nth));
            let response = timeout(Duration::from_secs(1), scenario.send(&fixture)).await;
            assert!(response.is_err(), "{response:?}");
            sleep(Duration::from_secs(30)).await;
            scenario.check(&fixture, Outcome::Unknown).await;
        }
    }
}
