//! The number of wrong tokens of a client is limited.

use std::time::Duration;

use runnel_testing::{Request, can_start_hosts};
use serde_json::json;

use super::fixture::{Fixture, HS256, SECRET, claims_with, jwt, sign_jwt, token_for, unix_now};

/// A secret that is not the configured one.
const OTHER_SECRET: &[u8] = b"another-secret-of-at-least-32-bytes";

/// Sends a request again and again. Returns the number of answers before the first 429.
async fn verified_before_refusal(request: impl Fn() -> Request) -> usize {
    for verified in 0..1_000 {
        let response = request().send().await;
        if response.status == 429 {
            response.assert_problem(429, "wrong-tokens", "too many wrong tokens");
            assert!(response.retry_after() > 0);
            return verified;
        }
        response.assert_problem(401, "unauthorized", "");
    }
    panic!("there is no limit");
}

#[tokio::test]
async fn wrong_tokens_of_one_client_are_limited_and_other_clients_are_not_affected() {
    if !can_start_hosts("the limit on wrong tokens") {
        return;
    }
    let fixture = Fixture::with(&["wrong_token_rate=40"]);
    let guess = || fixture.publish().bearer("guess");
    // A burst of 40, of which every second is counted for two, by chance.
    let verified = verified_before_refusal(guess).await;
    assert!((10..=150).contains(&verified), "{verified}");
    // An address in a header of the client does not count.
    verified_before_refusal(|| guess().header("spin-client-addr", "10.0.0.1:1")).await;
    // Another address of this machine.
    let other = || fixture.publish().from_address([127, 0, 0, 2]);
    other().authorized().send().await.event_id();
    let response = other().bearer("guess").send().await;
    response.assert_problem(401, "unauthorized", "");
}

#[tokio::test]
async fn a_refused_client_is_accepted_again_after_the_time_in_retry_after() {
    if !can_start_hosts("the end of a refusal") {
        return;
    }
    let fixture = Fixture::with(&["wrong_token_rate=40"]);
    verified_before_refusal(|| fixture.publish().bearer("guess")).await;
    let response = fixture.publish().authorized().send().await;
    if response.status == 429 {
        tokio::time::sleep(Duration::from_secs(response.retry_after())).await;
        fixture.publish().authorized().send().await.event_id();
    }
}

#[tokio::test]
async fn forged_jwts_are_limited_and_genuine_ones_that_are_not_accepted_are_not() {
    if !can_start_hosts("the limit on forged tokens") {
        return;
    }
    let fixture = Fixture::with_jwt("HS256", SECRET, &["wrong_token_rate=300"]);
    let other = json!({"aud": "another", "exp": unix_now() + 60});
    for genuine in [
        jwt(&claims_with(json!({"exp": unix_now() - 60}))),
        jwt(&claims_with(json!({"nbf": unix_now() + 60}))),
        jwt(&claims_with(json!({"iss": "another"}))),
        jwt(&claims_with(other)),
        jwt(&json!({"sub": "alice"})),
        token_for(&["other"], &["other"]),
    ] {
        for _ in 0..400 {
            let response = fixture.publish().bearer(&genuine).send().await;
            assert!(
                [401, 403].contains(&response.status.as_u16()),
                "{response:?}"
            );
        }
    }
    let forged = |number: u32| {
        let claims = claims_with(json!({ "sub": number.to_string() }));
        sign_jwt(HS256, &claims.to_string(), OTHER_SECRET)
    };
    let number = std::cell::Cell::new(0);
    verified_before_refusal(|| {
        number.set(number.get() + 1);
        fixture.publish().bearer(&forged(number.get()))
    })
    .await;
}

#[tokio::test]
async fn an_invalid_rate_of_wrong_tokens_is_reported_with_its_variable() {
    if !can_start_hosts("an invalid rate of wrong tokens") {
        return;
    }
    let fixture = Fixture::with(&["wrong_token_rate=-1", "metrics_token=m"]);
    let problem = "wrong_token_rate is \"-1\"";
    let metrics = fixture.request("GET", "/metrics");
    for request in [fixture.publish(), metrics] {
        let response = request.bearer("x").send().await;
        response.assert_problem(500, "configuration", problem);
    }
}
