//! Forged tokens, and tokens with invalid claims.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use runnel_testing::{Request, can_start_hosts};
use serde_json::{Value, json};

use super::fixture::{Fixture, HS256, SECRET, claims_with, jwt, sign_jwt, token_for, unix_now};

/// A public key used only in tests, and a token signed with its private key. The README.md next to the
/// files describes them.
#[derive(Clone, Copy)]
struct TestKey {
    pem: &'static str,
    jwt: &'static str,
}

const RS256: TestKey = TestKey {
    pem: include_str!("../../../../src/core/access/tests/fixtures/RS256.pem"),
    jwt: include_str!("../../../../src/core/access/tests/fixtures/RS256.jwt"),
};

const ES256: TestKey = TestKey {
    pem: include_str!("../../../../src/core/access/tests/fixtures/ES256.pem"),
    jwt: include_str!("../../../../src/core/access/tests/fixtures/ES256.jwt"),
};

const EDDSA: TestKey = TestKey {
    pem: include_str!("../../../../src/core/access/tests/fixtures/EdDSA.pem"),
    jwt: include_str!("../../../../src/core/access/tests/fixtures/EdDSA.jwt"),
};

/// Returns one request for every use of a token and every location that can carry one.
fn requests_with(fixture: &Fixture, token: &str) -> [Request; 8] {
    let name = &fixture.channel.name;
    let channel_path = format!("/channels/{name}");
    [
        fixture.publish().bearer(token),
        fixture.request("GET", &channel_path).bearer(token),
        fixture.request("DELETE", &channel_path).bearer(token),
        fixture
            .request("POST", &format!("{channel_path}/close"))
            .bearer(token),
        fixture.replay().bearer(token),
        fixture.replay().cookie(token),
        fixture
            .channel
            .events(&format!("?live=false&access_token={token}")),
        fixture
            .channel
            .events("?last=1")
            .accept_json()
            .bearer(token),
    ]
}

/// Asserts that every request with these tokens gets 401 and that the channel stays unknown.
pub(super) async fn assert_rejected(fixture: &Fixture, tokens: &[String]) {
    let name = &fixture.channel.name;
    for token in tokens {
        for request in requests_with(fixture, token) {
            let response = request.send().await;
            response.assert_problem(401, "unauthorized", "");
            let challenge = response.header("www-authenticate").unwrap();
            assert!(
                challenge.starts_with("Bearer realm=\"runnel\""),
                "{challenge}"
            );
        }
    }
    let state = fixture.channel.manage("GET", "").send().await;
    state.assert_problem(404, "unknown-channel", name);
}

/// Signs the default claims with this JOSE header and the configured secret.
pub(super) fn jwt_with_header(header: &Value) -> String {
    let claims = claims_with(json!({})).to_string();
    sign_jwt(&header.to_string(), &claims, SECRET.as_bytes())
}

#[tokio::test]
async fn a_token_with_another_algorithm_is_rejected() {
    if !can_start_hosts("token algorithms") {
        return;
    }
    let fixture = Fixture::with_secret();
    let mut tokens = vec![
        RS256.jwt.to_owned(),
        ES256.jwt.to_owned(),
        EDDSA.jwt.to_owned(),
    ];
    for capitals in 0..16_u32 {
        let letters = "none".chars().enumerate();
        let alg: String = letters
            .map(|(index, letter)| match capitals & (1 << index) {
                0 => letter,
                _ => letter.to_ascii_uppercase(),
            })
            .collect();
        let signed = jwt_with_header(&json!({ "alg": alg }));
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        tokens.push(format!("{unsigned}."));
        if capitals % 5 == 0 {
            tokens.extend([signed.clone(), unsigned.to_owned()]);
        }
    }
    for alg in ["HS384", "HS512", "RS256", "hs256", " HS256", "HS256\0", ""] {
        tokens.push(jwt_with_header(&json!({ "alg": alg })));
    }
    for header in [
        json!({}),
        json!({"alg": null}),
        json!({"alg": ["HS256"]}),
        json!(["HS256"]),
    ] {
        tokens.push(jwt_with_header(&header));
    }
    assert_rejected(&fixture, &tokens).await;
}

#[tokio::test]
async fn a_public_key_is_not_accepted_as_an_hmac_secret() {
    if !can_start_hosts("public keys") {
        return;
    }
    for (algorithm, key, others) in [
        ("RS256", RS256, [ES256, EDDSA]),
        ("ES256", ES256, [RS256, EDDSA]),
        ("EdDSA", EDDSA, [RS256, ES256]),
    ] {
        let fixture = Fixture::with_jwt(algorithm, key.pem, &[]);
        let mut tokens = vec![
            jwt(&claims_with(json!({}))),
            others[0].jwt.to_owned(),
            others[1].jwt.to_owned(),
        ];
        let body: String = key
            .pem
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let der = base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap();
        for secret in [key.pem.as_bytes(), key.pem.trim().as_bytes(), &der, b""] {
            for alg in ["HS256", algorithm] {
                let header = json!({ "alg": alg }).to_string();
                tokens.push(sign_jwt(
                    &header,
                    &claims_with(json!({})).to_string(),
                    secret,
                ));
            }
        }
        // Empty and all-zero signatures; ECDSA must not accept the latter (CVE-2022-21449).
        let (message, _) = key.jwt.rsplit_once('.').unwrap();
        for zeros in [0, 64, 256] {
            tokens.push(format!("{message}.{}", BASE64.encode(vec![0; zeros])));
        }
        let (_, signature) = key.jwt.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let other = BASE64.encode(claims_with(json!({})).to_string());
        tokens.push(format!("{header}.{other}.{signature}"));
        assert_rejected(&fixture, &tokens).await;
        // A token that the key has really signed is accepted.
        fixture
            .replay()
            .bearer(key.jwt)
            .send()
            .await
            .expect_status(204);
        let response = fixture.publish().bearer(key.jwt).send().await;
        response.assert_problem(403, "forbidden", &fixture.channel.name);
    }
}

