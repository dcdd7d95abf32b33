use super::super::retention::{DELETE_BATCH, DELETE_DELAY, MAX_PENDING_DELETES, due};
use super::*;
use crate::core::log::NewEvent;
use crate::core::log::kv::segment::PendingDelete;
use crate::core::sse::Seq;
use crate::core::time::millis;

const KEEP_ALL: Retention = Retention {
    events: 1_000_000,
    bytes: 1 << 40,
    max_age: None,
};

fn event(data: &str) -> NewEvent {
    NewEvent {
        event_type: None,
        data: data.to_owned(),
        trace: None,
    }
}

fn batch(data: &[&str]) -> Batch {
    Batch {
        events: data.iter().map(|data| event(data)).collect(),
        ..Batch::default()
    }
}

fn empty() -> Head {
    Head::new(Epoch::from_random(1))
}

/// Appends one batch and returns the next head.
fn appended(head: &Head, batch: Batch, now: u64, retention: &Retention) -> Head {
    let plan = append(head, &[batch], now, Timestamp(now), retention).unwrap();
    assert!(
        plan.outcomes.iter().all(Result::is_ok),
        "{:?}",
        plan.outcomes
    );
    plan.change.unwrap().head
}

fn data(head: &Head) -> Vec<(u64, String)> {
    let records = head.inline.records().map(Result::unwrap);
    records
        .map(|(seq, record)| (seq.0, record.data.to_owned()))
        .collect()
}

#[test]
fn each_batch_of_a_group_gets_its_own_ids_in_order() {
    let group = [batch(&["a"]), batch(&["b", "c"]), batch(&["d"])];
    let plan = append(&empty(), &group, 7, Timestamp(5), &KEEP_ALL).unwrap();
    let outcomes: Vec<_> = plan
        .outcomes
        .iter()
        .map(|outcome| outcome.clone().unwrap())
        .collect();
    assert_eq!(
        outcomes
            .iter()
            .map(|appended| (appended.first.0, appended.count))
            .collect::<Vec<_>>(),
        [(1, 1), (2, 2), (4, 1)]
    );
    assert_eq!(outcomes[1].first_id().to_string(), "000001-2");
    assert_eq!(outcomes[1].last_id().to_string(), "000001-3");
    let head = plan.change.unwrap().head;
    assert_eq!(
        data(&head),
        [
            (1, "a".into()),
            (2, "b".into()),
            (3, "c".into()),
            (4, "d".into())
        ]
    );
    assert!(head.remembers(7));
    assert_eq!((head.newest, head.next()), (Timestamp(5), Seq(5)));
}

#[test]
fn the_last_events_and_the_close_are_one_commit_and_nothing_follows() {
    let last = Batch {
        close: true,
        ..batch(&["last"])
    };
    let plan = append(
        &empty(),
        &[last, batch(&["late"])],
        7,
        Timestamp(5),
        &KEEP_ALL,
    )
    .unwrap();
    assert!(plan.outcomes[0].is_ok());
    assert_eq!(plan.outcomes[1], Err(AppendError::Closed));
    let head = plan.change.unwrap().head;
    assert!(head.closed);
    assert_eq!(data(&head).len(), 1);
    let plan = append(&head, &[batch(&["later"])], 8, Timestamp(6), &KEEP_ALL).unwrap();
    assert_eq!(
        (plan.outcomes, plan.change),
        (vec![Err(AppendError::Closed)], None)
    );
}

#[test]
fn a_channel_can_be_closed_without_an_event() {
    let head = appended(
        &empty(),
        Batch {
            close: true,
            ..Batch::default()
        },
        5,
        &KEEP_ALL,
    );
    assert!(head.closed);
    assert_eq!((head.next(), head.newest), (Seq(1), Timestamp(0)));
    let again = Batch {
        close: true,
        ..Batch::default()
    };
    let plan = append(&head, &[again], 7, Timestamp(6), &KEEP_ALL).unwrap();
    assert!(plan.outcomes[0].as_ref().unwrap().repeated && plan.change.is_none());
}

