//! Percent-encoding (RFC 3986, 2.1), also as in forms (WHATWG URL, 5.1).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// The text does not decode to UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("does not decode to UTF-8")]
pub(super) struct NotUtf8;

/// Decodes percent-encoded text. A `%` that no two hexadecimal digits follow stands for itself.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, NotUtf8> {
    percent_decode_str(text).decode_utf8().map_err(|_| NotUtf8)
}

/// Decodes a name or value of a form, in which `+` stands for a space.
pub(super) fn decode_form(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

/// Returns whether two hexadecimal digits follow every `%`.
pub(super) fn is_well_formed(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| match rest.as_bytes() {
        [first, second, ..] => first.is_ascii_hexdigit() && second.is_ascii_hexdigit(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_needs_two_hexadecimal_digits() {
        for text in ["", "a", "%2f", "%2F%41b", "a%00"] {
            assert!(is_well_formed(text), "{text}");
        }
        for text in ["%", "a%4", "%zz", "a%%41", "%4%41", "%é"] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
