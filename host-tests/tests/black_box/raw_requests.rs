//! Requests that no well-behaved client sends, byte by byte: framing, hosts, and what is not text.
//!
//! Each case lists the status, or none where the server ends the connection without a response. Where
//! Spin differs from this host, the case says so.

use std::time::Duration;

use runnel_testing::{Channel, HostProcess, can_start_hosts};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MAX_WAIT: Duration = Duration::from_secs(20);

fn host(options: &[&str]) -> (TempDir, HostProcess) {
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start_with(directory.path(), &["body_timeout_seconds=2"], options);
    (directory, host)
}

/// Sends bytes and returns all that arrives until the server closes the connection.
async fn exchange(host: &HostProcess, bytes: &[u8]) -> String {
    let exchange = async {
        let mut connection = TcpStream::connect(&host.server.authority).await.unwrap();
        // The server may have closed the connection before it has read everything.
        _ = connection.write_all(bytes).await;
        let mut received = vec![];
        _ = connection.read_to_end(&mut received).await;
        String::from_utf8_lossy(&received).into_owned()
    };
    let exchange = timeout(MAX_WAIT, exchange).await;
    exchange.unwrap_or_else(|_| panic!("no end: {:?}", String::from_utf8_lossy(bytes)))
}

/// Returns the statuses of all responses.
fn statuses(received: &str) -> Vec<u16> {
    let responses = received.split("HTTP/1.").skip(1);
    let status = |response: &str| response[2..5].parse().ok();
    responses.filter_map(status).collect()
}

async fn assert_statuses(host: &HostProcess, bytes: &[u8], expected: &[u16]) {
    let received = exchange(host, bytes).await;
    let request = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    assert_eq!(statuses(&received), expected, "{request:?}: {received}");
}

/// A publish with these framing headers and this body, followed by a request that must be answered only
/// if the first one ended where `body` ends.
fn publish(channel: &Channel, framing: &str, body: &str) -> String {
    format!(
        "POST /publish/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\n{framing}\r\n{body}\
         GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        channel.name, channel.server.token
    )
}

#[tokio::test]
async fn the_length_of_a_body_is_unambiguous_or_the_request_is_rejected() {
    if !can_start_hosts("the framing of bodies") {
        return;
    }
    let (_directory, host) = host(&[]);
    let channel = Channel::on(host.server.clone());
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let cases = [
        ("content-length: 5\r\n", "hello", &[201, 200][..]),
        // Equal lengths are one length (RFC 9110, 8.6).
        (
            "content-length: 5\r\ncontent-length: 5\r\n",
            "hello",
            &[201, 200],
        ),
        (
            "content-length: 5\r\ncontent-length: 6\r\n",
            "hello",
            &[400],
        ),
        ("content-length: 5, 5\r\n", "hello", &[400]),
        ("content-length: 5, 6\r\n", "hello", &[400]),
        ("content-length: +5\r\n", "hello", &[400]),
        ("content-length: -5\r\n", "hello", &[400]),
        ("content-length: 0x5\r\n", "hello", &[400]),
        ("content-length: 5.0\r\n", "hello", &[400]),
        ("content-length: \r\n", "hello", &[400]),
        ("content-length: 18446744073709551616\r\n", "hello", &[400]),
        ("content-length : 5\r\n", "hello", &[400]),
        ("transfer-encoding: chunked\r\n", chunked, &[201, 200]),
        ("transfer-encoding: CHUNKED\r\n", chunked, &[201, 200]),
        // The transfer coding counts, and nothing that follows on the connection (RFC 9112, 6.1).
        (
            "content-length: 6\r\ntransfer-encoding: chunked\r\n",
            chunked,
            &[201],
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
            chunked,
            &[201],
        ),
        // Codings that would stay undecoded. Spin passes on all but the last `chunked`, and Runnel
        // rejects them.
        ("transfer-encoding: gzip, chunked\r\n", chunked, &[501]),
        ("transfer-encoding: identity, chunked\r\n", chunked, &[501]),
        ("transfer-encoding: chunked, chunked\r\n", chunked, &[501]),
        (
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
            chunked,
            &[501],
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            chunked,
            &[501],
        ),
        ("transfer-encoding: chunked, gzip\r\n", chunked, &[400]),
        ("transfer-encoding: gzip\r\n", chunked, &[400]),
        ("transfer-encoding: xchunked\r\n", chunked, &[400]),
        ("transfer-encoding: identity\r\n", chunked, &[400]),
        ("transfer-encoding : chunked\r\n", chunked, &[400]),
        ("transfer-encoding:\r\n chunked\r\n", chunked, &[400]),
    ];
    for (framing, body, expected) in cases {
        let request = publish(&channel, framing, body);
        assert_statuses(&host, request.as_bytes(), expected).await;
    }
    // HTTP/1.0 has no transfer codings (RFC 9112, 6.1).
    let request = publish(&channel, "transfer-encoding: chunked\r\n", chunked);
    let request = request.replacen("HTTP/1.1", "HTTP/1.0", 1);
    assert_statuses(&host, request.as_bytes(), &[400]).await;
    for (_, data) in channel.log().await {
        assert_eq!(data, "hello");
    }
}

