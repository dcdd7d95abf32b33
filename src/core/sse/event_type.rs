//! Event types: the names under which `EventSource` listeners are registered.

use thiserror::Error;

/// The longest event type that publishers can use, in bytes.
pub const MAX_EVENT_TYPE_BYTES: usize = 255;

/// An event type that fits on a line of an event stream: not empty, and without CR, LF and NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType<'a>(&'a str);

impl<'a> EventType<'a> {
    /// Parses an event type, including those reserved for Runnel.
    ///
    /// # Errors
    /// Returns an error if it is empty, or has a character that ends a line or voids a field (WHATWG HTML
    /// 9.2.5 and 9.2.6).
    pub fn parse(text: &'a str) -> Result<Self, EventTypeError> {
        if text.is_empty() {
            return Err(EventTypeError::Empty);
        }
        if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_some() {
            return Err(EventTypeError::LineBreakOrNul);
        }
        Ok(Self(text))
    }

    /// Parses an event type from a publisher.
    ///
    /// # Errors
    /// Returns the errors of [`EventType::parse`], and an error if the type is longer than
    /// [`MAX_EVENT_TYPE_BYTES`] or reserved: browsers themselves dispatch `open` and `error`, and
    /// `runnel.*` are Runnel's control events.
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

    /// Returns the text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Reasons to reject an event type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventTypeError {
    /// The type is empty.
    #[error("the event type is empty; leave it out for an event of type `message`")]
    Empty,
    /// The type has a carriage return, a line feed or a NUL.
    #[error("the event type contains a carriage return, line feed or NUL character")]
    LineBreakOrNul,
    /// The type has this many bytes, more than [`MAX_EVENT_TYPE_BYTES`].
    #[error("the event type has {0} bytes; at most {MAX_EVENT_TYPE_BYTES} are accepted")]
    TooLong(usize),
    /// Publishers cannot use this type.
    #[error(
        "the event type `{0}` is reserved: browsers dispatch `open` and `error` themselves, and \
         `runnel.*` are Runnel's control events"
    )]
    Reserved(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_can_use_any_single_line() {
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
    fn types_that_would_break_a_line_or_pass_for_a_control_event_are_rejected() {
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
