//! What pages of other origins may do.

use crate::channel::Channel;
use crate::client::{Answer, Request};
use crate::server::{Host, may_start_hosts};

const ALLOWED: &str = "https://a.example";
const OTHER: &str = "https://b.example";

/// A host with this value of `cors_origins`, for as long as the folder is there; a channel on it.
struct Shared {
    channel: Channel,
    _host: Host,
    _folder: tempfile::TempDir,
}

impl Shared {
    fn with(origins: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::start(folder.path(), &[&format!("cors_origins={origins}")]);
        Self {
            channel: Channel::on(host.server.clone()),
            _host: host,
            _folder: folder,
        }
    }
}

/// One request of each kind that a page may make, and the status of its answer.
fn requests(channel: &Channel) -> Vec<(Request, u16)> {
    let server = &channel.server;
    let publish = format!("/publish/{}", channel.name);
    let unauthorized = server.request("POST", &publish);
    vec![
        (channel.events("?live=false"), 204),
        (channel.publish("").body("text/plain", "x"), 201),
        (channel.events("?live=false&last=1"), 200),
        (channel.events("?last=1").long_poll(), 200),
        (
            server.get(&format!(
                "/events?last=1&live=false&channel={}",
                channel.name
            )),
            200,
        ),
        (
            server.request("HEAD", &format!("/events/{}", channel.name)),
            200,
        ),
        (channel.manage("GET", ""), 200),
        (channel.manage("POST", "/close"), 204),
        (channel.manage("DELETE", ""), 204),
        // Problems.
        (unauthorized.body("text/plain", "x"), 401),
        (channel.publish("").body("image/png", "x"), 415),
        (channel.events("?last=0"), 400),
        (channel.events("?limit=0").long_poll(), 400),
        (server.get("/events"), 400),
        (server.get("/events?channel=a+b"), 400),
        (server.request("PUT", &publish), 405),
        (Channel::on(server.clone()).manage("GET", ""), 404),
    ]
}

fn names_of_cors(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().map(http::HeaderName::as_str);
    names
        .filter(|name| name.starts_with("access-control"))
        .collect()
}

fn preflight(channel: &Channel, path: &str, origin: &str, method: &str) -> Request {
    let request = channel.server.request("OPTIONS", path);
    let request = request.header("origin", origin);
    request.header("access-control-request-method", method)
}

