//! JSON as the data of an event.

use serde::de::IgnoredAny;

/// The byte order mark, which programs on Windows put at the beginning of files. JSON must not begin with
/// it, but parsers may ignore it (RFC 8259, 8.1).
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns the text without a byte order mark at its beginning.
pub(super) fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Checks that the text is JSON.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text).map(drop)
}

/// Returns valid JSON on one line: without line ends, the white space next to them, and that around the
/// whole.
///
/// Nothing else changes, since JSON has line ends only between its tokens: strings have them escaped.
/// An event stream would send each line in a field of its own, and a line feed at the end as an empty one.
pub(super) fn on_one_line(json: &str) -> String {
    json.split(['\r', '\n']).map(str::trim_ascii).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_is_put_on_one_line_without_other_changes() {
        for (json, expected) in [
            ("{\"a\":1}", "{\"a\":1}"),
            ("{ \"a\" : [ ] }", "{ \"a\" : [ ] }"),
            ("{\"a\":1}\n", "{\"a\":1}"),
            (" \t\"text\"\r\n", "\"text\""),
            ("\n\nnull\n\n", "null"),
            ("[\n  1,\r\n\t2\r]\n", "[1,2]"),
            ("[1, 2,\n 3]", "[1, 2,3]"),
            ("{\n  \"a\": \" \\n x \\\\\"\n}", "{\"a\": \" \\n x \\\\\"}"),
            (
                "{\n\"a\": 1.0E+2,\n\"a\": 100000000000000000001,\n\"\\u0061\": -0\n}",
                "{\"a\": 1.0E+2,\"a\": 100000000000000000001,\"\\u0061\": -0}",
            ),
            ("\"\u{2028}\u{85}\"\n", "\"\u{2028}\u{85}\""),
        ] {
            assert!(check(json).is_ok(), "{json}");
            assert_eq!(on_one_line(json), expected);
        }
    }

    #[test]
    fn a_string_cannot_have_a_line_end_or_a_tab() {
        for text in [
            "\"\n\"",
            "\"a\r\"",
            "\"\t\"",
            "{\"a\n\":1}",
            "[\"a\",\"b\n\"]",
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Property: pretty-printed JSON has the same value on one line.
        #[test]
        fn the_value_on_one_line_is_the_same(value in any_value(), line_end in "\r\n|\n|\r") {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let pretty = format!("{}{line_end}", pretty.replace('\n', &line_end));
            let line = on_one_line(&pretty);
            prop_assert!(!line.contains(['\r', '\n']));
            prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        }
    }
}
