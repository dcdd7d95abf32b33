//! Thousands of clients that lose their streams at once, and the times at which they reconnect.
//!
//! `cargo test -p runnel reconnect_storm -- --nocapture` prints the curves.

use super::*;
use crate::core::time::millis;

const CLIENTS: u64 = 2_000;

const SLOT_MILLIS: u64 = 100;

/// Returns the last reconnection time in `sent`, in milliseconds.
fn retry(sent: &str) -> u64 {
    let (_, retry) = sent.rsplit_once("retry: ").unwrap();
    retry.lines().next().unwrap().parse().unwrap()
}

/// Opens the clients' streams; returns each with its first bytes and the world that it has read.
fn openings() -> impl Iterator<Item = (Client<EventStream>, String, World)> {
    (0..CLIENTS).map(move |client| {
        let seed = fastrand::Rng::with_seed(client).u64(..);
        let subscription = subscription(ResumePoint::Earliest, true);
        let mut world = World::with_events(1, 10);
        let mut stream = world.client(world.stream(subscription, CONFIG, seed));
        let opening = world.opening(&mut stream);
        (stream, opening, world)
    })
}

/// Prints the arrivals over time, and returns the largest share of them within one slot.
fn curve(title: &str, arrivals: &[u64]) -> f64 {
    assert_eq!(arrivals.len() as u64, CLIENTS);
    let first = arrivals.iter().min().unwrap();
    let last = arrivals.iter().max().unwrap();
    let count = |from: u64, millis: u64| {
        let within = from..from + millis;
        arrivals.iter().filter(|at| within.contains(at)).count()
    };
    println!("{title}: {CLIENTS} clients from {first} to {last} ms");
    let step = ((last - first) / 20).max(SLOT_MILLIS);
    for from in (*first..=*last).step_by(usize::try_from(step).unwrap()) {
        let count = count(from, step);
        println!("{from:>8} ms {count:>5} {}", "#".repeat(count / 5));
    }
    let most = (*first..=*last).map(|from| count(from, SLOT_MILLIS)).max();
    let share = f64::from(u32::try_from(most.unwrap()).unwrap()) / 2_000.0;
    println!("at most {:.1} % in any {SLOT_MILLIS} ms\n", share * 100.0);
    share
}

#[test]
fn clients_reconnect_spread_out_after_a_restart_of_any_length() {
    let retries: Vec<_> = openings().map(|(_, sent, _)| retry(&sent)).collect();
    for away in [0_u64, 3_000, 10_000, 60_000] {
        // An EventSource tries again after the same time until there is an answer.
        let arrivals: Vec<_> = retries
            .iter()
            .map(|retry| retry * away.div_ceil(*retry).max(1))
            .collect();
        let share = curve(&format!("restart of {away} ms"), &arrivals);
        assert!(share <= 0.08, "{share}");
    }
}

#[test]
fn clients_reconnect_later_and_spread_out_after_an_outage_of_the_store() {
    let arrivals: Vec<_> = openings()
        .map(|(mut stream, _, mut world)| {
            world.failing = true;
            let sent = world.sent(&mut stream, 60_000);
            assert!(sent.contains("\"reason\":\"store\""), "{sent}");
            millis(CONFIG.store_patience) + retry(&sent)
        })
        .collect();
    assert!(arrivals.iter().all(|at| *at >= 30_000 + 16_000));
    let share = curve("outage of the store", &arrivals);
    assert!(share <= 0.02, "{share}");
}

#[test]
fn clients_whose_streams_opened_together_reconnect_spread_out() {
    let arrivals: Vec<_> = openings()
        .map(|(stream, sent, world)| {
            let lifetime = stream.ends.saturating_duration_since(world.now().monotonic);
            millis(lifetime) + retry(&sent)
        })
        .collect();
    let share = curve("planned ends", &arrivals);
    assert!(share <= 0.01, "{share}");
}
