//! Tokens in places where they do not belong, several at once, and pages that use those of others.

use super::mint::{LISTED, SECRET, SUBSCRIBE_TOKEN, Site, token_for};
use crate::client::Answer;
use crate::server::may_start_hosts;

#[tokio::test]
async fn a_cookie_acts_only_for_pages_of_the_server_and_of_listed_origins() {
    if !may_start_hosts("cookies of pages") {
        return;
    }
    for wildcard in [false, true] {
        let origins = if wildcard { "*" } else { LISTED };
        let origins = format!("cors_origins={origins}");
        let site = Site::with_jwt("HS256", SECRET, &[&origins]);
        let token = token_for(&["*"], &["*"]);
        let name = &site.channel.name;
        let own = format!("http://{}", site.channel.server.authority);
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
                let request = site.request(method, &path).body("text/plain", "x");
                let mut request = request.cookie(&token);
                if let Some(origin) = origin {
                    request = request.header("origin", origin);
                }
                request
                    .send()
                    .await
                    .is_problem(403, "origin", "cors_origins");
            }
        }
        let state = site.channel.manage("GET", "").send().await;
        state.is_problem(404, "unknown-channel", name);
        let trusted = [own.as_str(), LISTED];
        for origin in trusted.iter().take(if wildcard { 1 } else { 2 }) {
            let request = site.publishing().cookie(&token).header("origin", origin);
            request.send().await.has(201);
        }
        // Who names the token in the header has it, whatever the page.
        let request = site.publishing().bearer(&token);
        request
            .header("origin", "https://evil.example")
            .send()
            .await
            .has(201);
        // Reading is not acting; what a foreign page may see of it, CORS says.
        let request = site.replaying().cookie(&token);
        let answer = request
            .header("origin", "https://evil.example")
            .send()
            .await
            .has(200);
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn the_header_counts_alone_and_other_tokens_must_not_differ() {
    if !may_start_hosts("several tokens") {
        return;
    }
    let site = Site::with_secret();
    site.channel.say("kept").await;
    let good = token_for(&[], &["*"]);
    let other = token_for(&["*"], &["*"]);
    let query = |tokens: &[&str]| {
        let tokens = tokens.iter().map(|token| format!("&access_token={token}"));
        site.channel
            .events(&format!("?live=false&last=1{}", tokens.collect::<String>()))
    };
    for request in [
        site.replaying().bearer(&good).cookie("bad"),
        query(&["bad"]).bearer(&good),
        query(&[&good]),
        query(&[&good, &good]).cookie(&good),
        site.replaying()
            .header("cookie", format!("a=1; runnel_token=\"{good}\"; b=2")),
        site.replaying().cookie(&good).cookie(&good),
        site.replaying().header(
            "cookie",
            format!("{}runnel_token={good}", "a=1; ".repeat(500)),
        ),
    ] {
        request.send().await.has(200);
    }
    for request in [
        site.replaying().bearer("bad").cookie(&good),
        site.replaying()
            .header("authorization", "Basic YTpi")
            .cookie(&good),
        query(&[&good]).bearer("bad"),
        site.replaying().bearer(&good).bearer(&good),
        site.replaying().bearer(&good).bearer(&other),
        site.replaying()
            .header("authorization", format!("Bearer {good}, Bearer {other}")),
        site.replaying().cookie(&good).cookie(&other),
        site.replaying().header(
            "cookie",
            format!("runnel_token={good}; runnel_token={other}"),
        ),
        query(&[&good]).cookie(&other),
        query(&[&good, &other]),
        site.replaying()
            .header("cookie", format!("RUNNEL_TOKEN={good}")),
        site.replaying()
            .header("cookie", format!("x=runnel_token={good}")),
        site.replaying()
            .header("x-authorization", format!("Bearer {good}")),
        site.channel
            .events(&format!("?live=false&last=1&token={good}")),
        site.channel
            .events(&format!("?live=false&last=1&runnel_token={good}")),
    ] {
        request.send().await.is_problem(401, "unauthorized", "");
    }
}

