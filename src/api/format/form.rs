//! `application/x-www-form-urlencoded`: an event as a page's form sends it.

use super::Publication;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::core::log::NewEvent;

/// Reads the fields `data`, `event` (its type) and `id` (its idempotency key).
pub(super) fn read(text: &str, event_type: Option<&str>) -> Result<Publication, Problem> {
    let form = Query::decode(text, &[]).map_err(Problem::body)?;
    let refused = |what: &str| {
        Problem::body(format_args!(
            "{what}; a form has the field `data` and may have `event` and `id`"
        ))
    };
    if let Some(name) = form
        .names()
        .find(|name| !["data", "event", "id"].contains(name))
    {
        return Err(refused(&format!("the form has the field {name:?}")));
    }
    let data = form
        .get("data")
        .ok_or_else(|| refused("the form has no field `data`"))?;
    if event_type.is_some() && form.get("event").is_some() {
        return Err(Problem::query(
            "`event` is in the query and in the form; give it once",
        ));
    }
    let event_type = form
        .get("event")
        .filter(|text| !text.is_empty())
        .or(event_type);
    let mut publication = Publication::of(NewEvent {
        event_type: event_type.map(str::to_owned),
        data: data.to_owned(),
        trace: None,
    });
    let id = form.get("id").filter(|id| !id.is_empty());
    publication.key = id.map(|id| vec![id.to_owned()]);
    Ok(publication)
}