#[tokio::test]
async fn a_malformed_chunk_publishes_nothing_and_ends_the_connection() {
    if !can_start_hosts("malformed chunks") {
        return;
    }
    let (_directory, host) = host(&[]);
    let channel = Channel::on(host.server.clone());
    channel.publish_text("first").await;
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    for (chunks, is_accepted) in [
        ("5;name=value\r\nhello\r\n0;last\r\n\r\n", true),
        ("5\r\nhello\r\n0\r\nx-trailer: y\r\n\r\n", true),
        ("05\r\nhello\r\n00\r\n\r\n", true),
        (&extension, false),
        ("0x5\r\nhello\r\n0\r\n\r\n", false),
        ("-5\r\nhello\r\n0\r\n\r\n", false),
        ("\r\nhello\r\n0\r\n\r\n", false),
        ("5\nhello\n0\n\n", false),
        ("5\r\nhello0\r\n\r\n", false),
        ("6\r\nhello\r\n0\r\n\r\n", false),
        ("4\r\nhello\r\n0\r\n\r\n", false),
        ("fffffffffffffffff\r\nhello\r\n0\r\n\r\n", false),
        ("ffffffffffffffff\r\nhello\r\n0\r\n\r\n", false),
    ] {
        let before = channel.log().await.len();
        let request = publish(&channel, "transfer-encoding: chunked\r\n", chunks);
        let received = exchange(&host, request.as_bytes()).await;
        let excerpt = &chunks[..chunks.len().min(40)];
        let is_answered = statuses(&received) == [201, 200];
        assert_eq!(is_answered, is_accepted, "{excerpt:?}: {received}");
        let published = channel.log().await.len() - before;
        assert_eq!(published, usize::from(is_accepted), "{excerpt:?}");
        assert!(
            !received.contains("HTTP/1.1 200") || is_accepted,
            "{received}"
        );
    }
}

