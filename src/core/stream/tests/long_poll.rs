//! Long-polls.

use super::*;

pub(super) fn answer(world: &mut World, poll: Client<LongPoll>) -> Option<LongPollPage> {
    answer_while(world, poll, |_| {})
}

/// Drives a request to its answer. `on_sleep` is called whenever time has passed.
fn answer_while(
    world: &mut World,
    mut poll: Client<LongPoll>,
    on_sleep: impl FnMut(&mut World) + 'static,
) -> Option<LongPollPage> {
    world.lend(&mut poll, |poll| poll.run(on_sleep));
    poll.into_page()
}

pub(super) fn poll(
    world: &World,
    resume: ResumePoint,
    limit: usize,
    known: Option<&str>,
    wait: u64,
) -> Client<LongPoll> {
    let (now, until) = (world.now().monotonic, Instant(world.now + wait));
    let known = known.map(str::to_owned).into_iter().collect();
    let subscription = subscription(resume, true);
    world.client(LongPoll::new(
        subscription,
        world.config(),
        limit,
        known,
        until,
        42,
        now,
    ))
}

#[test]
fn a_request_does_not_outlast_its_token() {
    let mut world = World::with_events(3, 10);
    let opened = world.now;
    let subscription = Subscription {
        expires: Some(Instant(opened + 1_500)),
        ..subscription(after("000007-3"), true)
    };
    let (until, now) = (Instant(opened + 20_000), Instant(opened));
    let poll = LongPoll::new(subscription, CONFIG, 9, vec![], until, 42, now);
    let poll = world.client(poll);
    let page = answer(&mut world, poll).unwrap();
    assert_eq!((ids(&page).len(), world.now), (0, opened + 1_500));
}

pub(super) fn ids(page: &LongPollPage) -> Vec<String> {
    page.events
        .iter()
        .map(|event| event.cursor.to_string())
        .collect()
}

#[test]
fn events_that_are_there_are_answered_at_once() {
    let mut world = World::with_events(3, 10);
    let request = poll(&world, after("000007-1"), 100, None, 20_000);
    let opened = world.now;
    let page = answer(&mut world, request).unwrap();
    assert_eq!(ids(&page), ["000007-2", "000007-3"]);
    assert_eq!(page.events[0].data, "0000000001");
    assert_eq!(
        (page.cursor.to_string().as_str(), page.more, page.closed),
        ("000007-3", false, false)
    );
    assert_eq!(world.now, opened);
}

#[test]
fn pages_follow_each_other_without_a_gap_through_segments_and_head() {
    let mut world = World::with_events(500, 300);
    let mut start = ResumePoint::Earliest;
    let mut seen = vec![];
    loop {
        let request = poll(&world, start, 64, None, 0);
        let page = answer(&mut world, request).unwrap();
        seen.extend(ids(&page));
        if !page.more {
            break;
        }
        assert_eq!(page.events.len(), 64);
        start = after(&page.cursor.to_string());
    }
    assert_eq!(
        seen,
        (1..=500)
            .map(|seq| format!("000007-{seq}"))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_page_is_bounded_in_bytes() {
    let mut world = World::with_events(100, 10_000);
    let request = poll(&world, ResumePoint::Earliest, 1_000, None, 0);
    let page = answer(&mut world, request).unwrap();
    assert_eq!((page.events.len(), page.more), (27, true));
}

#[test]
fn a_request_waits_for_news_and_no_longer_than_its_limit() {
    let mut world = World::with_events(1, 10);
    let opened = world.now;
    let request = poll(&world, after("000007-1"), 100, None, 10_000);
    let page = answer(&mut world, request).unwrap();
    assert_eq!(
        (ids(&page).len(), page.cursor.to_string().as_str()),
        (0, "000007-1")
    );
    assert_eq!(world.now, opened + 10_000);
    let request = poll(&world, after("000007-1"), 100, None, 10_000);
    let page = answer_while(&mut world, request, move |world| {
        if world.now >= opened + 14_000 && world.head.as_ref().unwrap().commits == 1 {
            world.publish("news");
        }
    });
    assert_eq!(ids(&page.unwrap()), ["000007-2"]);
    assert!((14_000..15_000).contains(&(world.now - opened)));
}

#[test]
fn an_answer_that_the_client_has_is_not_repeated_until_its_time_is_up() {
    let mut world = World::with_events(3, 10);
    let opened = world.now;
    let request = poll(&world, ResumePoint::Last(2), 100, Some("000007-3"), 5_000);
    let page = answer(&mut world, request).unwrap();
    assert_eq!(
        (page.cursor.to_string().as_str(), world.now),
        ("000007-3", opened + 5_000)
    );
    let request = poll(&world, ResumePoint::Last(2), 100, Some("000007-2"), 5_000);
    let page = answer(&mut world, request).unwrap();
    assert_eq!((ids(&page).len(), world.now), (2, opened + 5_000));
}

#[test]
fn a_gap_is_reported_in_the_answer() {
    let mut world = World::with_events(2, 10);
    let request = poll(&world, after("000009-9"), 100, None, 0);
    let page = answer(&mut world, request).unwrap();
    assert_eq!(ids(&page), ["000007-1", "000007-2"]);
    let gap = serde_json::to_string(&page.gaps).unwrap();
    assert_eq!(
        gap,
        r#"[{"channel":"demo","reason":"reset","requested":"000009-9","resumed_from":"000007-1"}]"#
    );
}

#[test]
fn the_end_of_a_closed_channel_is_answered_at_once() {
    let mut world = World::with_events(1, 10);
    world.close();
    let opened = world.now;
    for start in [ResumePoint::Earliest, after("000007-1")] {
        let request = poll(&world, start, 100, None, 20_000);
        let page = answer(&mut world, request).unwrap();
        assert!(page.closed && !page.more);
    }
    assert_eq!(world.now, opened);
}

#[test]
fn a_request_waits_for_a_channel_that_does_not_exist() {
    let mut world = World::new();
    let request = poll(&world, ResumePoint::Earliest, 100, None, 1_000);
    let page = answer(&mut world, request).unwrap();
    assert_eq!(
        (page.cursor.to_string().as_str(), page.closed),
        ("0", false)
    );
    world.publish("first");
    let request = poll(&world, after("0"), 100, None, 0);
    assert_eq!(ids(&answer(&mut world, request).unwrap()), ["000007-1"]);
}

#[test]
fn there_is_no_answer_if_the_store_fails_for_five_seconds() {
    let mut world = World::with_events(1, 10);
    world.failing = true;
    let opened = world.now;
    let request = poll(&world, ResumePoint::Earliest, 100, None, 0);
    assert_eq!(answer(&mut world, request), None);
    assert!(
        (5_000..6_000).contains(&(world.now - opened)),
        "{}",
        world.now - opened
    );
    let request = poll(&world, ResumePoint::Earliest, 100, None, 0);
    let back = world.now + 2_000;
    let page = answer_while(&mut world, request, move |world| {
        world.failing = world.now < back;
    });
    assert_eq!(ids(&page.unwrap()), ["000007-1"]);
}