#[tokio::test]
async fn the_publish_token_is_good_in_the_header_only_and_no_token_publishes_from_the_query() {
    if !may_start_hosts("the publish token elsewhere") {
        return;
    }
    let site = Site::with_secret();
    let publish_token = &site.channel.server.token;
    let own = format!("http://{}", site.channel.server.authority);
    let answer = site.replaying().cookie(publish_token).send().await;
    answer.is_problem(401, "unauthorized", "not the publish token");
    let answer = site
        .publishing()
        .cookie(publish_token)
        .header("origin", own);
    answer
        .send()
        .await
        .is_problem(401, "unauthorized", "not the publish token");
    for token in [publish_token, &token_for(&["*"], &["*"])] {
        let path = format!("/publish/{}?access_token={token}", site.channel.name);
        let request = site.request("POST", &path).body("text/plain", "x");
        request
            .send()
            .await
            .is_problem(401, "unauthorized", "authorization");
    }
}

#[tokio::test]
async fn a_token_in_the_query_counts_only_if_it_may_stand_there() {
    if !may_start_hosts("tokens in the query") {
        return;
    }
    let variables = [
        "subscribe_auth=token",
        &format!("subscribe_token={SUBSCRIBE_TOKEN}"),
    ];
    let site = Site::with(&variables);
    let path = format!("?live=false&access_token={SUBSCRIBE_TOKEN}");
    let answer = site.channel.events(&path).send().await;
    answer.is_problem(401, "unauthorized", "authorization");
}

/// Holds that a secret stands nowhere in an answer.
fn keeps(answer: &Answer, secret: &str) {
    let text = format!(
        "{:?} {}",
        answer.headers,
        String::from_utf8_lossy(&answer.body)
    );
    assert!(!text.contains(secret), "{secret} is in {text}");
}

#[tokio::test]
async fn no_answer_and_no_line_of_the_log_repeats_a_token_or_a_key() {
    if !may_start_hosts("secrets") {
        return;
    }
    let mut site = Site::with_secret();
    site.channel.count(1..=3).await;
    let good = token_for(&["*"], &["*"]);
    let marked = "sECRETmARK";
    let name = site.channel.name.clone();
    let mut seen = 0;
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
            good.as_str(),
            marked,
            &format!("{marked}%0d%0aset-cookie:%20a=b"),
            &format!("{marked}%ff"),
            &format!("{marked}&access_token=other"),
            &format!("%22%3E{marked}"),
        ] {
            for parameter in ["access_token", "access%5Ftoken"] {
                for query in [
                    format!("{path}&{parameter}={token}"),
                    format!("{parameter}={token}&{path}"),
                ] {
                    let request = site.channel.events(&format!("?{query}"));
                    let answer = request.header("accept", accepts).send().await;
                    let signature = good.rsplit('.').next().unwrap();
                    for secret in [marked, signature, "access_token", "access%5Ftoken"] {
                        keeps(&answer, secret);
                    }
                    assert_eq!(answer.header("set-cookie"), None);
                    let links = answer.links("self").len() + answer.links("next").len();
                    seen += usize::from(answer.status == 200 && links > 0);
                }
            }
        }
    }
    assert!(seen > 5, "some were good, and have links");
    for request in [
        site.publishing().bearer(marked),
        site.publishing().cookie(marked),
        site.request("PUT", &format!("/publish/{name}?access_token={marked}")),
        site.request("GET", &format!("/nowhere?access_token={marked}")),
        site.request(
            "POST",
            &format!("/publish/{name}?access_token={marked}&x=%ff"),
        )
        .authorized(),
        site.request(
            "POST",
            &format!("/publish/{name}?x=%ff&access_token={marked}%ff"),
        )
        .authorized(),
    ] {
        let answer = request.send().await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        keeps(&answer, marked);
        keeps(&answer, &site.channel.server.token);
        keeps(&answer, SECRET);
    }
    let token = site.channel.server.token.clone();
    assert!(site.host.terminate().success());
    let log = site.host.errors();
    for secret in [marked, &token, SECRET, &good] {
        assert!(!log.contains(secret), "{log}");
    }
}
