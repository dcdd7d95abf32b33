//! The tables of docs/configuration.md list exactly the variables of spin.toml, with their defaults.

use std::collections::BTreeMap;
use std::path::Path;

use runnel_host::Manifest;

use crate::markdown::{pages, root};

/// Returns the default of each variable, in the notation of the page.
fn defaults() -> BTreeMap<String, String> {
    let manifest = Manifest::load(&root().join("spin.toml")).unwrap();
    let written = manifest.variables.into_iter().map(|(name, variable)| {
        let written = match variable.default.as_deref() {
            None => "*required*".to_owned(),
            Some("") => "*empty*".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        (name, written)
    });
    written.collect()
}

#[test]
fn the_tables_list_the_variables_of_spin_toml_with_their_defaults() {
    let pages = pages();
    let page = pages
        .iter()
        .find(|page| page.path == Path::new("docs/configuration.md"))
        .unwrap();
    let mut listed = BTreeMap::new();
    for (line, text) in page.prose() {
        let mut cells = text.split('|').map(str::trim).skip(1);
        let (Some(name), Some(default)) = (cells.next(), cells.next()) else {
            continue;
        };
        if let Some(name) = name
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        {
            let default = default.trim_end_matches(" (off)").to_owned();
            let earlier = listed.insert(name.to_owned(), default);
            assert_eq!(earlier, None, "line {line}: {name} is listed twice");
        }
    }
    assert_eq!(listed, defaults());
}