#[tokio::test]
async fn a_malformed_head_is_rejected() {
    if !can_start_hosts("malformed heads") {
        return;
    }
    let (_directory, host) = host(&[]);
    let get =
        |lines: &str| format!("GET /health/live HTTP/1.1\r\n{lines}connection: close\r\n\r\n");
    let many_headers = format!("host: x\r\n{}", "a: b\r\n".repeat(120));
    for (head, expected) in [
        (get("host: x\r\n"), &[200][..]),
        (get("host: x\r\na:  b \r\n"), &[200]),
        (get("host: x\r\na:\r\n"), &[200]),
        // A continued line (RFC 9112, 5.2).
        (get("host: x\r\na: b\r\n c\r\n"), &[400]),
        (get("host: x\r\n a: b\r\n"), &[400]),
        (get("host: x\r\na : b\r\n"), &[400]),
        (get("host: x\r\na b: c\r\n"), &[400]),
        (get("host: x\r\n: b\r\n"), &[400]),
        (get("host: x\r\na\r\n"), &[400]),
        (get("host: x\r\na: b\0c\r\n"), &[400]),
        (get("host: x\r\na: b\rc\r\n"), &[400]),
        (get("host: x\r\n\u{e9}: b\r\n"), &[400]),
        (get(&many_headers), &[431]),
        ("GET /\r\n\r\n".to_owned(), &[400]),
        ("GET / HTTP/2.0\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("GET / HTTP/1.2\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("GET / http/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("GET  / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("G\u{e9}T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        (
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(66_000)),
            &[414],
        ),
    ] {
        assert_statuses(&host, head.as_bytes(), expected).await;
    }
    let long_header = get(&format!("host: x\r\na: {}\r\n", "b".repeat(2_000_000)));
    let received = exchange(&host, long_header.as_bytes()).await;
    // The response may be lost, since the server does not read the rest.
    assert!(
        [&[][..], &[431]].contains(&&statuses(&received)[..]),
        "{received}"
    );
    // An upgrade is not offered, so the request is served as it is.
    let upgrade = get(
        "host: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    );
    assert_statuses(&host, upgrade.as_bytes(), &[200]).await;
    let target = "GET http://x/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_statuses(&host, target.as_bytes(), &[200]).await;
    let asterisk = "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_statuses(&host, asterisk.as_bytes(), &[404]).await;
    let connect = "CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\nconnection: close\r\n\r\n";
    assert_statuses(&host, connect.as_bytes(), &[]).await;
}

#[tokio::test]
async fn a_request_that_names_no_single_valid_host_ends_its_connection() {
    if !can_start_hosts("requests without a host") {
        return;
    }
    let get = |version: &str, lines: &str| {
        format!("GET /health/live HTTP/{version}\r\n{lines}connection: close\r\n\r\n")
    };
    let none: &[u16] = &[];
    let cases = [
        (get("1.1", "host: x:443\r\n"), &[200][..], &[200][..]),
        (get("1.1", "host: [::1]:80\r\n"), &[200], &[200]),
        (get("1.0", "host: x\r\n"), &[200], &[200]),
        (get("1.0", ""), none, &[200]),
        // Spin does not answer this one either, although it should (RFC 9112, 3.2).
        (get("1.1", ""), none, &[400]),
        (get("1.1", "host: \r\n"), none, none),
        (get("1.1", "host: a b\r\n"), none, none),
        (get("1.1", "host: a,b\r\n"), &[200], &[200]),
        (get("1.1", "host: a/b\r\n"), none, none),
        (get("1.1", "host: http://a\r\n"), none, none),
        (get("1.1", "host: a:b\r\n"), &[200], &[200]),
        (get("1.1", "host: \u{e9}\r\n"), none, none),
        (get("1.1", "host: web.spin.internal\r\n"), none, none),
        // Spin takes the first one.
        (get("1.1", "host: x\r\nhost: x\r\n"), &[400], &[400]),
        (get("1.1", "host: x\r\nhost: y\r\n"), &[400], &[400]),
        (
            "GET http://y/health/live HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            none,
            none,
        ),
    ];
    let (_strict_directory, strict) = host(&[]);
    let (_lenient_directory, lenient) = host(&["--serve-without-host"]);
    for (request, expected, expected_if_lenient) in cases {
        assert_statuses(&strict, request.as_bytes(), expected).await;
        assert_statuses(&lenient, request.as_bytes(), expected_if_lenient).await;
    }
}

#[tokio::test]
async fn a_header_that_is_not_utf8_is_answered_with_500_before_runnel_sees_it() {
    if !can_start_hosts("headers that are not UTF-8") {
        return;
    }
    let (_directory, host) = host(&[]);
    let channel = Channel::on(host.server.clone());
    for header in [
        &b"x-name: caf\xe9"[..],
        b"cookie: theme=\xff",
        b"referer: http://a/\xe9",
        b"last-event-id: \xc3",
    ] {
        for path in [
            format!("/events/{}?live=false", channel.name),
            "/health/live".to_owned(),
        ] {
            let mut request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n").into_bytes();
            request.extend(header);
            request.extend(b"\r\nconnection: close\r\n\r\n");
            assert_statuses(&host, &request, &[500]).await;
        }
    }
    // Text that is UTF-8 and not ASCII is passed on.
    let request =
        "GET /health/live HTTP/1.1\r\nhost: x\r\nx-name: caf\u{e9}\r\nconnection: close\r\n\r\n";
    assert_statuses(&host, request.as_bytes(), &[200]).await;
    assert_eq!(host.stderr(), "");
}

#[tokio::test]
async fn the_paths_of_spin_itself_are_answered_as_spin_does() {
    if !can_start_hosts("the paths of Spin") {
        return;
    }
    let (_directory, host) = host(&[]);
    let get = |path: &str| host.server.get(path);
    let health = get("/.well-known/spin/health")
        .send()
        .await
        .expect_status(200);
    assert_eq!(health.body, "OK");
    let info = get("/.well-known/spin/info")
        .send()
        .await
        .expect_status(200);
    assert_eq!(info.json()["name"], "runnel");
    get("/.well-known/spin/x").send().await.expect_status(404);
}
