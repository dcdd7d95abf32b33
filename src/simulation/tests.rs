//! The world keeps its promises.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use super::*;
use crate::core::environment::Environment;
use crate::core::store::{KeyValueStore, SwapError};

fn world(model: Model, conditions: Conditions) -> World {
    World::new(model, conditions, fastrand::Rng::with_seed(7))
}

/// Runs a task of a new instance to its end and returns its result.
fn finish<T: 'static>(
    world: &World,
    task: impl AsyncFnOnce(SimulatedEnvironment, SimulatedStore) -> T + 'static,
) -> T {
    let env = world.instance();
    let result = Rc::new(RefCell::new(None));
    let (store, output) = (env.store(), result.clone());
    env.clone()
        .spawn(async move { drop(output.replace(Some(task(env, store).await))) });
    world.run_until(|| result.borrow().is_some()).unwrap();
    result.take().unwrap()
}

#[test]
fn sleepers_wake_in_the_order_of_their_times() {
    let world = world(Model::Sound, Conditions::CALM);
    let woken = Rc::new(RefCell::new(vec![]));
    let begin = world.now();
    for millis in [30, 10, 20, 10, 0] {
        let (env, woken) = (world.instance(), woken.clone());
        env.clone().spawn(async move {
            env.sleep(Duration::from_millis(millis)).await;
            let slept = env.now().saturating_duration_since(begin).as_millis();
            woken.borrow_mut().push((slept, env.id()));
        });
    }
    world.run_until(|| false).unwrap();
    let expected = [(1, 4), (10, 1), (10, 3), (20, 2), (30, 0)];
    assert_eq!(
        *woken.borrow(),
        expected.map(|(at, id)| (at, InstanceId(id)))
    );
}

/// Has instances swap a value and sleep; returns all swaps that took effect.
fn schedule(model: Model, seed: u64) -> (Vec<AppliedSwap>, Stats) {
    let world = World::new(model, Conditions::ROUGH, fastrand::Rng::with_seed(seed));
    let swaps = Rc::new(RefCell::new(vec![]));
    let seen = swaps.clone();
    world.on_swap(move |swap| seen.borrow_mut().push(swap.clone()));
    for _ in 0..4 {
        let (env, store) = (world.instance(), world.instance().store());
        env.clone().spawn(async move {
            for round in 0..100_u8 {
                if let Ok((cas, _)) = store.read_for_swap("key").await {
                    _ = store.swap(cas, &[round]).await;
                }
                env.sleep(Duration::from_millis(env.random() % 50)).await;
            }
        });
    }
    world.run_for(Duration::from_secs(2)).unwrap();
    let swaps = swaps.take();
    (swaps, world.stats())
}

#[test]
fn a_seed_always_makes_the_same_schedule() {
    assert_eq!(schedule(Model::DynamoDb, 1), schedule(Model::DynamoDb, 1));
    assert_ne!(schedule(Model::DynamoDb, 1), schedule(Model::DynamoDb, 2));
}

#[test]
fn calls_fail_in_every_way_that_the_store_can() {
    for model in [Model::Sqlite, Model::Redis, Model::DynamoDb, Model::Sound] {
        let (_, stats) = schedule(model, 1);
        assert!(stats.calls > 100 && stats.faults > 0, "{model:?} {stats:?}");
        assert_eq!(stats.late > 0, model.is_remote(), "{model:?} {stats:?}");
    }
}

#[test]
fn an_outage_fails_every_call_until_it_is_over() {
    let outages = Some(Outages {
        begin: FIRST_MILLISECOND,
        length: 1_000,
        every: 3_000,
    });
    let conditions = Conditions {
        outages,
        ..Conditions::CALM
    };
    let world = world(Model::Sound, conditions);
    let answers = finish(&world, async |env, store| {
        let during = store.set("key", b"1").await;
        env.sleep(Duration::from_secs(1)).await;
        let after = store.set("key", b"2").await;
        env.sleep(Duration::from_secs(2)).await;
        [during, after, store.set("key", b"3").await].map(|answer| answer.is_ok())
    });
    assert_eq!(answers, [false, true, false]);
    assert_eq!(
        world.stored(|stored| stored.value("key").cloned()),
        Some("2".into())
    );
    world.set_conditions(Conditions::CALM);
    assert!(finish(&world, async |_, store| store.set("key", b"4").await).is_ok());
}

