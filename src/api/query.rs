//! Query parameters.

use super::problem::Problem;

/// The parameters of a request, decoded. Those that nobody asks for are ignored.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query as a form is encoded (WHATWG URL 5.1). Each name may be given once.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = vec![];
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if pairs.iter().any(|(given, _)| *given == name) {
                return Err(Problem::query(format_args!(
                    "the query parameter `{name}` is given more than once"
                )));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that is a whole number from 1 on.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Some(number))
            }
            _ => Err(Problem::query(format_args!(
                "`{name}` is {text:?}; accepted is a whole number from 1 to {}",
                u64::MAX
            ))),
        }
    }

    /// A parameter that is `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
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
