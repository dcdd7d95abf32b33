//! `application/x-www-form-urlencoded`: one event, as a form of a page sends it.

use super::{ContentKey, Publication};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::core::log::NewEvent;

const FIELDS: [&str; 3] = ["data", "event", "id"];

/// Parses the fields `data`, `event` (the event type) and `id` (the idempotency key).
pub(super) fn parse(text: &str, event_type: Option<&str>) -> Result<Publication, Problem> {
    let form = Query::decode(text, &[]).map_err(Problem::body)?;
    let malformed = |reason: &str| {
        Problem::body(format_args!(
            "{reason}; expected `data`, and optionally `event` and `id`; data that is not a form needs \
             its own content-type"
        ))
    };
    if let Some(name) = form.names().find(|name| !FIELDS.contains(name)) {
        return Err(malformed(&format!("the form has the field {name:?}")));
    }
    let data = form
        .get("data")
        .ok_or_else(|| malformed("the form has no field `data`"))?;
    if event_type.is_some() && form.get("event").is_some() {
        return Err(Problem::query(
            "`event` is in the query and in the form; give it only once",
        ));
    }
    let not_empty = |name: &str| form.get(name).filter(|value| !value.is_empty());
    let mut publication = Publication::single(NewEvent {
        event_type: not_empty("event").or(event_type).map(str::to_owned),
        data: data.to_owned(),
        trace: None,
    });
    publication.key = not_empty("id").map(|id| ContentKey::Form(id.to_owned()));
    Ok(publication)
}
