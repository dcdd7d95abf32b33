//! Cross-origin requests (CORS).

mod preflights;

use runnel_testing::{Channel, HostProcess, Request, Response, can_start_hosts};

const LISTED: &str = "https://a.example";
const UNLISTED: &str = "https://b.example";

/// A channel on its own host, with `cors_origins` set.
struct Fixture {
    channel: Channel,
    _host: HostProcess,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn with(origins: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = HostProcess::start(directory.path(), &[&format!("cors_origins={origins}")]);
        Self {
            channel: Channel::on(host.server.clone()),
            _host: host,
            _directory: directory,
        }
    }
}

/// Returns the [`requests`] as a page of `origin` sends them; without one, as a program does.
fn requests_from(channel: &Channel, origin: Option<&str>) -> Vec<(Request, u16)> {
    let with_origin = |request: Request| match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    };
    let requests = requests(channel).into_iter();
    requests
        .map(|(request, status)| (with_origin(request), status))
        .collect()
}

/// Returns one request of each kind that a page can send, with the expected status.
fn requests(channel: &Channel) -> Vec<(Request, u16)> {
    let server = &channel.server;
    let publish = format!("/publish/{}", channel.name);
    let unauthorized = server.request("POST", &publish);
    vec![
        (channel.events("?live=false"), 204),
        (channel.publish("").body("text/plain", "x"), 201),
        (channel.events("?live=false&last=1"), 200),
        (channel.events("?last=1").accept_json(), 200),
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
        (channel.events("?limit=0").accept_json(), 400),
        (server.get("/events"), 400),
        (server.get("/events?channel=a+b"), 400),
        (server.request("PUT", &publish), 405),
        (Channel::on(server.clone()).manage("GET", ""), 404),
    ]
}

