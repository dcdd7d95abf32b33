//! The locations that can carry a token, and several tokens in one request.

use runnel_testing::{Response, can_start_hosts};

use super::fixture::{Fixture, SECRET, SUBSCRIBE_TOKEN, token_for};

#[tokio::test]
async fn the_authorization_header_takes_precedence_and_other_tokens_must_agree() {
    if !can_start_hosts("several tokens in one request") {
        return;
    }
    let fixture = Fixture::with_secret();
    fixture.channel.publish_text("kept").await;
    let valid = token_for(&[], &["*"]);
    let other = token_for(&["*"], &["*"]);
    let query = |tokens: &[&str]| {
        let tokens = tokens.iter().map(|token| format!("&access_token={token}"));
        fixture
            .channel
            .events(&format!("?live=false&last=1{}", tokens.collect::<String>()))
    };
    for request in [
        fixture.replay().bearer(&valid).cookie("bad"),
        query(&["bad"]).bearer(&valid),
        query(&[&valid]),
        query(&[&valid, &valid]).cookie(&valid),
        fixture
            .replay()
            .header("cookie", format!("a=1; runnel_token=\"{valid}\"; b=2")),
        fixture.replay().cookie(&valid).cookie(&valid),
        // The credentials of a proxy in front.
        fixture
            .replay()
            .header("authorization", "Basic YTpi")
            .cookie(&valid),
        query(&[&valid]).header("authorization", "Basic YTpi"),
        fixture
            .replay()
            .header("authorization", "Basic YTpi")
            .bearer(&valid),
        // As encoded from a file with a final line feed.
        query(&[&format!("{valid}%0A")]),
        fixture.replay().header(
            "cookie",
            format!("{}runnel_token={valid}", "a=1; ".repeat(500)),
        ),
    ] {
        request.send().await.expect_status(200);
    }
    for request in [
        fixture.replay().bearer("bad").cookie(&valid),
        fixture.replay().header("authorization", "Basic YTpi"),
        fixture.replay().header("authorization", &valid),
        query(&[&valid]).bearer("bad"),
        fixture.replay().bearer(&valid).bearer(&valid),
        fixture.replay().bearer(&valid).bearer(&other),
        fixture
            .replay()
            .header("authorization", format!("Bearer {valid}, Bearer {other}")),
        fixture.replay().cookie(&valid).cookie(&other),
        fixture.replay().header(
            "cookie",
            format!("runnel_token={valid}; runnel_token={other}"),
        ),
        query(&[&valid]).cookie(&other),
        query(&[&valid, &other]),
        fixture
            .replay()
            .header("cookie", format!("RUNNEL_TOKEN={valid}")),
        fixture
            .replay()
            .header("cookie", format!("x=runnel_token={valid}")),
        fixture
            .replay()
            .header("x-authorization", format!("Bearer {valid}")),
        fixture
            .channel
            .events(&format!("?live=false&last=1&token={valid}")),
        fixture
            .channel
            .events(&format!("?live=false&last=1&runnel_token={valid}")),
    ] {
        request.send().await.assert_problem(401, "unauthorized", "");
    }
}

