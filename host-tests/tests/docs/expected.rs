//! Comparison of output with the one that a page shows.

use serde_json::Value;

/// The epoch in the IDs of the pages' examples.
pub(crate) const SAMPLE_EPOCH: &str = "3k9x2a";

const SAMPLE_MILLIS: &str = "1795363200000";

const EPOCH_DIGITS: usize = 6;

/// Returns the epoch of the last event ID in `text`.
pub(crate) fn last_epoch(text: &str) -> Option<&str> {
    epochs(text)
        .pop()
        .map(|start| &text[start..start + EPOCH_DIGITS])
}

/// Returns the offsets of epochs: six digits of base 36 before a hyphen and a decimal digit, after no other
/// digit.
fn epochs(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let is_base_36 = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let hyphens = text.match_indices('-').map(|(at, _)| at);
    let starts = hyphens.filter_map(|at| {
        let start = at.checked_sub(EPOCH_DIGITS)?;
        let is_epoch = bytes[start..at].iter().all(is_base_36)
            && !bytes[..start].last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        is_epoch.then_some(start)
    });
    starts.collect()
}

/// Replaces epochs and times in milliseconds, which vary from run to run, by the samples of the pages.
pub(crate) fn normalised(text: &str) -> String {
    let mut text = text.to_owned();
    for start in epochs(&text) {
        text.replace_range(start..start + EPOCH_DIGITS, SAMPLE_EPOCH);
    }
    let mut rest = text.as_str();
    let mut out = String::new();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_digit());
        let end = digits.map_or(rest.len(), |digits| start + digits);
        out.push_str(&rest[..start]);
        let is_time = end - start == SAMPLE_MILLIS.len();
        out.push_str(if is_time {
            SAMPLE_MILLIS
        } else {
            &rest[start..end]
        });
        rest = &rest[end..];
    }
    out + rest
}

/// Returns whether the lines of `expected` that are not empty occur in `actual` in their order.
pub(crate) fn has_lines(actual: &str, expected: &str) -> bool {
    let (actual, expected) = (normalised(actual), normalised(expected));
    let mut lines = actual.lines().map(str::trim_end);
    let mut expected = expected.lines().filter(|line| !line.is_empty());
    expected.all(|line| lines.any(|other| other == line))
}

/// Returns whether both are the same JSON.
pub(crate) fn is_same_json(actual: &str, expected: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(&normalised(text)).ok();
    let expected = parse(expected).expect("the expected output is JSON");
    parse(actual) == Some(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_times_match_any_value() {
        assert_eq!(last_epoch("id: aaaaaa-1\nid: 0000zz-2"), Some("0000zz"));

        assert_eq!(last_epoch("order-1, abcdefg-1, aaaaaa-x"), None);
        assert_eq!(
            normalised("(zzzzzz-7) 1800000000000 99"),
            "(3k9x2a-7) 1795363200000 99"
        );
    }

    #[test]
    fn lines_are_expected_in_order() {
        let actual = ": runnel\n\ndata: a\nid: aaaaaa-1\r\n\ndata: b\n";
        assert!(has_lines(actual, "data: a\nid: 3k9x2a-1\n\ndata: b\n"));
        assert!(!has_lines(actual, "data: b\ndata: a\n"));
        assert!(!has_lines(actual, "id: 3k9x2a-2\n"));
    }

    #[test]
    fn json_is_compared_by_value() {
        assert!(is_same_json(
            r#"{"a":1,"id":"aaaaaa-1"}"#,
            r#"{"id": "3k9x2a-1", "a": 1}"#
        ));
        assert!(!is_same_json(r#"{"a":1}"#, r#"{"a": 2}"#));
        assert!(!is_same_json("not JSON", "{}"));
    }
}