#[test]
fn a_repeated_publish_gets_the_first_outcome_and_appends_nothing() {
    let idempotency_key = Some(IdempotencyKey {
        key: [1; 16],
        content: [2; 16],
    });
    let keyed = || Batch {
        idempotency_key,
        close: true,
        ..batch(&["a", "b"])
    };
    let group = [keyed(), keyed()];
    let plan = append(&empty(), &group, 7, Timestamp(5), &KEEP_ALL).unwrap();
    let (first, second) = (
        plan.outcomes[0].clone().unwrap(),
        plan.outcomes[1].clone().unwrap(),
    );
    assert_eq!(
        second,
        Appended {
            repeated: true,
            ..first
        }
    );
    let head = plan.change.unwrap().head;
    assert_eq!(head.next(), Seq(3));

    let again = append(&head, &[keyed()], 8, Timestamp(6), &KEEP_ALL).unwrap();
    assert_eq!((again.outcomes, again.change), (vec![Ok(second)], None));

    let other = Batch {
        idempotency_key: Some(IdempotencyKey {
            key: [1; 16],
            content: [3; 16],
        }),
        ..batch(&["c"])
    };
    let plan = append(&head, &[other], 9, Timestamp(6), &KEEP_ALL).unwrap();
    assert_eq!(
        (plan.outcomes, plan.change),
        (vec![Err(AppendError::KeyReused)], None)
    );
}

#[test]
fn idempotency_keys_expire_by_age_and_by_number() {
    let keyed = |key: u8| Batch {
        idempotency_key: Some(IdempotencyKey {
            key: [key; 16],
            content: [0; 16],
        }),
        ..batch(&["a"])
    };
    let mut head = appended(&empty(), keyed(0), 1, &KEEP_ALL);
    for _ in 0..IDEMPOTENCY_KEYS - 1 {
        head = appended(&head, keyed(head.next().0 as u8), 2, &KEEP_ALL);
    }
    assert!(
        append(&head, &[keyed(0)], 9, Timestamp(3), &KEEP_ALL)
            .unwrap()
            .change
            .is_none()
    );
    let more = appended(&head, keyed(200), 3, &KEEP_ALL);
    assert_eq!(more.idempotency.len(), IDEMPOTENCY_KEYS);
    assert!(
        append(&more, &[keyed(0)], 9, Timestamp(3), &KEEP_ALL)
            .unwrap()
            .change
            .is_some()
    );

    let later = Timestamp(1 + millis(IDEMPOTENCY_WINDOW));
    assert!(
        append(&head, &[keyed(0)], 9, later, &KEEP_ALL)
            .unwrap()
            .change
            .is_some()
    );
}

#[test]
fn only_committed_records_are_sealed() {
    let small = "x".repeat(7_000);
    let mut head = empty();
    for now in 1..=3 {
        let plan = append(&head, &[batch(&[&small])], now, Timestamp(now), &KEEP_ALL).unwrap();
        let change = plan.change.unwrap();
        assert!(
            change.seal.is_empty(),
            "the end of the first segment is not committed yet"
        );
        head = change.head;
    }
    let plan = append(&head, &[batch(&["y"])], 4, Timestamp(4), &KEEP_ALL)
        .unwrap()
        .change
        .unwrap();
    let (id, bytes) = &plan.seal[0];
    let parts = segment::decode("seg", *id, bytes).unwrap();
    let [batch] = &parts[..] else {
        panic!("{parts:?}")
    };
    assert_eq!((batch.first, batch.count), (Seq(1), 2));
    let bytes = batch.records.len() as u64;
    let sealed = SegmentMeta {
        first: Seq(1),
        count: 2,
        bytes,
        newest: Timestamp(2),
        kind: SegmentKind::Sealed,
    };
    assert_eq!(plan.head.segments, [sealed]);
    assert_eq!(plan.head.inline.first, Seq(3));
}

#[test]
fn large_batches_share_the_write_that_seals_them() {
    let lines = vec!["x".repeat(200); 100];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut head = empty();
    let mut writes = 0;
    for now in 1..=100 {
        let plan = append(&head, &[batch(&lines)], now, Timestamp(now), &KEEP_ALL).unwrap();
        let change = plan.change.unwrap();
        writes += u32::from(!change.seal.is_empty());
        head = change.head;
        assert!(head.encode().unwrap().len() < 100_000);
    }
    assert!(writes <= 50, "{writes} writes for 100 batches");
}

#[test]
fn retention_drops_whole_segments_and_keeps_at_least_its_limit() {
    let large = "x".repeat(9_000);
    let retention = Retention {
        events: 3,
        ..KEEP_ALL
    };
    let mut head = empty();
    for now in 1..=50 {
        head = appended(&head, batch(&[&large]), now, &retention);
        let kept = head.next().since(head.first());
        assert!(
            (3..=10).contains(&kept) || now < 3,
            "{kept} kept after {now}"
        );
    }
    let by_bytes = Retention {
        bytes: 30_000,
        ..KEEP_ALL
    };
    let head = appended(&head, batch(&["y"]), 51, &by_bytes);
    assert!((27_000..=90_000).contains(&head.bytes()));
}

