//! Paths, methods and queries that are refused.

use crate::channel::Channel;
use crate::client::Answer;
use crate::server::server;

/// Sends a path as it is, which a client library would tidy up.
async fn get(path: &str) -> Answer {
    let server = server();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        server.authority
    );
    server.send_raw(head.as_bytes()).await
}

#[tokio::test]
async fn bad_channel_names_are_refused_with_the_reason() {
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
        get(path).await.is_problem(400, "channel-name", reason);
    }
}

#[tokio::test]
async fn events_of_no_channel_are_a_bad_query() {
    for path in ["/events", "/events?", "/events?last=1", "/events?Channel=a"] {
        get(path).await.is_problem(400, "query", "0 channels");
    }
}

#[tokio::test]
async fn bad_percent_encoding_is_refused() {
    for path in ["/events/%", "/events/a%4", "/events/%zz", "/events/a%%41"] {
        let answer = get(path).await;
        answer.is_problem(400, "percent-encoding", "two hexadecimal digits");
    }
    for path in ["/events/%ff", "/events/%C3", "/events/%C0%AF"] {
        get(path).await.is_problem(400, "percent-encoding", "UTF-8");
    }
}

#[tokio::test]
async fn a_bad_name_is_bad_for_publishers_too() {
    let server = server();
    for (method, path) in [
        ("POST", "/publish/a//b"),
        ("POST", "/publish/"),
        ("GET", "/channels/a%20b"),
        ("DELETE", "/channels/"),
        ("POST", "/channels//close"),
    ] {
        let answer = server.request(method, path).authorized().send().await;
        answer.is_problem(400, "channel-name", "channel name");
    }
}

#[tokio::test]
async fn a_name_of_160_bytes_is_accepted() {
    let mut channel = Channel::new();
    channel.name = format!("{:.<160}", channel.name);
    let id = channel.say("x").await;
    assert_eq!(channel.log().await, [(id, "x".to_owned())]);
}

#[tokio::test]
async fn a_header_does_not_choose_the_channel() {
    let (asked, forged) = (Channel::new(), Channel::new());
    asked.say("asked").await;
    forged.say("forged").await;
    let request = asked
        .events("?live=false&last=9")
        .header("spin-path-info", format!("/{}", forged.name))
        .header("spin-path-match-channel", &forged.name);
    let text = request.send().await.has(200).body;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("asked") && !text.contains("forged"), "{text}");
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    for path in ["/nothing", "/event/a", "/Events/a", "/healthy", "/health/x"] {
        get(path).await.is_problem(404, "not-found", path);
    }
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let server = server();
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
        let answer = server.request(method, path).authorized().send().await;
        let answer = answer.has(405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        if method != "HEAD" {
            answer.is_problem(405, "method", allow);
        }
    }
}

#[tokio::test]
async fn head_and_options_never_open_a_stream() {
    let channel = Channel::new();
    channel.say("kept").await;
    for query in ["", "?last=1", "?last_event_id=earliest"] {
        // Each answer is read to its end.
        let path = format!("/events/{}{query}", channel.name);
        let head = channel.server.request("HEAD", &path).send().await.has(200);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.body, "");
        let options = channel
            .server
            .request("OPTIONS", &path)
            .send()
            .await
            .has(204);
        assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(options.body, "");
    }
}

#[tokio::test]
async fn bad_query_parameters_are_refused_by_name() {
    let channel = Channel::new();
    channel.say("kept").await;
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
        let answer = channel.events(query).send().await;
        answer.is_problem(400, "query", about);
    }
}