#[tokio::test]
async fn the_publish_token_is_accepted_only_in_the_header_and_no_query_token_publishes() {
    if !can_start_hosts("the publish token outside the header") {
        return;
    }
    let fixture = Fixture::with_secret();
    let publish_token = &fixture.channel.server.token;
    let own_origin = format!("http://{}", fixture.channel.server.authority);
    let response = fixture.replay().cookie(publish_token).send().await;
    response.assert_problem(401, "unauthorized", "not the publish token");
    let response = fixture
        .publish()
        .cookie(publish_token)
        .header("origin", own_origin);
    response
        .send()
        .await
        .assert_problem(401, "unauthorized", "not the publish token");
    for token in [publish_token, &token_for(&["*"], &["*"])] {
        let path = format!("/publish/{}?access_token={token}", fixture.channel.name);
        let request = fixture.request("POST", &path).body("text/plain", "x");
        request
            .send()
            .await
            .assert_problem(401, "unauthorized", "authorization");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_accepted_only_if_enabled() {
    if !can_start_hosts("tokens in the query") {
        return;
    }
    let variables = [
        "subscribe_auth=token",
        &format!("subscribe_token={SUBSCRIBE_TOKEN}"),
    ];
    let fixture = Fixture::with(&variables);
    let query = format!("?live=false&access_token={SUBSCRIBE_TOKEN}");
    let response = fixture.channel.events(&query).send().await;
    response.assert_problem(401, "unauthorized", "authorization");
}

/// Asserts that neither the headers nor the body of a response contain a secret.
fn assert_absent(response: &Response, secret: &str) {
    let text = format!(
        "{:?} {}",
        response.headers,
        String::from_utf8_lossy(&response.body)
    );
    assert!(!text.contains(secret), "{secret} is in {text}");
}

#[tokio::test]
async fn responses_and_logs_never_contain_tokens_or_keys() {
    if !can_start_hosts("secrets in responses and logs") {
        return;
    }
    let mut fixture = Fixture::with_secret();
    fixture.channel.publish_numbers(1..=3).await;
    let valid = token_for(&["*"], &["*"]);
    let marker = "sECRETmARK";
    let name = fixture.channel.name.clone();
    let mut with_links = 0;
    for (path, accepts) in [
        ("live=false&last=1", "text/event-stream"),
        ("last=1&limit=1", "application/json"),
        ("last=1&wait=0", "application/json"),
        ("last=0", "text/event-stream"),
        ("last=%ff", "text/event-stream"),
        ("a=%ff", "text/event-stream"),
        ("channel=x", "text/event-stream"),
        ("limit=x", "application/json"),
    ] {
        for token in [
            valid.as_str(),
            marker,
            &format!("{marker}%0d%0aset-cookie:%20a=b"),
            &format!("{marker}%ff"),
            &format!("{marker}&access_token=other"),
            &format!("%22%3E{marker}"),
        ] {
            for parameter in ["access_token", "access%5Ftoken"] {
                for query in [
                    format!("{path}&{parameter}={token}"),
                    format!("{parameter}={token}&{path}"),
                ] {
                    let request = fixture.channel.events(&format!("?{query}"));
                    let response = request.header("accept", accepts).send().await;
                    let signature = valid.rsplit('.').next().unwrap();
                    for secret in [marker, signature, "access_token", "access%5Ftoken"] {
                        assert_absent(&response, secret);
                    }
                    assert_eq!(response.header("set-cookie"), None);
                    let links = response.links("self").len() + response.links("next").len();
                    with_links += usize::from(response.status == 200 && links > 0);
                }
            }
        }
    }
    assert!(with_links > 5, "too few responses had links to check");
    for request in [
        fixture.publish().bearer(marker),
        fixture.publish().cookie(marker),
        fixture.request("PUT", &format!("/publish/{name}?access_token={marker}")),
        fixture.request("GET", &format!("/nowhere?access_token={marker}")),
        fixture
            .request(
                "POST",
                &format!("/publish/{name}?access_token={marker}&x=%ff"),
            )
            .authorized(),
        fixture
            .request(
                "POST",
                &format!("/publish/{name}?x=%ff&access_token={marker}%ff"),
            )
            .authorized(),
    ] {
        let response = request.send().await;
        assert!(response.status.is_client_error(), "{response:?}");
        assert_absent(&response, marker);
        assert_absent(&response, &fixture.channel.server.token);
        assert_absent(&response, SECRET);
    }
    let token = fixture.channel.server.token.clone();
    assert!(fixture.host.terminate().success());
    let log = fixture.host.stderr();
    for secret in [marker, &token, SECRET, &valid] {
        assert!(!log.contains(secret), "{log}");
    }
}
