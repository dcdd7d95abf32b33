//! Clients that send wrong tokens: they are limited, and counting them is cheap.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use runnel_host::store::{Fault, FaultPlan, Operation};
use runnel_testing::{Fixture, Response, TOKEN, send};
use tokio::time::{Instant, sleep};

/// Spin ends an instance after this number of requests.
const REQUESTS_PER_INSTANCE: usize = 128;

async fn request(fixture: &Fixture, method: &str, path: &str, token: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", "application/json")
        .header("content-type", "text/plain")
        .header("authorization", format!("Bearer {token}"));
    let body = Full::from(Bytes::from_static(b"x"));
    send(&fixture.host, request.body(body).unwrap()).await
}

async fn publish(fixture: &Fixture, token: &str) -> Response {
    request(fixture, "POST", "/publish/c", token).await
}

/// Sends wrong tokens until one is answered 429, which is returned.
async fn send_until_refused(fixture: &Fixture) -> Response {
    for number in 0..10_000 {
        let response = publish(fixture, &format!("guess-{number}")).await;
        if response.status == 429 {
            return response;
        }
        assert_eq!(response.problem_type(), "urn:runnel:problem:unauthorized");
    }
    panic!("10 000 wrong tokens were verified");
}

/// Counts the calls that keep the limit: reads and writes.
fn take_limit_calls(fixture: &Fixture) -> (usize, usize) {
    let calls = fixture.store.take_calls();
    let calls = calls
        .iter()
        .filter(|(_, key)| key.starts_with("rate!token"));
    let (reads, writes): (Vec<_>, Vec<_>) =
        calls.partition(|(operation, _)| *operation == Operation::Get);
    (reads.len(), writes.len())
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wrong_tokens_is_verified_at_the_rate_and_rarely_written() {
    let fixture = Fixture::new();
    let (mut verified, mut refused) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        for number in 0..10 {
            let response = publish(&fixture, &format!("guess-{number}")).await;
            match response.status.as_u16() {
                401 => verified += 1,
                429 => refused += 1,
                _ => panic!("{response:?}"),
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (reads, writes) = take_limit_calls(&fixture);
    println!("{verified} verified, {refused} refused, {reads} reads, {writes} writes");
    // The burst and what accrues in the minute, give or take the chance of being counted, and one in each
    // instance.
    let instances = (verified + refused) / REQUESTS_PER_INSTANCE + 1;
    assert!((400..=800 + instances).contains(&verified), "{verified}");
    assert!(writes <= 60, "{writes}");
    assert!(reads <= 400, "{reads}");
    assert_eq!(fixture.store.keys("rate!").len(), 1);
    assert!(fixture.store.keys("head!").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_over_the_limit_is_not_told_whether_a_token_is_right() {
    let fixture = Fixture::new();
    let refusal = send_until_refused(&fixture).await;
    assert_eq!(refusal.problem_type(), "urn:runnel:problem:wrong-tokens");
    let wait = refusal.retry_after();
    assert!((1..=6).contains(&wait), "{wait}");
    // The instance that has refused the client may have ended. The next one refuses it, too, once it has
    // received a wrong token.
    send_until_refused(&fixture).await;
    let right = publish(&fixture, TOKEN).await;
    assert_eq!(right.problem_type(), "urn:runnel:problem:wrong-tokens");
    sleep(Duration::from_secs(right.retry_after())).await;
    publish(&fixture, TOKEN).await.event_id();
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_good_token_is_not_kept_out_by_others_at_its_address() {
    let fixture = Fixture::new();
    let mut refused = 0;
    for number in 0..2_000 {
        // Ten wrong tokens for each good one. In a new instance, the good one comes first.
        if number % 11 == 0 {
            publish(&fixture, TOKEN).await.event_id();
        } else {
            let response = publish(&fixture, &format!("guess-{number}")).await;
            refused += usize::from(response.status == 429);
        }
        if number % 121 == 120 {
            sleep(Duration::from_millis(1_100)).await;
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_wrong_tokens_on_every_route() {
    let variables = [
        ("subscribe_auth", "token"),
        ("subscribe_token", "subscribers"),
        ("metrics_token", "operators"),
    ];
    for (method, path) in [
        ("POST", "/publish/c"),
        ("GET", "/channels/c"),
        ("HEAD", "/channels/c"),
        ("DELETE", "/channels/c"),
        ("POST", "/channels/c/close"),
        ("GET", "/events/c"),
        ("HEAD", "/events/c"),
        ("GET", "/metrics"),
        ("HEAD", "/metrics"),
    ] {
        let fixture = Fixture::with(&variables);
        let mut verified = 0;
        loop {
            let response = request(&fixture, method, path, "wrong").await;
            if response.status == 429 {
                assert!(response.retry_after() > 0);
                break;
            }
            assert_eq!(response.status, 401, "{method} {path}");
            verified += 1;
            assert!(verified < 1_000, "{method} {path} has no limit");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_the_limit_ends_at_once_and_asks_its_client_to_come_back() {
    let variables = [("subscribe_auth", "token"), ("subscribe_token", "right")];
    let fixture = Fixture::with(&variables);
    let open = async |token: &str| {
        let request = Request::get("/events/c").header("authorization", format!("Bearer {token}"));
        let request = request.body(Full::<Bytes>::default()).unwrap();
        fixture.host.request(request).await
    };
    let refused = loop {
        let response = Response::collect(open("wrong").await).await;
        if response.status == 200 {
            break response;
        }
        assert_eq!(response.problem_type(), "urn:runnel:problem:unauthorized");
    };
    let text = String::from_utf8_lossy(&refused.body);
    let (_, retry) = text.split_once("event: runnel.reconnect\nretry: ").unwrap();
    let (retry, rest) = retry.split_once('\n').unwrap();
    assert!(
        rest.starts_with("data: {\"reason\":\"wrong-tokens\","),
        "{text}"
    );
    let retry: u64 = retry.parse().unwrap();
    assert!((16_000..=32_000).contains(&retry), "{retry}");
    sleep(Duration::from_millis(retry)).await;
    assert_eq!(open("right").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn good_tokens_and_missing_ones_cost_no_call_of_the_store() {
    let fixture = Fixture::new();
    for _ in 0..500 {
        publish(&fixture, TOKEN).await.event_id();
        let request = Request::post("/publish/c").body(Full::<Bytes>::default());
        let response = send(&fixture.host, request.unwrap()).await;
        assert_eq!(response.status, 401);
    }
    assert_eq!(take_limit_calls(&fixture), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_every_wrong_token_is_verified_and_no_call_is_made() {
    let fixture = Fixture::with(&[("wrong_token_rate", "0")]);
    for _ in 0..1_000 {
        assert_eq!(publish(&fixture, "wrong").await.status, 401);
    }
    assert_eq!(take_limit_calls(&fixture), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_verified_while_the_store_fails() {
    let fixture = Fixture::new();
    let limits = |call: &runnel_host::store::Call<'_>| call.key.starts_with("rate!");
    fixture
        .store
        .inject(FaultPlan::when(limits, Fault::ErrorBefore));
    for _ in 0..1_000 {
        assert_eq!(publish(&fixture, "wrong").await.status, 401);
    }
    assert!(fixture.host.output().contains("\"limit_failed\""));
}
