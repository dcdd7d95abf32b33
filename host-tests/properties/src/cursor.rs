//! Last event IDs.

use runnel::core::log::StartFrom;
use runnel::core::sse::{Cursor, Epoch, EventId, MAX_CURSOR_BYTES, Position, Seq};
use runnel::core::stream::ResumePoint;

/// Property: parsing and printing event ids and cursors are inverse to each other. The input is read
/// both as a text and as positions of 16 bytes each.
///
/// # Panics
/// If the property is violated.
pub fn cursor(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check_text(text);
    }
    let positions = data.chunks_exact(16).map(|bytes| {
        let (epoch, seq) = bytes.split_at(8);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        match number(epoch) {
            u64::MAX => Position::Beginning,
            epoch => Position::After(EventId {
                epoch: Epoch::from_random(epoch),
                seq: Seq(number(seq)),
            }),
        }
    });
    check_positions(positions.collect());
}

fn check_text(text: &str) {
    let id = text.parse::<EventId>().ok();
    if let Some(id) = id {
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(Cursor::from(Position::After(id))));
    }
    let channels = match text.parse::<Cursor>() {
        Ok(cursor) => {
            assert_eq!(cursor.to_string(), text);
            assert!(text.len() <= MAX_CURSOR_BYTES);
            let needs_no_preflight = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
            assert!(text.bytes().all(needs_no_preflight), "{text:?}");
            let channels = cursor.positions().len();
            let resume = ResumePoint::parse(text, channels);
            for (index, position) in cursor.positions().iter().enumerate() {
                assert_eq!(resume.start_from(index), StartFrom::After(*position));
            }
            assert_eq!(resume.cursor(), Some(&cursor));
            channels
        }
        Err(_) => 0,
    };
    match ResumePoint::parse(text, channels + 1) {
        ResumePoint::Earliest => assert_eq!(text, "earliest"),
        ResumePoint::Unreadable(shown) => {
            assert!(text.starts_with(&shown) && shown.len() <= MAX_CURSOR_BYTES);
        }
        resume => panic!("{resume:?}"),
    }
}

fn check_positions(positions: Vec<Position>) {
    for position in &positions {
        let cursor = Cursor::from(*position);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(cursor) = Cursor::new(positions) {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
