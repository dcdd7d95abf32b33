//! Paths, methods and query parameters, most of them invalid.

use runnel_testing::{Channel, Response, shared_server};

/// Sends a path verbatim, without the normalization of a client library.
async fn get_raw(path: &str) -> Response {
    let server = shared_server();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        server.authority
    );
    server.send_raw(head.as_bytes()).await
}

#[tokio::test]
async fn an_invalid_channel_name_is_rejected_with_the_reason() {
    let overlong = format!("/events/{}", "x".repeat(161));
    for (path, reason) in [
        ("/events/", "empty"),
        ("/events//a", "empty segment"),
        ("/events/a/", "empty segment"),
        ("/events/a//b", "empty segment"),
        ("/events/a%2F%2Fb", "empty segment"),
        ("/events/..", "`..`"),
        ("/events/a/../b", "`..`"),
        ("/events/./a", "`..`"),
        ("/events/%2e%2E/a", "`..`"),
        ("/events/a%20b", "' '"),
        ("/events/a+b", "'+'"),
        ("/events/a%00", "'\\0'"),
        ("/events/a%0Ab", "'\\n'"),
        ("/events/a%0D%0Ax:y", "'\\r'"),
        ("/events/gr%C3%B6%C3%9Fe", "'ö'"),
        ("/events/a%25b", "'%'"),
        ("/events/a!", "'!'"),
        ("/events/a%5Cb", "'\\\\'"),
        (&overlong, "161 bytes"),
    ] {
        get_raw(path)
            .await
            .assert_problem(400, "channel-name", reason);
    }
}

#[tokio::test]
async fn a_subscription_without_a_channel_is_rejected() {
    for path in ["/events", "/events?", "/events?last=1", "/events?Channel=a"] {
        get_raw(path)
            .await
            .assert_problem(400, "query", "no channel is named");
    }
}

#[tokio::test]
async fn invalid_percent_encoding_is_rejected() {
    for path in ["/events/%", "/events/a%4", "/events/%zz", "/events/a%%41"] {
        let response = get_raw(path).await;
        response.assert_problem(400, "percent-encoding", "two hexadecimal digits");
    }
    for path in ["/events/%ff", "/events/%C3", "/events/%C0%AF"] {
        get_raw(path)
            .await
            .assert_problem(400, "percent-encoding", "UTF-8");
    }
}

#[tokio::test]
async fn publish_and_channel_paths_reject_invalid_channel_names() {
    let server = shared_server();
    for (method, path) in [
        ("POST", "/publish/a//b"),
        ("POST", "/publish/"),
        ("GET", "/channels/a%20b"),
        ("DELETE", "/channels/"),
        ("POST", "/channels//close"),
    ] {
        let response = server.request(method, path).authorized().send().await;
        response.assert_problem(400, "channel-name", "channel name");
    }
}

#[tokio::test]
async fn a_channel_name_of_160_bytes_is_accepted() {
    let mut channel = Channel::new();
    channel.name = format!("{:.<160}", channel.name);
    let id = channel.publish_text("x").await;
    assert_eq!(channel.log().await, [(id, "x".to_owned())]);
}

#[tokio::test]
async fn a_forged_spin_header_does_not_select_the_channel() {
    let (requested, forged) = (Channel::new(), Channel::new());
    requested.publish_text("asked").await;
    forged.publish_text("forged").await;
    let request = requested
        .events("?live=false&last=9")
        .header("spin-path-info", format!("/{}", forged.name))
        .header("spin-path-match-channel", &forged.name);
    let text = request.send().await.expect_status(200).body;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("asked") && !text.contains("forged"), "{text}");
}

#[tokio::test]
async fn the_console_page_is_served_at_the_root() {
    let response = shared_server().get("/").send().await.expect_status(200);
    let content_type = response.header("content-type").unwrap();
    assert!(content_type.starts_with("text/html"), "{content_type}");
    assert!(response.body.starts_with(b"<!"));
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_404() {
    for path in ["/nothing", "/event/a", "/Events/a", "/healthy", "/health/x"] {
        get_raw(path).await.assert_problem(404, "not-found", path);
    }
}

#[tokio::test]
async fn an_unsupported_method_is_answered_with_the_allowed_ones() {
    let server = shared_server();
    for (method, path, allow) in [
        ("POST", "/events/a", "GET, HEAD, OPTIONS"),
        ("DELETE", "/events/a", "GET, HEAD, OPTIONS"),
        ("GET", "/publish/a", "POST, OPTIONS"),
        ("HEAD", "/publish/a", "POST, OPTIONS"),
        ("PUT", "/publish/a", "POST, OPTIONS"),
        ("POST", "/channels/a", "GET, HEAD, DELETE, OPTIONS"),
        ("PATCH", "/channels/a", "GET, HEAD, DELETE, OPTIONS"),
        (
            "PUT",
            "/channels/a/close",
            "GET, HEAD, POST, DELETE, OPTIONS",
        ),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("PUT", "/", "GET, HEAD, OPTIONS"),
        ("BREW", "/events/a", "GET, HEAD, OPTIONS"),
    ] {
        let response = server.request(method, path).authorized().send().await;
        let response = response.expect_status(405);
        assert_eq!(response.header("allow"), Some(allow), "{method} {path}");
        if method != "HEAD" {
            response.assert_problem(405, "method", allow);
        }
    }
}

#[tokio::test]
async fn head_and_options_do_not_open_a_stream() {
    let channel = Channel::new();
    channel.publish_text("kept").await;
    for query in ["", "?last=1", "?last_event_id=earliest"] {
        // A stream would not end, so reading the whole response would time out.
        let path = format!("/events/{}{query}", channel.name);
        let head = channel
            .server
            .request("HEAD", &path)
            .send()
            .await
            .expect_status(200);
        assert_eq!(
            head.header("content-type"),
            Some("text/event-stream; charset=utf-8")
        );
        assert_eq!(head.body, "");
        let options = channel
            .server
            .request("OPTIONS", &path)
            .send()
            .await
            .expect_status(204);
        assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(options.body, "");
    }
}

#[tokio::test]
async fn an_invalid_query_parameter_is_rejected_by_name() {
    let channel = Channel::new();
    channel.publish_text("kept").await;
    for (query, about) in [
        ("?last=0", "`last` is \"0\""),
        ("?last=-1", "`last` is \"-1\""),
        ("?last=+1", "`last` is \" 1\""),
        ("?last=1.5", "`last` is \"1.5\""),
        ("?last=x", "`last` is \"x\""),
        ("?last=", "`last` is \"\""),
        (
            "?last=18446744073709551616",
            "`last` is \"18446744073709551616\"",
        ),
        ("?live=maybe", "`live` is \"maybe\""),
        ("?live=", "`live` is \"\""),
        ("?last=1&last=1", "`last` is given more than once"),
        ("?live=true&live=false", "`live` is given more than once"),
        (
            "?last_event_id=a&last_event_id=b",
            "`last_event_id` is given more than once",
        ),
    ] {
        let response = channel.events(query).send().await;
        response.assert_problem(400, "query", about);
    }
}
