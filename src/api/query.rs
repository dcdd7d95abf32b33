//! Query parameters.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The parameters that a last event ID may be given in, the first that is there.
pub const LAST_EVENT_ID_PARAMETERS: [&str; 3] = ["last_event_id", "lastEventId", "Last-Event-ID"];

/// The parameters of a request, decoded. Those that nobody asks for are ignored.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query. Each name may be given once, except those `repeated`.
    pub fn parse(query: Option<&str>, repeated: &[&str]) -> Result<Self, Problem> {
        Self::decode(query.unwrap_or_default(), repeated).map_err(Problem::query)
    }

    /// Decodes what is encoded as a form (WHATWG URL 5.1), but takes only UTF-8.
    pub(super) fn decode(text: &str, repeated: &[&str]) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = vec![];
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let again = pairs.iter().any(|(given, _)| *given == name);
            if again && !repeated.contains(&name.as_str()) {
                return Err(format!("`{name}` is given more than once"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a parameter, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(given, _)| given == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// A parameter that is a whole number.
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
            _ => Err(Problem::query(format_args!(
                "`{name}` is {text:?}; accepted is a whole number from {} to {}",
                accepted.start(),
                accepted.end()
            ))),
        }
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Problem::query(format_args!(
                "`{name}` is {other:?}; accepted are `true` and `false`"
            ))),
        }
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(Cow::into_owned)
        .map_err(|_| format!("{text:?} does not decode to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Law: any query is parameters or a problem, and so is each of them.
        #[test]
        fn any_query_is_read_or_refused(text in prop_oneof![
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
    fn parameters_are_decoded_and_each_is_given_once() {
        let query =
            Query::parse(Some("a=%20+x&b&live=false&last=3"), &[]).unwrap_or_else(|_| panic!());
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
        let query = Query::parse(Some("a=1&b=2&a=3"), &["a"]).unwrap_or_else(|_| panic!());
        assert_eq!(query.all("a"), ["1", "3"]);
        for last in ["0", "-1", "+1", "x", "", "1.0", "18446744073709551616"] {
            let query =
                Query::parse(Some(&format!("last={last}")), &[]).unwrap_or_else(|_| panic!());
            assert!(query.number("last", 1..=u64::MAX).is_err(), "{last}");
        }
    }
}