fn cors_headers(response: &Response) -> Vec<&str> {
    let names = response.headers.keys().map(http::HeaderName::as_str);
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
async fn cors_is_off_by_default() {
    let channel = Channel::new();
    for (request, status) in requests(&channel) {
        let response = request
            .header("origin", LISTED)
            .send()
            .await
            .expect_status(status);
        assert_eq!(
            cors_headers(&response),
            <[&str; 0]>::default(),
            "{response:?}"
        );
        assert!(!response.header_list("vary").contains(&"origin"));
    }
    let path = format!("/publish/{}", channel.name);
    let response = preflight(&channel, &path, LISTED, "POST")
        .send()
        .await
        .expect_status(204);
    assert_eq!(cors_headers(&response), <[&str; 0]>::default());
}

#[tokio::test]
async fn a_listed_origin_may_read_every_response_with_credentials() {
    if !can_start_hosts("listed origins") {
        return;
    }
    let fixture = Fixture::with(&format!(
        "{LISTED},http://localhost:8080, https://c.example"
    ));
    for origin in [LISTED, "http://localhost:8080", "https://c.example"] {
        let channel = Channel::on(fixture.channel.server.clone());
        for (request, status) in requests(&channel) {
            let response = request
                .header("origin", origin)
                .send()
                .await
                .expect_status(status);
            let allowed = response.header("access-control-allow-origin");
            assert_eq!(allowed, Some(origin), "{response:?}");
            let credentials = response.header("access-control-allow-credentials");
            assert_eq!(credentials, Some("true"));
            let exposed = response.header_list("access-control-expose-headers");
            for name in ["event-id", "etag", "link"] {
                assert!(exposed.contains(&name), "{exposed:?}");
            }
            assert!(
                response.header_list("vary").contains(&"origin"),
                "{response:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_unlisted_origin_gets_no_cors_headers() {
    if !can_start_hosts("unlisted origins") {
        return;
    }
    let fixture = Fixture::with(LISTED);
    let origins: [Option<&str>; 8] = [
        Some(UNLISTED),
        Some("null"),
        Some("https://a.example.evil"),
        Some("http://a.example"),
        Some("https://a.example:444"),
        Some("https://a.example, https://b.example"),
        Some(""),
        None,
    ];
    for origin in origins {
        let channel = Channel::on(fixture.channel.server.clone());
        for (request, status) in requests_from(&channel, origin) {
            let response = request.send().await.expect_status(status);
            assert_eq!(
                cors_headers(&response),
                <[&str; 0]>::default(),
                "{origin:?}"
            );
            assert!(
                response.header_list("vary").contains(&"origin"),
                "{response:?}"
            );
        }
        let path = format!("/events/{}", channel.name);
        let response = preflight(&channel, &path, origin.unwrap_or(UNLISTED), "GET");
        let response = response.send().await.expect_status(204);
        assert_eq!(cors_headers(&response), <[&str; 0]>::default());
        assert!(response.header_list("vary").contains(&"origin"));
    }
}

#[tokio::test]
async fn a_listed_origin_may_read_path_problems() {
    if !can_start_hosts("path problems") {
        return;
    }
    let fixture = Fixture::with(LISTED);
    let server = &fixture.channel.server;
    for path in ["/events/a%20b", "/events/%zz", "/events/", "/publish/a//b"] {
        let response = server.get(path).header("origin", LISTED).send().await;
        let response = response.expect_status(400);
        let allowed = response.header("access-control-allow-origin");
        assert_eq!(allowed, Some(LISTED), "{path}");
    }
}

#[tokio::test]
async fn a_wildcard_allows_every_origin_but_no_credentials() {
    if !can_start_hosts("the CORS wildcard") {
        return;
    }
    let fixture = Fixture::with("*");
    for origin in [Some(LISTED), Some("null"), None] {
        let channel = Channel::on(fixture.channel.server.clone());
        for (request, status) in requests_from(&channel, origin) {
            let response = request.send().await.expect_status(status);
            assert_eq!(
                response.header("access-control-allow-origin"),
                Some("*"),
                "{response:?}"
            );
            assert_eq!(response.header("access-control-allow-credentials"), None);
            let exposed = response.header_list("access-control-expose-headers");
            assert!(exposed.contains(&"event-id"), "{exposed:?}");
        }
    }
}

#[tokio::test]
async fn a_page_may_read_why_it_was_rejected() {
    if !can_start_hosts("exposed headers of problems") {
        return;
    }
    let fixture = Fixture::with(LISTED);
    let path = format!("/publish/{}", fixture.channel.name);
    for (method, status, name) in [("POST", 401, "www-authenticate"), ("PUT", 405, "allow")] {
        let request = fixture.channel.server.request(method, &path);
        let response = request.header("origin", LISTED).send().await;
        let response = response.expect_status(status);
        assert!(response.header(name).is_some());
        let exposed = response.header_list("access-control-expose-headers");
        assert!(exposed.contains(&name), "{exposed:?}");
    }
}

#[tokio::test]
async fn origins_can_have_default_ports_and_be_on_lines() {
    if !can_start_hosts("origins with default ports") {
        return;
    }
    let fixture = Fixture::with("https://c.example:443\nhttp://my_host:8080\n");
    for origin in ["https://c.example", "http://my_host:8080"] {
        let response = fixture
            .channel
            .events("?live=false")
            .header("origin", origin);
        let response = response.send().await.expect_status(204);
        assert_eq!(response.header("access-control-allow-origin"), Some(origin));
    }
}

#[tokio::test]
async fn an_invalid_origin_in_the_configuration_is_reported_with_its_variable() {
    if !can_start_hosts("invalid origins") {
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
        let fixture = Fixture::with(value);
        let channel = &fixture.channel;
        for request in [
            channel.events(""),
            channel.publish("").body("text/plain", "x"),
            channel.manage("GET", ""),
            channel
                .server
                .request("OPTIONS", &format!("/events/{}", channel.name)),
        ] {
            let response = request.header("origin", LISTED).send().await;
            response.assert_problem(500, "configuration", "cors_origins");
            assert_eq!(cors_headers(&response), <[&str; 0]>::default());
        }
        channel
            .server
            .get("/health")
            .send()
            .await
            .expect_status(200);
    }
}
