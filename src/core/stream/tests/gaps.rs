//! Positions that cannot be followed, and records that are gone.

use super::*;
use crate::core::log::RecordBatch;
use crate::core::log::kv::{purge, segment};

#[test]
fn a_cursor_of_another_log_is_reported_as_a_reset_gap() {
    let mut world = World::with_events(2, 10);
    for cursor in ["000009-4", "x".repeat(500).as_str(), "000007-1~000007-2"] {
        let mut stream = world.open(after(cursor));
        let sent = world.sent(&mut stream, 100);
        let requested = &cursor[..cursor.len().min(128)];
        let signal = format!(
            "event: runnel.gap\ndata: {{\"channel\":\"demo\",\"reason\":\"reset\",\"requested\":\"{requested}\",\"resumed_from\":\"000007-1\"}}\nid: 000007-0\n\n"
        );
        assert!(sent.contains(&signal), "{sent}");
        assert_eq!(seqs(&sent), [1, 2]);
    }
}

#[test]
fn no_position_hides_a_gap_that_was_not_reported_yet() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(after("unreadable"));
    let opening = world.opening(&mut stream);
    assert!(opening.contains("\"cursor\":null"), "{opening}");
    assert!(!opening.contains("\nid: "), "{opening}");
    // The stream ends before the gap is sent.
    world.now += 300_000;
    let end = world.sent(&mut stream, 1);
    assert!(end.starts_with("event: runnel.reconnect\n"), "{end}");
    assert!(!end.contains("\nid: "), "{end}");
}

#[test]
fn a_cursor_ahead_of_the_log_is_reported_as_a_gap_only_after_a_second() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(after("000007-3"));
    assert!(seqs(&world.sent(&mut stream, 500)).is_empty());
    // The store's answer was stale: now it shows what the client had, and one more.
    world.publish("3");
    world.publish("4");
    let sent = world.sent(&mut stream, 500);
    assert!(!sent.contains("runnel.gap"));
    assert_eq!(seqs(&sent), [4]);

    let mut stream = world.open(after("000007-9"));
    let sent = world.sent(&mut stream, 3_000);
    assert!(
        sent.contains(
            "{\"channel\":\"demo\",\"reason\":\"ahead\",\"requested\":\"000007-9\",\"resumed_from\":\"000007-1\"}"
        ),
        "{sent}"
    );
    assert_eq!(seqs(&sent), [1, 2, 3, 4]);
}

#[test]
fn a_slow_client_that_retention_overtook_gets_a_gap_and_the_events_kept() {
    let mut world = World::with_events(300, 200);
    let mut stream = world.open(ResumePoint::Earliest);
    world.opening(&mut stream);
    let first = world.chunk(&mut stream, u64::MAX).unwrap();
    let last = *seqs(&first).last().unwrap();
    world.retention.events = 10;
    for _ in 0..2_000 {
        world.publish(&"y".repeat(200));
    }
    let sent = world.sent(&mut stream, 3_000);
    assert_eq!(sent.matches("\"reason\":\"evicted\"").count(), 1, "{sent}");
    let seqs = seqs(&sent);
    let kept = world.head.as_ref().unwrap().first().0;
    let resumed = seqs.iter().position(|&seq| seq == kept).unwrap();
    assert_eq!(seqs[resumed..], (kept..=2_300).collect::<Vec<_>>());
    assert_eq!(
        seqs[..resumed],
        (last + 1..=last + resumed as u64).collect::<Vec<_>>()
    );
}

#[test]
fn a_lost_segment_is_skipped_with_a_gap() {
    let mut world = World::with_events(300, 200);
    let lost = world.head.as_ref().unwrap().segments[1];
    world.segments.remove(&lost.id(Epoch::from_random(7)));
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 5_000);
    let expected: Vec<_> = (1..lost.first.0).chain(lost.next().0..=300).collect();
    assert_eq!(seqs(&sent), expected);
    let gap = format!(
        "{{\"channel\":\"demo\",\"reason\":\"evicted\",\"requested\":\"000007-{}\",\"resumed_from\":\"000007-{}\"}}",
        lost.first.0 - 1,
        lost.next().0
    );
    assert_eq!(sent.matches(&gap).count(), 1, "{sent}");
}

#[test]
fn a_corrupt_segment_is_reported_and_skipped_with_a_gap() {
    let mut world = World::with_events(300, 200);
    let broken = world.head.as_ref().unwrap().segments[0];
    let id = broken.id(Epoch::from_random(7));
    world.segments.insert(id, Bytes::from_static(b"nonsense"));
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 5_000);
    assert_eq!(seqs(&sent), (broken.next().0..=300).collect::<Vec<_>>());
    let (channel, error) = stream.reader().take_error().unwrap();
    assert_eq!(channel, world.channel);
    let error = error.to_string();
    assert!(error.contains("seg!demo!000007!1 is corrupt"), "{error}");
}