#[tokio::test]
async fn without_a_setting_nothing_is_said_to_pages_of_other_origins() {
    let channel = Channel::new();
    for (request, status) in requests(&channel) {
        let answer = request.header("origin", ALLOWED).send().await.has(status);
        assert_eq!(names_of_cors(&answer), <[&str; 0]>::default(), "{answer:?}");
        assert!(!answer.list("vary").contains(&"origin"));
    }
    let path = format!("/publish/{}", channel.name);
    let answer = preflight(&channel, &path, ALLOWED, "POST")
        .send()
        .await
        .has(204);
    assert_eq!(names_of_cors(&answer), <[&str; 0]>::default());
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_every_answer_with_credentials() {
    if !may_start_hosts("pages of listed origins") {
        return;
    }
    let site = Shared::with(&format!(
        "{ALLOWED},http://localhost:8080, https://c.example"
    ));
    for origin in [ALLOWED, "http://localhost:8080", "https://c.example"] {
        let channel = Channel::on(site.channel.server.clone());
        for (request, status) in requests(&channel) {
            let answer = request.header("origin", origin).send().await.has(status);
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, Some(origin), "{answer:?}");
            let credentials = answer.header("access-control-allow-credentials");
            assert_eq!(credentials, Some("true"));
            let exposed = answer.list("access-control-expose-headers");
            for name in ["event-id", "etag", "link"] {
                assert!(exposed.contains(&name), "{exposed:?}");
            }
            assert!(answer.list("vary").contains(&"origin"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not_when_some_are_listed() {
    if !may_start_hosts("pages of other origins") {
        return;
    }
    let site = Shared::with(ALLOWED);
    let origins: [Option<&str>; 8] = [
        Some(OTHER),
        Some("null"),
        Some("https://a.example.evil"),
        Some("http://a.example"),
        Some("https://a.example:444"),
        Some("https://a.example, https://b.example"),
        Some(""),
        None,
    ];
    for origin in origins {
        let channel = Channel::on(site.channel.server.clone());
        for (mut request, status) in requests(&channel) {
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = request.send().await.has(status);
            assert_eq!(names_of_cors(&answer), <[&str; 0]>::default(), "{origin:?}");
            assert!(answer.list("vary").contains(&"origin"), "{answer:?}");
        }
        let path = format!("/events/{}", channel.name);
        let answer = preflight(&channel, &path, origin.unwrap_or(OTHER), "GET");
        let answer = answer.send().await.has(204);
        assert_eq!(names_of_cors(&answer), <[&str; 0]>::default());
        assert!(answer.list("vary").contains(&"origin"));
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_what_is_wrong_with_a_path() {
    if !may_start_hosts("problems of paths") {
        return;
    }
    let site = Shared::with(ALLOWED);
    let server = &site.channel.server;
    for path in ["/events/a%20b", "/events/%zz", "/events/", "/publish/a//b"] {
        let answer = server.get(path).header("origin", ALLOWED).send().await;
        let answer = answer.has(400);
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some(ALLOWED), "{path}");
    }
}

#[tokio::test]
async fn a_wildcard_is_for_every_page_and_never_for_credentials() {
    if !may_start_hosts("the wildcard") {
        return;
    }
    let site = Shared::with("*");
    for origin in [Some(ALLOWED), Some("null"), None] {
        let channel = Channel::on(site.channel.server.clone());
        for (mut request, status) in requests(&channel) {
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = request.send().await.has(status);
            assert_eq!(
                answer.header("access-control-allow-origin"),
                Some("*"),
                "{answer:?}"
            );
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            let exposed = answer.list("access-control-expose-headers");
            assert!(exposed.contains(&"event-id"), "{exposed:?}");
        }
    }
}

#[tokio::test]
async fn a_preflight_is_told_methods_and_headers_and_how_long_to_remember() {
    if !may_start_hosts("preflights") {
        return;
    }
    for (value, credentials) in [(ALLOWED, Some("true")), ("*", None)] {
        let site = Shared::with(value);
        for (path, method, methods) in [
            ("/events/a", "GET", &["GET", "HEAD"][..]),
            ("/events", "GET", &["GET", "HEAD"]),
            ("/publish/a", "POST", &["POST"]),
            ("/channels/a", "DELETE", &["GET", "HEAD", "DELETE"]),
            ("/channels/a/close", "POST", &["POST"]),
        ] {
            let request = preflight(&site.channel, path, ALLOWED, method);
            let asked = "authorization,content-type,idempotency-key,last-event-id";
            let request = request.header("access-control-request-headers", asked);
            // A preflight has no credentials.
            let answer = request.send().await.has(204);
            let allowed = answer.list("access-control-allow-methods");
            assert!(
                methods.iter().all(|method| allowed.contains(method)),
                "{path}: {allowed:?}"
            );
            let allowed = answer.list("access-control-allow-headers");
            for name in asked
                .split(',')
                .chain(["if-none-match", "prefer", "ce-id", "ce-type"])
            {
                assert!(allowed.contains(&name), "{name} is not in {allowed:?}");
            }
            assert!(
                !allowed.contains(&"*"),
                "a wildcard does not cover authorization"
            );
            let seconds = answer.header("access-control-max-age").unwrap();
            assert!(seconds.parse::<u64>().unwrap() >= 600);
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                credentials
            );
            assert_eq!(answer.body, "");
        }
        // Not every OPTIONS is a preflight.
        let plain = site.channel.server.request("OPTIONS", "/publish/a");
        let plain = plain.header("origin", ALLOWED).send().await.has(204);
        assert_eq!(plain.header("access-control-allow-methods"), None);
        assert_eq!(plain.header("allow"), Some("POST, OPTIONS"));
    }
}

#[tokio::test]
async fn what_is_no_origin_is_refused_by_the_name_of_the_variable() {
    if !may_start_hosts("bad origins") {
        return;
    }
    for value in [
        "https://a.example/",
        "a.example",
        "https://A.example",
        "https://a.example, *",
        "null",
        "https://*.example",
    ] {
        let site = Shared::with(value);
        let channel = &site.channel;
        for request in [
            channel.events(""),
            channel.publish("").body("text/plain", "x"),
            channel.manage("GET", ""),
            channel
                .server
                .request("OPTIONS", &format!("/events/{}", channel.name)),
        ] {
            let answer = request.header("origin", ALLOWED).send().await;
            answer.is_problem(500, "configuration", "cors_origins");
            assert_eq!(names_of_cors(&answer), <[&str; 0]>::default());
        }
        channel.server.get("/health").send().await.has(200);
    }
}
