//! Runnel below a path of another application.

use http::header::LOCATION;
use runnel_testing::{Channel, HostProcess, MountedApplication, Request, can_start_hosts};
use serde_json::{Value, json};

use crate::tokens::fixture::SUBSCRIBE_TOKEN;

const BASE: &str = MountedApplication::BASE;

/// A host of an application in which Runnel is mounted.
struct Mounted {
    host: HostProcess,
    channel: String,
    _application: MountedApplication,
    _state: tempfile::TempDir,
}

impl Mounted {
    fn with(variables: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let application = MountedApplication::new();
        let host = HostProcess::start_mounted(&application, state.path(), variables);
        Self {
            channel: Channel::on(host.server.clone()).name,
            host,
            _application: application,
            _state: state,
        }
    }

    fn get(&self, path: &str) -> Request {
        self.host.server.get(path)
    }

    /// Returns a request to a path in which `{channel}` stands for the channel.
    fn request(&self, method: &str, path: &str) -> Request {
        let path = path.replace("{channel}", &self.channel);
        self.host.server.request(method, &path)
    }

    fn publish(&self, path: &str) -> Request {
        let request = self.request("POST", path).authorized();
        request.body("text/plain", "x")
    }
}

#[tokio::test]
async fn every_described_path_is_served_below_the_base_path_and_nowhere_else() {
    if !can_start_hosts("the base path") {
        return;
    }
    let mounted = Mounted::with(&[]);
    let id = mounted
        .publish(&format!("{BASE}/publish/{{channel}}"))
        .send()
        .await
        .event_id();
    let description = mounted.get(&format!("{BASE}/openapi.json"));
    let description = description.fetch_json().await;
    assert_eq!(description["servers"], json!([{ "url": BASE }]));
    for (path, operations) in description["paths"].as_object().unwrap() {
        let method = if operations.get("get").is_some() {
            "GET"
        } else {
            "POST"
        };
        let query = match path.as_str() {
            "/events" => "?channel={channel}&last=1&live=false",
            "/events/{channel}" => "?last=1&live=false",
            _ => "",
        };
        // Another channel is closed, so that this one can still be published to.
        let path = path.replace("/close", ":1/close");
        let below = mounted.request(method, &format!("{BASE}{path}{query}"));
        let below = below.authorized().body("text/plain", "x").send().await;
        assert!(below.status.is_success(), "{method} {path}: {below:?}");
        // Without the base path, the request reaches the application's own component.
        let own = mounted.request(method, &format!("{path}{query}"));
        let own = own.authorized().send().await;
        let has_the_event = String::from_utf8_lossy(&own.body).contains(&id);
        assert!(!has_the_event, "{method} {path}: {own:?}");
    }
    let own = mounted.get("/health/live").fetch_json().await;
    assert_eq!(own["status"], "ok");
}

#[tokio::test]
async fn a_path_that_is_not_below_the_base_path_is_not_found_and_the_problem_lists_those_that_are()
{
    if !can_start_hosts("paths beside the base path") {
        return;
    }
    // The routes of the manifest lead these paths to Runnel, whose base path differs.
    let mounted = Mounted::with(&["base_path=/live"]);
    for path in ["/realtime/health", "/realtime/events/a", "/realtime/"] {
        let response = mounted.get(path).send().await;
        response.assert_problem(404, "not-found", "/live/events/{channel}");
    }
}

#[tokio::test]
async fn every_link_below_the_base_path_resolves() {
    if !can_start_hosts("links below the base path") {
        return;
    }
    let mounted = Mounted::with(&["token_in_query=true", "max_channels=2"]);
    let published = mounted.publish(&format!("{BASE}/publish/{{channel}}"));
    let published = published.send().await.expect_status(201);
    let [events] = published.links("monitor")[..] else {
        panic!("{published:?}")
    };
    let query = "?last=1&live=false&access_token=secret";
    let stream = mounted.get(&format!("{events}{query}"));
    let stream = stream.send().await.expect_status(200);
    assert!(String::from_utf8_lossy(&stream.body).contains(&published.event_id()));
    let own = format!("{events}?last=1&live=false");
    assert_eq!(stream.links("self"), [own.as_str()]);
    let [publish] = stream.links("edit")[..] else {
        panic!("{stream:?}")
    };
    let again = mounted.publish(publish).send().await;
    assert_eq!(again.links("monitor"), [events]);

    let both = format!("{BASE}/events?channel={{channel}}&channel=other&last=1");
    let page = mounted.request("GET", &both).accept_json().send().await;
    let page = page.expect_status(200);
    let [first, second] = page.links("edit")[..] else {
        panic!("{page:?}")
    };
    for target in [first, second] {
        mounted.publish(target).send().await.expect_status(201);
    }
    let [next] = page.links("next")[..] else {
        panic!("{page:?}")
    };
    let next = mounted.get(next).fetch_json().await;
    assert_eq!(next["events"].as_array().unwrap().len(), 2, "{next}");
}

