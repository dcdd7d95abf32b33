//! Event types: the name an `EventSource` listener is registered under.

use std::fmt;

/// The longest event type a publisher may give, in bytes.
pub const MAX_EVENT_TYPE_BYTES: usize = 255;

/// An event type that fits on one line of an event stream: not empty, no CR, LF or NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType<'a>(&'a str);

impl<'a> EventType<'a> {
    /// Takes a type that is about to be written to the wire, whoever chose it.
    ///
    /// # Errors
    /// When it is empty or has a character that ends a line or, in an id, voids the field
    /// (WHATWG HTML 9.2.5 and 9.2.6).
    pub fn parse(text: &'a str) -> Result<Self, EventTypeError> {
        if text.is_empty() {
            return Err(EventTypeError::Empty);
        }
        if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_some() {
            return Err(EventTypeError::LineBreakOrNul);
        }
        Ok(Self(text))
    }

    /// Takes a type from a publisher.
    ///
    /// # Errors
    /// As [`EventType::parse`], and when it is longer than [`MAX_EVENT_TYPE_BYTES`] or reserved:
    /// `open` and `error` are fired by the browser itself, `runnel.*` are Runnel's signals.
    pub fn from_publisher(text: &'a str) -> Result<Self, EventTypeError> {
        let parsed = Self::parse(text)?;
        if text.len() > MAX_EVENT_TYPE_BYTES {
            return Err(EventTypeError::TooLong(text.len()));
        }
        if matches!(text, "open" | "error") || text.starts_with("runnel.") {
            return Err(EventTypeError::Reserved(text.to_owned()));
        }
        Ok(parsed)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Why a text is not an event type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTypeError {
    /// Nothing was given.
    Empty,
    /// A carriage return, a line feed or a NUL.
    LineBreakOrNul,
    /// This many bytes, more than [`MAX_EVENT_TYPE_BYTES`].
    TooLong(usize),
    /// A name that publishers cannot use.
    Reserved(String),
}

impl fmt::Display for EventTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(
                f,
                "the event type is empty; leave it out for an event of type `message`"
            ),
            Self::LineBreakOrNul => write!(
                f,
                "the event type contains a carriage return, line feed or NUL character"
            ),
            Self::TooLong(bytes) => write!(
                f,
                "the event type has {bytes} bytes; at most {MAX_EVENT_TYPE_BYTES} are accepted"
            ),
            Self::Reserved(name) => write!(
                f,
                "the event type `{name}` is reserved: `open` and `error` are the browser's own, `runnel.*` are Runnel's signals"
            ),
        }
    }
}

impl std::error::Error for EventTypeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_any_single_line_from_a_publisher() {
        for text in [
            "message",
            " price ",
            "a:b",
            "größe",
            "opened",
            "runnel",
            &"x".repeat(255),
        ] {
            assert_eq!(EventType::from_publisher(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_what_would_break_a_line_or_be_mistaken_for_a_signal() {
        assert_eq!(EventType::from_publisher(""), Err(EventTypeError::Empty));
        for text in ["a\nb", "a\r", "\0", "runnel.gap\n"] {
            assert_eq!(
                EventType::from_publisher(text),
                Err(EventTypeError::LineBreakOrNul)
            );
        }
        for text in ["open", "error", "runnel.gap", "runnel.", "runnel.end"] {
            assert_eq!(
                EventType::from_publisher(text),
                Err(EventTypeError::Reserved(text.to_owned()))
            );
        }
        assert_eq!(
            EventType::from_publisher(&"x".repeat(256)),
            Err(EventTypeError::TooLong(256))
        );
    }
}
