//! The published events. Some contain data that clients are known to parse wrongly.

use serde::Deserialize;

/// The number of events that each client reads.
pub(crate) const COUNT: usize = 1000;

/// The types of the events. The first one is the default.
const TYPES: [&str; 5] = ["message", "price", "order.created", "Größe", "été ☀ 1%&2"];

/// An event as a client reports it. Before it is published it has no id.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Event {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) data: String,
}

impl Event {
    /// Returns the beginning of the event for a failure message.
    pub(crate) fn abbreviated(&self) -> String {
        let text = format!("{self:?}");
        text.chars().take(200).collect()
    }

    /// Returns `true` for a control event, such as `runnel.gap`.
    pub(crate) fn is_control_event(&self) -> bool {
        self.kind.starts_with("runnel.")
    }
}

/// Returns the [`COUNT`] events.
pub(crate) fn all() -> Vec<Event> {
    let event = |number: usize| Event {
        id: String::new(),
        kind: TYPES[number % TYPES.len()].to_owned(),
        data: data(number),
    };
    (0..COUNT).map(event).collect()
}

/// Returns all types, for clients that listen for each type separately.
pub(crate) fn types() -> Vec<&'static str> {
    [&TYPES[..], &["runnel.gap", "runnel.end"]].concat()
}

/// Replaces all line ends with LF, as an event stream does (WHATWG HTML 9.2.6).
pub(crate) fn with_normalized_line_ends(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}

fn data(number: usize) -> String {
    match number % 17 {
        0 => String::new(),
        1 => format!("{number}\nsecond line\nthird line"),
        2 => format!(r#"{{"number":{number},"text":"a \"quoted\" \\ and \n"}}"#),
        3 => format!("{number} Grüße 你好 שלום 👩‍👩‍👧 e\u{301} \u{10ffff}"),
        4 => "\n".to_owned(),
        5 => format!("\n\n{number} between empty lines\n\n"),
        6 => format!("  {number} with spaces around  "),
        7 => format!(": {number} is not a comment"),
        8 => format!("{number}\nid: 7\nevent: other\n\nretry: 1\ndata: not a field"),
        // Line ends in Unicode, but not in an event stream.
        9 => format!("{number}\u{2028}a\u{2029}b\u{85}c\u{b}d\u{c}e\u{1c}f\u{1d}g\u{1e}h"),
        10 => format!("\u{feff}{number} after a byte order mark, \u{feff} another\n\u{feff}third"),
        11 => format!("{number}\0 after a NUL, \u{1b}[1m \u{7f} \t"),
        12 => format!("{number} with\r\nall\rthe\nline ends\r"),
        13 => format!("{number} {}", "long ".repeat(800)),
        14 => format!("{number} {}", "長い".repeat(300)),
        _ => format!("{number}"),
    }
}