#[test]
fn swaps_go_as_each_store_has_them() {
    for (model, swapped, again, upserts) in [
        (Model::Sqlite, Ok(()), 2, true),
        (Model::Redis, Err(SwapError::Lost), 1, false),
        (Model::Sound, Ok(()), 1, false),
    ] {
        let world = world(model, Conditions::CALM);
        let applied = Rc::new(Cell::new(0));
        let count = applied.clone();
        world.on_swap(move |_| count.set(count.get() + 1));
        let (first, second) = finish(&world, async |_, store| {
            let (one, _) = store.read_for_swap("key").await.unwrap();
            let (other, _) = store.read_for_swap("key").await.unwrap();
            let first = store.swap(one, b"1").await;
            (first, store.swap(other, b"2").await)
        });
        assert_eq!((first, second.is_ok()), (swapped, upserts), "{model:?}");
        assert_eq!(applied.get(), again, "{model:?}");
    }
}

#[test]
fn the_store_knows_its_size() {
    let world = world(Model::Sqlite, Conditions::CALM);
    finish(&world, async |_, store| {
        let values = [("a", "123"), ("b", "4")];
        let values = values.map(|(key, value)| (key.to_owned(), value.into()));
        store.set_many(values.to_vec()).await.unwrap();
        let keys = ["b".to_owned(), "c".to_owned()];
        let found = store.get_many(&keys).await.unwrap();
        assert_eq!(found, [Some("4".into()), None]);
        store.delete_many(&keys).await.unwrap();
        assert_eq!(store.increment("n").await, Ok(1));
        assert_eq!(store.increment("n").await, Ok(2));
        assert_eq!(store.get("a").await, Ok(Some("123".into())));
    });
    let (size, keys) = world.stored(|stored| {
        let keys: Vec<_> = stored.keys().cloned().collect();
        assert_eq!(stored.counters(), 1);
        (stored.size(), keys)
    });
    assert_eq!(
        (size, keys),
        (Size { keys: 2, bytes: 11 }, vec!["a".to_owned()])
    );
}

#[test]
fn reads_of_dynamodb_may_be_stale_for_a_while() {
    let world = world(Model::DynamoDb, Conditions::CALM);
    let (soon, later) = finish(&world, async |env, store| {
        store.set("key", b"old").await.unwrap();
        env.sleep(Duration::from_secs(1)).await;
        store.set("key", b"new").await.unwrap();
        let mut stale = [0, 0];
        for count in &mut stale {
            for _ in 0..50 {
                let value = store.get("key").await.unwrap();
                *count += u32::from(value != Some("new".into()));
            }
            env.sleep(Duration::from_secs(1)).await;
        }
        stale.into()
    });
    assert!(soon > 0 && later == 0, "{soon} {later}");
}

#[test]
fn what_an_instance_asked_of_the_store_happens_although_it_crashes() {
    let world = world(Model::Sound, Conditions::CALM);
    let (env, other) = (world.instance(), world.instance());
    let has_ended = Rc::new(Cell::new(false));
    let ended = has_ended.clone();
    let (store, in_other) = (env.store(), other.store());
    env.clone().spawn(async move {
        _ = store.set("key", b"1").await;
        ended.set(true);
    });
    let in_other = async move { in_other.set("other", b"2").await.unwrap() };
    other.spawn(in_other);
    // Both have begun their calls when a third task runs.
    let all_begun = Rc::new(Cell::new(false));
    let begun = all_begun.clone();
    world.spawn(async move { begun.set(true) });
    world.run_until(|| all_begun.get()).unwrap();
    world.crash(env.id());
    world.run_until(|| false).unwrap();
    let keys: Vec<_> = world.stored(|stored| stored.keys().cloned().collect());
    assert_eq!(keys, ["key", "other"]);
    assert!(!has_ended.get());
}