#[test]
fn retention_by_age_drops_segments_whose_newest_record_is_too_old() {
    let large = "x".repeat(9_000);
    let retention = Retention {
        max_age: Some(Duration::from_secs(10)),
        ..KEEP_ALL
    };
    let mut head = empty();
    for second in 0..40 {
        head = appended(&head, batch(&[&large]), second * 1_000 + 1, &retention);
    }
    let oldest = head.segments[0];
    assert!(oldest.newest >= Timestamp(29_000), "{oldest:?}");
    assert!(head.next().since(head.first()) >= 10);
}

#[test]
fn dropped_segments_are_deleted_together_half_a_minute_later() {
    let large = "x".repeat(17_000);
    let retention = Retention {
        events: 1,
        ..KEEP_ALL
    };
    let mut head = empty();
    let mut deleted = vec![];
    for second in 1..=200 {
        let now = Timestamp(second * 1_000);
        let change = append(&head, &[batch(&[&large])], second, now, &retention)
            .unwrap()
            .change
            .unwrap();
        for id in &change.discard {
            let pending = head
                .pending_deletes
                .iter()
                .find(|pending| pending.segment == *id)
                .unwrap();
            assert!(now.0 - pending.since.0 >= millis(DELETE_DELAY));
        }
        assert!(change.discard.is_empty() || change.discard.len() >= DELETE_BATCH);
        deleted.extend(change.discard.iter().map(|id| id.first.0));
        head = change.head;
    }
    assert_eq!(deleted, (1..=deleted.len() as u64).collect::<Vec<_>>());
    assert!(
        deleted.len() >= 200 - 2 - 30 - DELETE_BATCH,
        "{}",
        deleted.len()
    );
}

#[test]
fn few_dropped_segments_are_deleted_after_a_minute_and_many_at_once() {
    let pending = |since| PendingDelete {
        segment: SegmentId::sealed(Epoch::from_random(1), Seq(since)),
        since: Timestamp(since),
    };
    let few: Vec<_> = (0..3).map(pending).collect();
    assert_eq!(due(&few, Timestamp(2 * millis(DELETE_DELAY) - 1)), 0);
    assert_eq!(due(&few, Timestamp(2 * millis(DELETE_DELAY))), 3);
    let many: Vec<_> = (0..300).map(pending).collect();
    assert_eq!(due(&many, Timestamp(300)), 300 - MAX_PENDING_DELETES);
}

#[test]
fn a_purge_begins_a_new_log_and_drops_the_segments_of_the_old_one() {
    let large = "x".repeat(17_000);
    let mut head = empty();
    for now in 1..=3 {
        head = appended(&head, batch(&[&large]), now, &KEEP_ALL);
    }
    let purged = purge(&head, Epoch::from_random(2), 99, Timestamp(9)).unwrap();
    assert_eq!(
        (purged.first(), purged.next(), purged.closed),
        (Seq(1), Seq(1), false)
    );
    let dropped = purged.pending_deletes.iter().map(|pending| {
        (
            pending.segment.epoch,
            pending.segment.first.0,
            pending.since.0,
        )
    });
    let epoch = head.epoch;
    assert_eq!(
        dropped.collect::<Vec<_>>(),
        [(epoch, 1, 9), (epoch, 2, 9), (epoch, 3, 9)],
        "another writer may be sealing the third"
    );
    assert!(purged.remembers(99));
    assert_eq!(purged.commits, 4);
}

/// Values stay under 100 KB with the default limits.
#[test]
fn the_largest_head_stays_under_100_kilobytes() {
    let retention = Retention {
        events: 10_000,
        bytes: 16 << 20,
        max_age: None,
    };
    let keyed = |key: u64, data: &str| {
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&key.to_le_bytes());
        Batch {
            idempotency_key: Some(IdempotencyKey {
                key: digest,
                content: [255; 16],
            }),
            ..batch(&[data])
        }
    };
    let now = |step: u64| 1_800_000_000_000 + step * 1_000;
    let mut head = Head {
        commits: u64::from(u32::MAX),
        recent_commits: vec![u64::MAX; RECENT_COMMITS as usize].into(),
        ..empty()
    };
    // Just more than half a segment each: as many segments as there can be.
    let half = "x".repeat(8_200);
    for step in 0..2_500 {
        let plan = append(
            &head,
            &[keyed(step, &half)],
            u64::MAX - step,
            Timestamp(now(step)),
            &retention,
        );
        head = plan.unwrap().change.unwrap().head;
    }
    let largest = "x".repeat(65_536);
    let plan = append(
        &head,
        &[keyed(9_999, &largest)],
        u64::MAX,
        Timestamp(now(9_999)),
        &retention,
    )
    .unwrap();
    let bytes = plan.change.unwrap().head.encode().unwrap().len();
    assert!(bytes < 100_000, "{bytes} bytes");
}