#[test]
fn damage_is_reported_once_while_it_is_found_again_and_heals_without_a_gap() {
    let mut world = World::with_events(300, 200);
    let broken = world.head.as_ref().unwrap().segments[0];
    let id = broken.id(Epoch::from_random(7));
    let mut damaged = world.segments[&id].to_vec();
    damaged[100] ^= 1;
    let valid = world.segments.insert(id, damaged.into()).unwrap();
    let mut stream = world.open(ResumePoint::Earliest);
    world.sent(&mut stream, 300);
    assert!(stream.reader().take_error().is_some());
    let reads = world.head_reads;
    let sent = world.sent(&mut stream, 500);
    assert!(seqs(&sent).is_empty() && world.head_reads > reads, "{sent}");
    assert_eq!(stream.reader().take_error(), None);
    world.segments.insert(id, valid);
    let sent = world.sent(&mut stream, 5_000);
    assert_eq!(seqs(&sent), (1..=300).collect::<Vec<_>>());
    assert!(!sent.contains("runnel.gap"), "{sent}");
}

#[test]
fn a_segment_with_fewer_records_than_the_directory_lists_is_skipped_with_a_gap() {
    let mut world = World::with_events(300, 200);
    let short = world.head.as_ref().unwrap().segments[1];
    let id = short.id(Epoch::from_random(7));
    let parts = segment::decode("seg!demo", id, &world.segments[&id]).unwrap();
    let whole = &parts[0];
    let mut records = whole.records();
    records.next();
    let part = RecordBatch {
        count: 1,
        records: whole.records.slice(..records.offset()),
        ..whole.clone()
    };
    world
        .segments
        .insert(id, segment::encode(id.epoch, &[part]).unwrap());
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 5_000);
    let expected: Vec<_> = (1..short.first.0).chain(short.next().0..=300).collect();
    assert_eq!(seqs(&sent), expected);
    let (_, error) = stream.reader().take_error().unwrap();
    assert!(error.to_string().contains("is corrupt"), "{error}");
}

#[test]
fn corrupt_records_in_the_head_are_skipped_with_a_gap() {
    let mut world = World::with_events(5, 10);
    let head = world.head.as_mut().unwrap();
    let mut records = head.inline.records.to_vec();
    records[40..].fill(0xff);
    head.inline.records = records.into();
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 3_000);
    let delivered = seqs(&sent);
    assert!(
        delivered.len() < 5
            && delivered
                .iter()
                .eq(&(1..=delivered.len() as u64).collect::<Vec<_>>())
    );
    assert_eq!(
        sent.matches("\"resumed_from\":\"000007-6\"").count(),
        1,
        "{sent}"
    );
    assert!(stream.reader().take_error().is_some());
}

#[test]
fn a_purge_in_mid_stream_is_a_gap_before_the_new_log() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(ResumePoint::Earliest);
    world.sent(&mut stream, 50);
    let head = world.head.take().unwrap();
    let (epoch, now) = (Epoch::from_random(8), Timestamp(world.now));
    world.head = Some(purge(&head, epoch, 99, now).unwrap());
    let sent = world.sent(&mut stream, 1_000);
    assert!(
        sent.contains(
            "{\"channel\":\"demo\",\"reason\":\"reset\",\"requested\":\"000007-2\",\"resumed_from\":\"000008-1\"}"
        ),
        "{sent}"
    );
    world.publish("new");
    assert!(
        world
            .sent(&mut stream, 1_000)
            .contains("data: new\nid: 000008-1\n\n")
    );
}

#[test]
fn a_stream_whose_log_is_lost_waits_for_it() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(ResumePoint::Earliest);
    world.sent(&mut stream, 50);
    world.head = None;
    assert_eq!(world.sent(&mut stream, 20_000), ":\n");
    assert!(matches!(stream.next(world.now()), Action::Wait(_)));
}

#[test]
fn a_stale_head_is_ignored() {
    let mut world = World::with_events(3, 10);
    let old = world.head.clone();
    world.publish("4");
    let mut stream = world.open(ResumePoint::Earliest);
    assert_eq!(seqs(&world.sent(&mut stream, 50)), [1, 2, 3, 4]);
    let new = std::mem::replace(&mut world.head, old);
    assert_eq!(world.sent(&mut stream, 500), "");
    world.head = new;
    world.publish("5");
    assert_eq!(seqs(&world.sent(&mut stream, 500)), [5]);
}
