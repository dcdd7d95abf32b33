//! Which component serves a path.
//!
//! As in Spin: an exact route beats a wildcard, among wildcards the longest prefix wins, `/a/...`
//! also matches `/a` and `/a/`, slashes at either end of a path do not matter, and of two equal
//! routes the later one counts.

use anyhow::{Result, ensure};

/// The route table of an application.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Vec<Route>);

/// One route and the component behind it.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// As written in the manifest.
    pub(crate) pattern: String,
    /// The component that serves it.
    pub(crate) component: String,
    /// The pattern without wildcard and without slashes at its ends.
    prefix: String,
    wildcard: bool,
}

/// A route that matches a path.
#[derive(Debug)]
pub(crate) struct RouteMatch<'a> {
    /// The route.
    pub(crate) route: &'a Route,
    /// What the wildcard matched, with the leading and trailing slash of the path; empty when the
    /// path is the bare prefix or the route is exact.
    pub(crate) path_info: String,
}

impl Routes {
    /// Reads the routes, given as pairs of pattern and component.
    pub(crate) fn new<'a>(routes: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut table: Vec<Route> = Vec::new();
        for (pattern, component) in routes {
            ensure!(
                !pattern.split('/').any(|segment| segment.starts_with(':')),
                "trigger.http: the route {pattern:?} has a named segment, which this host does not know"
            );
            let bare = pattern
                .strip_suffix("/...")
                .or_else(|| pattern.strip_suffix("/*"));
            let route = Route {
                pattern: pattern.to_owned(),
                component: component.to_owned(),
                prefix: bare.unwrap_or(pattern).trim_matches('/').to_owned(),
                wildcard: bare.is_some(),
            };
            table.retain(|other| other.pattern != route.pattern);
            table.push(route);
        }
        // Best first, so that the first that matches is the one.
        table.sort_by_key(|route| (route.wildcard, std::cmp::Reverse(route.prefix.len())));
        Ok(Self(table))
    }

    /// The best route for a path.
    pub(crate) fn find(&self, path: &str) -> Option<RouteMatch<'_>> {
        let inner = path.trim_matches('/');
        self.0.iter().find_map(|route| {
            let rest = route.rest_of(inner)?;
            Some(RouteMatch {
                route,
                path_info: route.path_info(rest, path.ends_with('/')),
            })
        })
    }
}

impl Route {
    /// The pattern without its wildcard.
    pub(crate) fn without_wildcard(&self) -> &str {
        self.pattern.strip_suffix("/...").unwrap_or(&self.pattern)
    }

    fn rest_of<'p>(&self, inner: &'p str) -> Option<&'p str> {
        if !self.wildcard {
            return (inner == self.prefix).then_some("");
        }
        if self.prefix.is_empty() {
            return Some(inner);
        }
        match inner.strip_prefix(self.prefix.as_str())? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    fn path_info(&self, rest: &str, trailing_slash: bool) -> String {
        match (self.wildcard, rest.is_empty(), trailing_slash) {
            (false, ..) | (true, true, false) => String::new(),
            (true, true, true) => "/".to_owned(),
            (true, false, false) => format!("/{rest}"),
            (true, false, true) => format!("/{rest}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Routes {
        Routes::new(
            [
                ("/...", "console"),
                ("/events/...", "subscribe"),
                ("/events/admin/...", "admin"),
                ("/events/exact", "exact"),
            ]
            .into_iter(),
        )
        .unwrap()
    }

    fn component(path: &str) -> String {
        table().find(path).unwrap().route.component.clone()
    }

    #[test]
    fn a_wildcard_matches_its_prefix_and_all_below_it() {
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
    fn without_a_wildcard_over_everything_some_paths_have_no_route() {
        let routes = Routes::new([("/a", "a"), ("/b/...", "b")].into_iter()).unwrap();
        assert!(routes.find("/").is_none());
        assert!(routes.find("/a/b").is_none());
        assert!(routes.find("/b").is_some());
    }

    #[test]
    fn the_later_of_two_equal_routes_counts() {
        let routes = Routes::new([("/a", "first"), ("/a", "second")].into_iter()).unwrap();
        assert_eq!(routes.find("/a").unwrap().route.component, "second");
    }

    #[test]
    fn path_info_is_what_the_wildcard_matched() {
        let info = |path| table().find(path).unwrap().path_info;
        assert_eq!(info("/events"), "");
        assert_eq!(info("/events/"), "/");
        assert_eq!(info("/events/a%20b/c"), "/a%20b/c");
        assert_eq!(info("/events/a/"), "/a/");
        assert_eq!(info("/events/exact"), "");
    }

    #[test]
    fn named_segments_are_refused() {
        assert!(Routes::new([("/user/:id", "a")].into_iter()).is_err());
    }
}