#[tokio::test]
async fn a_token_with_invalid_claims_is_rejected() {
    if !can_start_hosts("token claims") {
        return;
    }
    let fixture = Fixture::with_secret();
    let with_claim = |name: &str, value: Value| {
        let mut claims = claims_with(json!({}));
        claims[name] = value;
        jwt(&claims)
    };
    let mut tokens = vec![];
    for exp in [
        json!(unix_now() - 6),
        json!(0),
        json!(1.5),
        json!(-1),
        json!(i64::MIN),
        json!(-1e300),
        json!(1e300),
        json!(u64::MAX),
        json!(unix_now() * 1_000),
        json!((unix_now() + 3_600).to_string()),
        json!(""),
        json!(true),
        json!([unix_now() + 3_600]),
        json!({"exp": unix_now() + 3_600}),
        Value::Null,
    ] {
        tokens.push(with_claim("exp", exp));
    }
    for nbf in [json!(unix_now() + 600), json!("0"), json!(-1), json!(1e300)] {
        tokens.push(with_claim("nbf", nbf));
    }
    for aud in [
        json!("others"),
        json!(["others"]),
        json!([]),
        json!("Runnel"),
        json!(""),
        Value::Null,
    ] {
        tokens.push(with_claim("aud", aud));
    }
    for iss in [
        json!("others"),
        json!(["tests"]),
        json!("tests "),
        Value::Null,
    ] {
        tokens.push(with_claim("iss", iss));
    }
    for runnel in [
        json!("*"),
        json!({"publish": "*"}),
        json!({"publish": ["**"]}),
        json!([1]),
    ] {
        tokens.push(with_claim("runnel", runnel));
    }
    let valid = claims_with(json!({})).to_string();
    for duplicate in [
        "\"exp\":1",
        "\"aud\":\"others\"",
        "\"runnel\":{}",
        "\"iss\":\"tests\"",
    ] {
        for claims in [
            valid.replacen('{', &format!("{{{duplicate},"), 1),
            format!("{},{duplicate}}}", valid.strip_suffix('}').unwrap()),
        ] {
            tokens.push(sign_jwt(HS256, &claims, SECRET.as_bytes()));
        }
    }
    for claims in [
        "",
        "null",
        "[]",
        "1",
        "{",
        "\u{feff}{}",
        &format!("{valid} {valid}"),
    ] {
        tokens.push(sign_jwt(HS256, claims, SECRET.as_bytes()));
    }
    tokens.push(sign_jwt(HS256, &"[".repeat(5_000), SECRET.as_bytes()));
    assert_rejected(&fixture, &tokens).await;
}

#[tokio::test]
async fn a_token_that_is_not_three_base64_parts_is_rejected() {
    if !can_start_hosts("malformed tokens") {
        return;
    }
    let fixture = Fixture::with_secret();
    let valid = token_for(&["*"], &["*"]);
    let parts: Vec<&str> = valid.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let mut tokens: Vec<String> = [
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "a.b.c.d.e",
        "e30.e30.",
    ]
    .map(str::to_owned)
    .to_vec();
    tokens.extend([
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{valid}."),
        format!(".{valid}"),
        format!("{valid}.{signature}"),
        format!("{valid}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", &signature[1..]),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 1]),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}.{payload}.~{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}%3D.{signature}"),
        format!("%22{valid}%22x"),
        format!("{valid},{valid}"),
    ]);
    assert_rejected(&fixture, &tokens).await;
}

#[tokio::test]
async fn an_oversized_token_is_rejected_without_harm() {
    if !can_start_hosts("oversized tokens") {
        return;
    }
    let fixture = Fixture::with_secret();
    let long = |length: usize| jwt(&claims_with(json!({"sub": "x".repeat(length)})));
    for token in [long(8_000), long(20_000)] {
        for request in requests_with(&fixture, &token) {
            // Headers and queries over their limits get 400 before the token is verified.
            let response = request.send().await;
            assert!(
                [400, 401].contains(&response.status.as_u16()),
                "{response:?}"
            );
        }
    }
    // The HTTP server itself can reject larger headers, or close the connection.
    let megabyte = long(1 << 20);
    for request in [
        fixture.publish().bearer(&megabyte),
        fixture.replay().cookie(&megabyte),
    ] {
        if let Ok(response) = request.try_send().await {
            assert!(response.status.is_client_error(), "{}", response.status);
        }
    }
    let mut many = String::new();
    for number in 0..400 {
        write!(many, "runnel_token{number}=x; ").unwrap();
    }
    let request = fixture.replay().header("cookie", many);
    request
        .send()
        .await
        .assert_problem(401, "unauthorized", "token");
    assert_rejected(&fixture, &[]).await;
}

#[tokio::test]
async fn any_configured_secret_is_accepted_during_key_rotation() {
    if !can_start_hosts("key rotation") {
        return;
    }
    let other = "another-secret-of-tests-32-bytes";
    let fixture = Fixture::with_jwt("HS256", &format!("{other}\n{SECRET}"), &[]);
    let claims = claims_with(json!({})).to_string();
    for secret in [SECRET, other] {
        let token = sign_jwt(HS256, &claims, secret.as_bytes());
        fixture
            .publish()
            .bearer(&token)
            .send()
            .await
            .expect_status(201);
    }
    let joined = sign_jwt(HS256, &claims, format!("{other}\n{SECRET}").as_bytes());
    let response = fixture.publish().bearer(&joined).send().await;
    response.assert_problem(401, "unauthorized", "signature");
}
