//! Query parameters.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::percent::{self, NotUtf8};
use super::problem::Problem;

/// The parameters for the last event ID, in order of precedence.
pub const LAST_EVENT_ID_PARAMETERS: [&str; 3] = ["last_event_id", "lastEventId", "Last-Event-ID"];

/// The decoded parameters of a request or the fields of a form. Unknown ones are ignored.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query.
    ///
    /// # Errors
    /// Returns a problem if it does not decode to UTF-8, or if a name not in `repeatable` is given more
    /// than once.
    pub fn parse(query: Option<&str>, repeatable: &[&str]) -> Result<Self, Problem> {
        Self::decode(query.unwrap_or_default(), repeatable).map_err(Problem::query)
    }

    /// Decodes form-encoded parameters (WHATWG URL 5.1), strictly as UTF-8.
    pub(super) fn decode(text: &str, repeatable: &[&str]) -> Result<Self, QueryError> {
        let mut pairs: Vec<(String, String)> = vec![];
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let is_repeated = pairs.iter().any(|(earlier, _)| *earlier == name);
            if is_repeated && !repeatable.contains(&name.as_str()) {
                return Err(QueryError::Repeated(name));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Returns the first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Returns all values of a parameter, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the value of a parameter that is a whole number.
    ///
    /// # Errors
    /// Returns a problem if the value is no such number or not `accepted`.
    pub fn number(
        &self,
        name: &str,
        accepted: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number)
                if accepted.contains(&number) && text.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Ok(Some(number))
            }
            _ => {
                let (start, end) = accepted.into_inner();
                let range = if end == u64::MAX {
                    format!("of at least {start}")
                } else {
                    format!("from {start} to {end}")
                };
                Err(Problem::query(format_args!(
                    "`{name}` is {text:?}; expected a whole number {range}"
                )))
            }
        }
    }

    /// Returns the value of a parameter that is `true` or `false`.
    ///
    /// # Errors
    /// Returns a problem if the value is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Problem::query(format_args!(
                "`{name}` is {other:?}; expected `true` or `false`"
            ))),
        }
    }
}

/// Reasons to reject form-encoded parameters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum QueryError {
    /// A parameter that can be given only once is given again.
    #[error("`{0}` is given more than once")]
    Repeated(String),
    /// A name or value does not decode to UTF-8.
    #[error("{0:?} {NotUtf8}")]
    NotUtf8(String),
}

fn decode(text: &str) -> Result<String, QueryError> {
    let decoded = String::from_utf8(percent::decode_form(text));
    decoded.map_err(|_| QueryError::NotUtf8(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Property: any query, and any parameter in it, is parsed or rejected without a panic.
        #[test]
        fn any_query_is_parsed_or_rejected(text in prop_oneof![
            any::<String>(),
            "((last|live|last_event_id|x)=([0-9]{0,22}|true|false|%[0-9a-f]{0,2}|\\+|é)&?){0,4}",
        ]) {
            if let Ok(query) = Query::parse(Some(&text), &[]) {
                if let Ok(Some(number)) = query.number("last", 1..=u64::MAX) {
                    prop_assert!(number > 0);
                }
                let _ = query.flag("live");
            }
        }
    }

    #[test]
    fn parameters_are_decoded_and_rejected_if_repeated() {
        let query = Query::parse(Some("a=%20+x&b&live=false&last=3"), &[]).unwrap();
        assert_eq!(
            (query.get("a"), query.get("b"), query.get("c")),
            (Some("  x"), Some(""), None)
        );
        assert_eq!(
            (
                query.flag("live").unwrap(),
                query.number("last", 1..=u64::MAX).unwrap()
            ),
            (Some(false), Some(3))
        );
        assert!(Query::parse(Some("a=1&b=2&a=1"), &["b"]).is_err());
        let query = Query::parse(Some("a=1&b=2&a=3"), &["a"]).unwrap();
        assert_eq!(query.all("a"), ["1", "3"]);
        for last in ["0", "-1", "+1", "x", "", "1.0", "18446744073709551616"] {
            let query = Query::parse(Some(&format!("last={last}")), &[]).unwrap();
            assert!(query.number("last", 1..=u64::MAX).is_err(), "{last}");
        }
    }
}
