//! Preflights, which ask whether a page may send a request.

use runnel_testing::can_start_hosts;

use super::{Fixture, LISTED, preflight};

/// Headers that tracers, HTTP clients and tools add to requests of pages.
const OF_OTHERS: [&str; 12] = [
    "baggage",
    "cache-control",
    "ce-region",
    "ce-traceparent",
    "if-modified-since",
    "pragma",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-b3-traceid",
    "x-datadog-trace-id",
    "x-requested-with",
];

#[tokio::test]
async fn a_preflight_is_answered_with_methods_headers_and_a_max_age() {
    if !can_start_hosts("preflights") {
        return;
    }
    for (value, credentials) in [(LISTED, Some("true")), ("*", None)] {
        let fixture = Fixture::with(value);
        for (path, method, methods) in [
            ("/events/a", "GET", &["GET", "HEAD"][..]),
            ("/events", "GET", &["GET", "HEAD"]),
            ("/publish/a", "POST", &["POST"]),
            ("/channels/a", "DELETE", &["GET", "HEAD", "DELETE"]),
            ("/channels/a/close", "POST", &["POST"]),
        ] {
            let request = preflight(&fixture.channel, path, LISTED, method);
            let requested = "authorization,content-type,idempotency-key,last-event-id";
            let request = request.header("access-control-request-headers", requested);
            // A preflight has no credentials.
            let response = request.send().await.expect_status(204);
            let allowed = response.header_list("access-control-allow-methods");
            assert!(
                methods.iter().all(|method| allowed.contains(method)),
                "{path}: {allowed:?}"
            );
            let allowed = response.header_list("access-control-allow-headers");
            for name in requested
                .split(',')
                .chain(["if-none-match", "prefer", "ce-id", "ce-type"])
            {
                assert!(allowed.contains(&name), "{name} is not in {allowed:?}");
            }
            assert!(
                !allowed.contains(&"*"),
                "a wildcard does not include authorization"
            );
            let seconds = response.header("access-control-max-age").unwrap();
            assert!(seconds.parse::<u64>().unwrap() >= 600);
            assert_eq!(
                response.header("access-control-allow-credentials"),
                credentials
            );
            assert_eq!(response.body, "");
        }
        // Not every OPTIONS is a preflight.
        let plain = fixture.channel.server.request("OPTIONS", "/publish/a");
        let plain = plain
            .header("origin", LISTED)
            .send()
            .await
            .expect_status(204);
        assert_eq!(plain.header("access-control-allow-methods"), None);
        assert_eq!(plain.header("allow"), Some("POST, OPTIONS"));
    }
}

#[tokio::test]
async fn a_page_may_send_the_headers_that_its_tracer_and_its_client_add() {
    if !can_start_hosts("headers of tracers") {
        return;
    }
    for value in [LISTED, "*"] {
        let fixture = Fixture::with(value);
        for requested in [
            OF_OTHERS.join(","),
            OF_OTHERS.join(", ").to_uppercase(),
            "authorization,cache-control,traceparent".to_owned(),
            "cache-control".to_owned(),
        ] {
            let request = preflight(&fixture.channel, "/publish/a", LISTED, "POST");
            let request = request.header("access-control-request-headers", &requested);
            let response = request.send().await.expect_status(204);
            let allowed = response.header_list("access-control-allow-headers");
            for name in requested.to_lowercase().split(',') {
                assert!(
                    allowed.contains(&name.trim()),
                    "{name} is not in {allowed:?}"
                );
            }
            assert!(!allowed.contains(&"*"));
            let vary = response.header_list("vary");
            assert!(vary.contains(&"access-control-request-headers"), "{vary:?}");
        }
        // They change nothing when they arrive.
        let mut request = fixture.channel.publish("").header("origin", LISTED);
        for name in OF_OTHERS.iter().filter(|name| **name != "ce-traceparent") {
            request = request.header(name, "1");
        }
        let request = request.body("text/plain", "x");
        request.send().await.expect_status(201);
    }
}

#[tokio::test]
async fn a_preflight_that_asks_for_nonsense_allows_only_the_headers_of_the_api() {
    if !can_start_hosts("preflights that ask for nonsense") {
        return;
    }
    let fixture = Fixture::with("*");
    let response = |requested: String| {
        let request = preflight(&fixture.channel, "/publish/a", LISTED, "POST");
        let request = request.header("access-control-request-headers", requested);
        request.send()
    };
    let plain = response(String::new()).await.expect_status(204);
    let own = plain.header_list("access-control-allow-headers");
    assert!(own.contains(&"authorization"), "{own:?}");
    for requested in ["*", "a b", "a:b", "\"x\"", "<script>", ",,"] {
        let response = response(requested.to_owned()).await.expect_status(204);
        let allowed = response.header_list("access-control-allow-headers");
        assert_eq!(allowed, own, "{requested}");
    }
    let many: String = (0..4_000).map(|number| format!("x-{number},")).collect();
    let response = response(many).await.expect_status(204);
    let allowed = response.header("access-control-allow-headers").unwrap();
    assert!(allowed.len() < 6_000, "{}", allowed.len());
}
