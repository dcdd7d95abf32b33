//! A store that fails at any call of a commit: what the publisher is told is true.

use std::time::Duration;

use runnel_host::store::{Fault, Operation};
use tokio::time::{sleep, timeout};

use crate::answer::Said;
use crate::misfortune::{Misfortune, OF_A_COMMIT};
use crate::scenario::{ALL, Scenario};

/// The calls that a scenario makes when nothing goes wrong.
async fn calls(scenario: Scenario) -> Vec<Operation> {
    let site = scenario.prepare().await;
    let said = scenario.act(&site).await.said();
    assert!(matches!(said, Said::Done(_)), "{said:?}");
    let calls = site.take_asked().into_iter();
    let calls = calls.map(|(operation, _)| operation).collect();
    scenario.check(&site, said).await;
    calls
}

async fn comes_through(scenario: Scenario) -> Vec<Said> {
    let calls = calls(scenario).await.len() as u64;
    assert!(calls > 0);
    let mut all = vec![];
    for misfortune in OF_A_COMMIT {
        for nth in 1..=calls {
            // Shown only if the test fails.
            println!("{scenario:?}, {misfortune:?} from call {nth} on");
            let site = scenario.prepare().await;
            misfortune.begin(&site, nth);
            let answer = timeout(Duration::from_secs(60), scenario.act(&site)).await;
            let said = answer.expect("a publisher is not kept waiting").said();
            println!("    {said:?} after {:?}", site.take_asked());
            sleep(Duration::from_secs(30)).await;
            site.heal();
            scenario.check(&site, said.clone()).await;
            all.push(said);
        }
    }
    all
}

macro_rules! what_is_said_is_true {
    ($($test:ident: $scenario:expr,)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            comes_through($scenario).await;
        }
    )*};
}

what_is_said_is_true! {
    a_first_publish_says_what_is_true_whatever_the_store_does: Scenario::Creates(0),
    a_first_publish_within_a_turn_says_what_is_true_whatever_the_store_does: Scenario::Creates(1_100),
    a_first_publish_at_the_end_of_a_turn_says_what_is_true_whatever_the_store_does: Scenario::Creates(2_950),
    a_publish_that_seals_says_what_is_true_whatever_the_store_does: Scenario::Seals,
    a_publish_that_discards_says_what_is_true_whatever_the_store_does: Scenario::Discards,
    a_batch_is_whole_or_absent_whatever_the_store_does: Scenario::AppendsABatch,
    a_last_event_and_the_close_are_one_whatever_the_store_does: Scenario::AppendsTheLast,
    an_idempotency_key_appends_once_whatever_the_store_does: Scenario::AppendsWithAKey,
    a_repeat_appends_nothing_whatever_the_store_does: Scenario::Repeats,
    a_close_says_what_is_true_whatever_the_store_does: Scenario::Closes,
    a_purge_says_what_is_true_whatever_the_store_does: Scenario::Purges,
}

#[tokio::test(start_paused = true)]
async fn a_publish_says_what_is_true_whatever_the_store_does() {
    let said = comes_through(Scenario::Appends).await;
    // The misfortunes are grave enough to bring out every answer there is.
    assert!(
        said.contains(&Said::NotDone) && said.contains(&Said::Unknown),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_scenario_makes_the_calls_it_is_there_for() {
    use Operation::{Current, DeleteMany, Increment, SetMany, Swap};
    for (scenario, expected) in [
        (
            Scenario::Creates(0),
            &[Current, Increment, Increment, Current, Swap, Current][..],
        ),
        (Scenario::Appends, &[Current, Swap]),
        (Scenario::Seals, &[Current, SetMany, Swap]),
        (Scenario::AppendsABatch, &[Current, Swap]),
        (Scenario::Repeats, &[Current]),
        (Scenario::Closes, &[Current, Swap]),
        (Scenario::Purges, &[Current, Swap, DeleteMany]),
    ] {
        assert_eq!(calls(scenario).await, expected, "{scenario:?}");
    }
    let discards = calls(Scenario::Discards).await;
    assert!(discards.contains(&DeleteMany), "{discards:?}");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_hangs_up_in_mid_commit_leaves_the_log_whole() {
    for scenario in ALL {
        for nth in 1..=calls(scenario).await.len() as u64 {
            println!("{scenario:?}, hung up during call {nth}");
            let site = scenario.prepare().await;
            Misfortune::Once(Fault::Hang(Duration::from_secs(3))).begin(&site, nth);
            let answer = timeout(Duration::from_secs(1), scenario.act(&site)).await;
            assert!(answer.is_err(), "{answer:?}");
            sleep(Duration::from_secs(30)).await;
            scenario.check(&site, Said::Unknown).await;
        }
    }
}
