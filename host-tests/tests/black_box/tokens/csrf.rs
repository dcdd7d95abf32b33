//! Requests forged by other pages (CSRF), which have the user's cookie, and those of the server's own pages.

use runnel_testing::can_start_hosts;

use super::fixture::{Fixture, LISTED, SECRET, token_for};

#[tokio::test]
async fn a_cookie_authorizes_changes_only_for_the_same_and_listed_origins() {
    if !can_start_hosts("cookies and origins") {
        return;
    }
    for wildcard in [false, true] {
        let origins = if wildcard { "*" } else { LISTED };
        let origins = format!("cors_origins={origins}");
        let fixture = Fixture::with_jwt("HS256", SECRET, &[&origins]);
        let token = token_for(&["*"], &["*"]);
        let name = &fixture.channel.name;
        let own_origin = format!("http://{}", fixture.channel.server.authority);
        let foreign: [Option<&str>; 6] = [
            None,
            Some("null"),
            Some(""),
            Some("https://evil.example"),
            Some("https://a.example.evil"),
            Some("http://127.0.0.1"),
        ];
        for (method, path) in [
            ("POST", format!("/publish/{name}")),
            ("POST", format!("/channels/{name}/close")),
            ("DELETE", format!("/channels/{name}")),
        ] {
            for origin in foreign.into_iter().chain(wildcard.then_some(Some(LISTED))) {
                let request = fixture.request(method, &path).body("text/plain", "x");
                let mut request = request.cookie(&token);
                if let Some(origin) = origin {
                    request = request.header("origin", origin);
                }
                request
                    .send()
                    .await
                    .assert_problem(403, "origin", "cors_origins");
            }
        }
        let state = fixture.channel.manage("GET", "").send().await;
        state.assert_problem(404, "unknown-channel", name);
        let allowed = [own_origin.as_str(), LISTED];
        for origin in allowed.iter().take(if wildcard { 1 } else { 2 }) {
            let request = fixture.publish().cookie(&token).header("origin", origin);
            request.send().await.expect_status(201);
        }
        // A token in the header authorizes every origin: a forged request cannot contain it.
        let request = fixture.publish().bearer(&token);
        request
            .header("origin", "https://evil.example")
            .send()
            .await
            .expect_status(201);
        // Reads with a cookie are allowed, because CORS keeps the response from other pages.
        let request = fixture.replay().cookie(&token);
        let response = request
            .header("origin", "https://evil.example")
            .send()
            .await
            .expect_status(200);
        assert_eq!(response.header("access-control-allow-credentials"), None);
    }
}

/// Returns the status of a publish with the token in a cookie and these headers.
async fn status_with_cookie(fixture: &Fixture, headers: &[(&'static str, &str)]) -> u16 {
    let request = fixture.publish().cookie(&token_for(&["*"], &["*"]));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    let response = request.send().await;
    if response.status != 201 {
        response.assert_problem(403, "origin", "cors_origins");
    }
    response.status.as_u16()
}

#[tokio::test]
async fn a_page_of_the_server_itself_is_recognised_behind_a_proxy() {
    if !can_start_hosts("the server's own origin") {
        return;
    }
    let fixture = Fixture::with_secret();
    let (own, internal) = ("https://example.com", "runnel.internal:3000");
    for (headers, status) in [
        // The port is the default of the scheme that the browser uses.
        (&[("host", "example.com:443"), ("origin", own)][..], 201),
        (&[("host", "example.com"), ("origin", own)], 201),
        (
            &[("host", "EXAMPLE.com:80"), ("origin", "http://example.com")],
            201,
        ),
        (
            &[
                ("host", "example.com:8443"),
                ("origin", "https://example.com:8443"),
            ],
            201,
        ),
        (&[("host", "example.com:8443"), ("origin", own)], 403),
        (&[("host", "example.com:80"), ("origin", own)], 403),
        // A proxy has replaced the host, but the browser knows.
        (&[("host", internal), ("origin", own)], 403),
        (
            &[
                ("host", internal),
                ("origin", own),
                ("sec-fetch-site", "same-origin"),
            ],
            201,
        ),
        // A page with `referrer-policy: no-referrer` sends its forms with the origin `null`.
        (
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            201,
        ),
        (
            &[
                ("host", "example.com"),
                ("origin", own),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
        (
            &[
                ("host", "example.com"),
                ("origin", own),
                ("sec-fetch-site", "same-site"),
            ],
            403,
        ),
        (&[("sec-fetch-site", "none")], 403),
        // Any client can send these.
        (
            &[
                ("host", internal),
                ("origin", own),
                ("x-forwarded-host", "example.com"),
            ],
            403,
        ),
        (
            &[
                ("host", internal),
                ("origin", own),
                ("forwarded", "host=example.com"),
            ],
            403,
        ),
    ] {
        assert_eq!(
            status_with_cookie(&fixture, headers).await,
            status,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn configured_public_origins_are_the_servers_own() {
    if !can_start_hosts("public origins") {
        return;
    }
    let public = "public_origins=https://example.com, https://www.example.com:443\n";
    let fixture = Fixture::with_jwt("HS256", SECRET, &[public]);
    let by_address = format!("http://{}", fixture.channel.server.authority);
    for (origin, status) in [
        ("https://example.com", 201),
        ("https://www.example.com", 201),
        ("http://example.com", 403),
        ("https://evil.example", 403),
        // The address of the server is not public.
        (&by_address, 403),
    ] {
        let headers = [("origin", origin)];
        assert_eq!(
            status_with_cookie(&fixture, &headers).await,
            status,
            "{origin}"
        );
    }
    // Pages of these origins need no CORS, so there is none.
    let request = fixture.channel.events("?live=false");
    let request = request.cookie(&token_for(&[], &["*"]));
    let response = request.header("origin", "https://example.com").send().await;
    assert_eq!(response.header("access-control-allow-origin"), None);
    for value in ["*", "https://example.com/realtime"] {
        let fixture = Fixture::with_jwt("HS256", SECRET, &[&format!("public_origins={value}")]);
        let request = fixture.publish().cookie(&token_for(&["*"], &["*"]));
        let response = request.send().await;
        response.assert_problem(500, "configuration", "public_origins");
    }
}
