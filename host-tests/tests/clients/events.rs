//! The events that are published, among them what clients have stumbled over.

use serde::Deserialize;

/// How many events each client reads.
pub(crate) const COUNT: usize = 1000;

/// The types of the events, the default one first.
const TYPES: [&str; 5] = ["message", "price", "order.created", "Größe", "été ☀ 1%&2"];

/// An event as a client reports it, or as it is to be published, without an id.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Event {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) data: String,
}

impl Event {
    /// The event for the message of a test that has failed.
    pub(crate) fn brief(&self) -> String {
        let text = format!("{self:?}");
        text.chars().take(200).collect()
    }

    /// Whether Runnel speaks for itself.
    pub(crate) fn is_signal(&self) -> bool {
        self.kind.starts_with("runnel.")
    }
}

/// The events `0..COUNT`.
pub(crate) fn all() -> Vec<Event> {
    let event = |number: usize| Event {
        id: String::new(),
        kind: TYPES[number % TYPES.len()].to_owned(),
        data: data(number),
    };
    (0..COUNT).map(event).collect()
}

/// What a client has to listen for that is told the types: those above, and Runnel's own.
pub(crate) fn types() -> Vec<&'static str> {
    [&TYPES[..], &["runnel.gap", "runnel.end"]].concat()
}

/// Data as it arrives: an event stream has one line end, LF (WHATWG HTML 9.2.6).
pub(crate) fn on_arrival(data: &str) -> String {
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
        // Line ends to Unicode, but not to an event stream.
        9 => format!("{number}\u{2028}a\u{2029}b\u{85}c\u{b}d\u{c}e\u{1c}f\u{1d}g\u{1e}h"),
        10 => format!("\u{feff}{number} after a byte order mark, \u{feff} another\n\u{feff}third"),
        11 => format!("{number}\0 after a NUL, \u{1b}[1m \u{7f} \t"),
        12 => format!("{number} with\r\nall\rthe\nline ends\r"),
        13 => format!("{number} {}", "long ".repeat(800)),
        14 => format!("{number} {}", "長い".repeat(300)),
        _ => format!("{number}"),
    }
}