#[test]
fn a_task_that_is_killed_ends_alone() {
    let world = world(Model::Sound, Conditions::CALM);
    let env = world.instance();
    let ended = Rc::new(Cell::new(0));
    let task = || {
        let (env, ended) = (env.clone(), ended.clone());
        async move {
            env.sleep(Duration::from_millis(5)).await;
            ended.set(ended.get() + 1);
        }
    };
    let killed = env.spawn_task(task());
    env.spawn(task());
    world.run_for(Duration::from_millis(1)).unwrap();
    world.kill(killed);
    world.run_until(|| false).unwrap();
    assert_eq!(ended.get(), 1);
}

#[test]
fn an_instance_that_crashes_can_start_again() {
    let conditions = Conditions {
        crash_one_in: Some(10),
        ..Conditions::CALM
    };
    let world = world(Model::Sound, conditions);
    let env = world.instance();
    let starts = Rc::new(Cell::new(0));
    let start = {
        let (env, starts) = (env.clone(), starts.clone());
        move || {
            let own = env.clone();
            starts.set(starts.get() + 1);
            env.spawn(async move {
                loop {
                    own.sleep(Duration::from_millis(1)).await;
                }
            });
        }
    };
    start();
    world.on_crash(move |crashed| {
        assert_eq!(crashed, env.id());
        start();
    });
    world.run_for(Duration::from_secs(1)).unwrap();
    let crashes = world.stats().crashes;
    assert!((50..200).contains(&crashes), "{crashes}");
    assert_eq!(starts.get(), crashes + 1);
}

#[test]
fn a_task_that_wakes_one_of_another_request_is_reported() {
    let world = world(Model::Sound, Conditions::CALM);
    let env = world.instance();
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let parked = waker.clone();
    env.spawn(std::future::poll_fn(move |context| {
        *parked.borrow_mut() = Some(context.waker().clone());
        std::task::Poll::Pending
    }));
    env.spawn(async move { waker.take().unwrap().wake() });
    let violation = world.run_until(|| false).unwrap_err();
    assert!(violation.to_string().contains("which Spin cannot do"));
}

#[test]
fn a_task_that_spins_is_reported() {
    let world = world(Model::Sound, Conditions::CALM);
    let env = world.instance();
    env.clone().spawn(async move {
        loop {
            env.sleep_until(env.now()).await;
        }
    });
    let violation = world.run_until(|| false).unwrap_err();
    assert_eq!(violation.to_string(), "something spins");
}

#[test]
fn the_first_report_ends_the_run() {
    let world = world(Model::Sound, Conditions::CALM);
    world.report(Violation("law 1".to_owned()));
    world.report(Violation("law 2".to_owned()));
    assert_eq!(world.run_until(|| true), Err(Violation("law 1".to_owned())));
}

#[test]
fn time_that_is_skipped_makes_what_was_due_late() {
    let world = world(Model::Sound, Conditions::CALM);
    let begin = world.now();
    let env = world.instance();
    let woken = Rc::new(Cell::new(None));
    let at = woken.clone();
    env.clone().spawn(async move {
        env.sleep(Duration::from_secs(1)).await;
        env.write_log_line(b"woken\n").unwrap();
        at.set(Some(env.now()));
    });
    world.run_for(Duration::from_millis(1)).unwrap();
    world.skip(Duration::from_secs(60));
    world.run_until(|| false).unwrap();
    let late = Duration::from_millis(60_001);
    assert_eq!(woken.get(), Some(begin.saturating_add(late)));
    assert_eq!(world.log(), ["woken"]);
    assert!(world.random(|random| random.f64()) < 1.0);
}

#[test]
fn a_world_ends_with_all_it_holds() {
    let held = Rc::new(());
    let world = world(Model::Sound, Conditions::CALM);
    let env = world.instance();
    let (in_task, in_hook) = (held.clone(), held.clone());
    env.clone().spawn(async move {
        env.sleep(Duration::from_secs(9)).await;
        drop(in_task);
    });
    world.on_swap(move |_| _ = &in_hook);
    world.run_for(Duration::from_secs(1)).unwrap();
    drop(world);
    assert_eq!(Rc::strong_count(&held), 1);
}