#[tokio::test]
async fn the_base_path_without_its_slash_leads_to_the_console() {
    if !can_start_hosts("the console below the base path") {
        return;
    }
    let mounted = Mounted::with(&[]);
    for (query, kept) in [
        ("", ""),
        (
            "?channel=orders%2F1&channel=b",
            "?channel=orders%2F1&channel=b",
        ),
        ("?access_token=secret&channel=a", "?channel=a"),
        ("?x=<\\^`{}|", "?x=%3C%5C%5E%60%7B%7D%7C"),
    ] {
        let head = format!("GET {BASE}{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",);
        let response = mounted.host.server.send_raw(head.as_bytes()).await;
        if response.status == 400 {
            // The HTTP library of the server rejects the URI.
            continue;
        }
        let response = response.expect_status(307);
        let location = response.headers[LOCATION].to_str().unwrap();
        assert_eq!(location, format!("{BASE}/{kept}"));
        let page = mounted.get(location).send().await.expect_status(200);
        assert!(page.body.starts_with(b"<!"));
    }
    let response = mounted.request("POST", BASE).send().await;
    response.assert_problem(405, "method", "GET, HEAD, OPTIONS");
}

#[tokio::test]
async fn slashes_at_the_ends_of_the_base_path_make_no_difference() {
    if !can_start_hosts("spellings of the base path") {
        return;
    }
    for value in ["realtime", "/realtime/", "realtime/"] {
        let mounted = Mounted::with(&[&format!("base_path={value}")]);
        let response = mounted.publish("/realtime/publish/{channel}").send().await;
        let events = format!("{BASE}/events/{}", mounted.channel);
        assert_eq!(
            response.expect_status(201).links("monitor"),
            [events.as_str()]
        );
    }
}

#[tokio::test]
async fn an_invalid_base_path_is_reported_on_every_route() {
    if !can_start_hosts("an invalid base path") {
        return;
    }
    let mounted = Mounted::with(&["base_path=https://example.com/realtime"]);
    for path in [
        "events/a",
        "publish/a",
        "channels/a",
        "health",
        "metrics",
        "",
    ] {
        let response = mounted.get(&format!("{BASE}/{path}")).send().await;
        response.assert_problem(500, "configuration", "base_path is \"https://example.com");
    }
}

#[tokio::test]
async fn other_origins_and_subscribe_tokens_work_below_the_base_path() {
    if !can_start_hosts("access below the base path") {
        return;
    }
    let mounted = Mounted::with(&[
        "cors_origins=https://a.example",
        "subscribe_auth=token",
        &format!("subscribe_token={SUBSCRIBE_TOKEN}"),
    ]);
    let events = format!("{BASE}/events/{{channel}}?live=false");
    let from_origin = |request: Request| request.header("origin", "https://a.example");
    let response = from_origin(mounted.request("GET", &events)).send().await;
    response.assert_problem(401, "unauthorized", "token");
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://a.example"));
    let response = from_origin(mounted.request("GET", &events));
    let response = response.cookie(SUBSCRIBE_TOKEN).send().await;
    response.expect_status(204);
    // The console and the routes of operators have no such headers, there as elsewhere.
    let response = from_origin(mounted.get(&format!("{BASE}/health")));
    let response = response.send().await.expect_status(200);
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_forged_header_of_spin_does_not_move_the_base_path() {
    if !can_start_hosts("forged headers and the base path") {
        return;
    }
    let mounted = Mounted::with(&[]);
    let path = format!("{BASE}/publish/{{channel}}");
    let mut request = mounted.publish(&path);
    for name in [
        "spin-base-path",
        "spin-component-route",
        "spin-raw-component-route",
        "spin-matched-route",
        "x-forwarded-prefix",
    ] {
        request = request.header(name, "/forged");
    }
    let response = request.send().await.expect_status(201);
    let links: Vec<Value> = response
        .links("monitor")
        .iter()
        .map(|link| json!(link))
        .collect();
    assert_eq!(links, [format!("{BASE}/events/{}", mounted.channel)]);
}
