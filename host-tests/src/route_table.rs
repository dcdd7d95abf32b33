//! The mapping of request paths to components.
//!
//! The rules are Spin's. An exact route precedes a wildcard, and among wildcards the longest prefix
//! wins. `/a/...` also matches `/a` and `/a/`. Slashes at either end of a path are ignored. Of two
//! equal routes the later one counts.

use std::cmp::Reverse;

use thiserror::Error;

/// The routes of an application.
#[derive(Debug, Clone)]
pub(crate) struct RouteTable(Vec<Route>);

/// A route and its component.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The pattern, as written in the manifest.
    pub(crate) pattern: String,
    /// The component that serves the route.
    pub(crate) component: String,
    /// The pattern without its wildcard and without slashes at its ends.
    prefix: String,
    is_wildcard: bool,
}

/// The route of a path.
#[derive(Debug)]
pub(crate) struct RouteMatch<'a> {
    /// The route.
    pub(crate) route: &'a Route,
    /// The part of the path that the wildcard matched, with its leading and trailing slash. Empty if
    /// the path is the bare prefix or the route is exact.
    pub(crate) path_info: String,
}

/// A route with a named segment, which this host does not support.
#[derive(Debug, Error)]
#[error("trigger.http: the route {0:?} has a named segment, which this host does not support")]
pub struct UnsupportedRoute(String);

impl RouteTable {
    /// Builds the table from pairs of pattern and component.
    pub(crate) fn new<'a>(
        routes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, UnsupportedRoute> {
        let mut table: Vec<Route> = Vec::new();
        for (pattern, component) in routes {
            let route = Route::new(pattern, component)?;
            table.retain(|other| other.pattern != route.pattern);
            table.push(route);
        }
        // In order of precedence: the first route that matches wins.
        table.sort_by_key(|route| (route.is_wildcard, Reverse(route.prefix.len())));
        Ok(Self(table))
    }

    /// Returns the route that serves `path`.
    pub(crate) fn find(&self, path: &str) -> Option<RouteMatch<'_>> {
        let trimmed = path.trim_matches('/');
        self.0.iter().find_map(|route| {
            let remainder = route.strip_prefix(trimmed)?;
            Some(RouteMatch {
                route,
                path_info: path_info(remainder, route.is_wildcard && path.ends_with('/')),
            })
        })
    }
}

impl Route {
    fn new(pattern: &str, component: &str) -> Result<Self, UnsupportedRoute> {
        if pattern.split('/').any(|segment| segment.starts_with(':')) {
            return Err(UnsupportedRoute(pattern.to_owned()));
        }
        let prefix = pattern
            .strip_suffix("/...")
            .or_else(|| pattern.strip_suffix("/*"));
        Ok(Self {
            pattern: pattern.to_owned(),
            component: component.to_owned(),
            prefix: prefix.unwrap_or(pattern).trim_matches('/').to_owned(),
            is_wildcard: prefix.is_some(),
        })
    }

    /// Returns the pattern without its wildcard.
    pub(crate) fn without_wildcard(&self) -> &str {
        self.pattern.strip_suffix("/...").unwrap_or(&self.pattern)
    }

    /// Returns the part of a path without outer slashes that follows the prefix; `None` if the route
    /// does not match.
    fn strip_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        if !self.is_wildcard {
            return (path == self.prefix).then_some("");
        }
        if self.prefix.is_empty() {
            return Some(path);
        }
        let remainder = path.strip_prefix(self.prefix.as_str())?;
        if remainder.is_empty() {
            Some("")
        } else {
            remainder.strip_prefix('/')
        }
    }
}

fn path_info(remainder: &str, has_trailing_slash: bool) -> String {
    match (remainder, has_trailing_slash) {
        ("", false) => String::new(),
        ("", true) => "/".to_owned(),
        (_, false) => format!("/{remainder}"),
        (_, true) => format!("/{remainder}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        RouteTable::new([
            ("/...", "console"),
            ("/events/...", "subscribe"),
            ("/events/admin/...", "admin"),
            ("/events/exact", "exact"),
        ])
        .unwrap()
    }

    fn component(path: &str) -> String {
        table().find(path).unwrap().route.component.clone()
    }

    #[test]
    fn a_wildcard_matches_its_prefix_and_every_path_below_it() {
        for path in ["/events", "/events/", "/events/a", "/events/a/b"] {
            assert_eq!(component(path), "subscribe", "{path}");
        }
        assert_eq!(component("/eventsource"), "console");
        assert_eq!(component("/"), "console");
    }

    #[test]
    fn the_longest_wildcard_wins_and_an_exact_route_beats_it() {
        assert_eq!(component("/events/admin/x"), "admin");
        assert_eq!(component("/events/exact"), "exact");
        assert_eq!(component("/events/exact/more"), "subscribe");
    }

    #[test]
    fn a_path_that_no_route_matches_has_none() {
        let routes = RouteTable::new([("/a", "a"), ("/b/...", "b")]).unwrap();
        assert!(routes.find("/").is_none());
        assert!(routes.find("/a/b").is_none());
        assert!(routes.find("/b").is_some());
    }

    #[test]
    fn the_later_of_two_equal_routes_counts() {
        let routes = RouteTable::new([("/a", "first"), ("/a", "second")]).unwrap();
        assert_eq!(routes.find("/a").unwrap().route.component, "second");
    }

    #[test]
    fn path_info_is_the_part_that_the_wildcard_matched() {
        let info = |path| table().find(path).unwrap().path_info;
        assert_eq!(info("/events"), "");
        assert_eq!(info("/events/"), "/");
        assert_eq!(info("/events/a%20b/c"), "/a%20b/c");
        assert_eq!(info("/events/a/"), "/a/");
        assert_eq!(info("/events/exact"), "");
    }

    #[test]
    fn named_segments_are_rejected() {
        assert!(RouteTable::new([("/user/:id", "a")]).is_err());
    }
}
