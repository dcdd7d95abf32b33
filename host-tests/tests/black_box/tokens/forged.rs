//! Tokens that nobody with the key has made, or that say what they must not.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::mint::{HS256, SECRET, Site, claims, now, signed, token, token_for};
use crate::client::Request;
use crate::server::may_start_hosts;

/// The keys are nobody's; README.md beside them says more.
const RS256: (&str, &str) = (
    include_str!("../../../../src/core/access/tests/fixtures/RS256.pem"),
    include_str!("../../../../src/core/access/tests/fixtures/RS256.jwt"),
);
const ES256: (&str, &str) = (
    include_str!("../../../../src/core/access/tests/fixtures/ES256.pem"),
    include_str!("../../../../src/core/access/tests/fixtures/ES256.jwt"),
);
const EDDSA: (&str, &str) = (
    include_str!("../../../../src/core/access/tests/fixtures/EdDSA.pem"),
    include_str!("../../../../src/core/access/tests/fixtures/EdDSA.jwt"),
);

/// What a token could open, wherever it may stand.
fn doors(site: &Site, token: &str) -> [Request; 8] {
    let name = &site.channel.name;
    let managing = format!("/channels/{name}");
    [
        site.publishing().bearer(token),
        site.request("GET", &managing).bearer(token),
        site.request("DELETE", &managing).bearer(token),
        site.request("POST", &format!("{managing}/close"))
            .bearer(token),
        site.replaying().bearer(token),
        site.replaying().cookie(token),
        site.channel
            .events(&format!("?live=false&access_token={token}")),
        site.channel.events("?last=1").long_poll().bearer(token),
    ]
}

/// Holds that tokens open nothing, and that nothing was gained by them.
pub(super) async fn open_nothing(site: &Site, tokens: &[String]) {
    let name = &site.channel.name;
    for token in tokens {
        for request in doors(site, token) {
            let answer = request.send().await;
            answer.is_problem(401, "unauthorized", "");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(
                challenge.starts_with("Bearer realm=\"runnel\""),
                "{challenge}"
            );
        }
    }
    let state = site.channel.manage("GET", "").send().await;
    state.is_problem(404, "unknown-channel", name);
}

pub(super) fn with_header(header: &Value) -> String {
    let claims = claims(json!({})).to_string();
    signed(&header.to_string(), &claims, SECRET.as_bytes())
}

#[tokio::test]
async fn an_algorithm_other_than_the_configured_opens_nothing() {
    if !may_start_hosts("algorithms") {
        return;
    }
    let site = Site::with_secret();
    let mut tokens = vec![RS256.1.to_owned(), ES256.1.to_owned(), EDDSA.1.to_owned()];
    for capitals in 0..16_u32 {
        let letters = "none".chars().enumerate();
        let alg: String = letters
            .map(|(at, letter)| match capitals & (1 << at) {
                0 => letter,
                _ => letter.to_ascii_uppercase(),
            })
            .collect();
        let whole = with_header(&json!({ "alg": alg }));
        let (unsigned, _) = whole.rsplit_once('.').unwrap();
        tokens.push(format!("{unsigned}."));
        if capitals % 5 == 0 {
            tokens.extend([whole.clone(), unsigned.to_owned()]);
        }
    }
    for alg in ["HS384", "HS512", "RS256", "hs256", " HS256", "HS256\0", ""] {
        tokens.push(with_header(&json!({ "alg": alg })));
    }
    for header in [
        json!({}),
        json!({"alg": null}),
        json!({"alg": ["HS256"]}),
        json!(["HS256"]),
    ] {
        tokens.push(with_header(&header));
    }
    open_nothing(&site, &tokens).await;
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    if !may_start_hosts("keys of another kind") {
        return;
    }
    for (algorithm, own, others) in [
        ("RS256", RS256, [ES256, EDDSA]),
        ("ES256", ES256, [RS256, EDDSA]),
        ("EdDSA", EDDSA, [RS256, ES256]),
    ] {
        let site = Site::with_jwt(algorithm, own.0, &[]);
        let mut tokens = vec![
            token(&claims(json!({}))),
            others[0].1.to_owned(),
            others[1].1.to_owned(),
        ];
        let body: String = own
            .0
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let der = base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap();
        for secret in [own.0.as_bytes(), own.0.trim().as_bytes(), &der, b""] {
            for alg in ["HS256", algorithm] {
                let header = json!({ "alg": alg }).to_string();
                tokens.push(signed(&header, &claims(json!({})).to_string(), secret));
            }
        }
        // The signature of nothing, and one that ECDSA must not take (CVE-2022-21449).
        let (message, _) = own.1.rsplit_once('.').unwrap();
        for zeros in [0, 64, 256] {
            tokens.push(format!("{message}.{}", BASE64.encode(vec![0; zeros])));
        }
        let (_, signature) = own.1.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let other = BASE64.encode(claims(json!({})).to_string());
        tokens.push(format!("{header}.{other}.{signature}"));
        open_nothing(&site, &tokens).await;
        // The key itself is good.
        site.replaying().bearer(own.1).send().await.has(204);
        let answer = site.publishing().bearer(own.1).send().await;
        answer.is_problem(403, "forbidden", &site.channel.name);
    }
}

#[tokio::test]
async fn claims_that_are_not_good_open_nothing() {
    if !may_start_hosts("claims") {
        return;
    }
    let site = Site::with_secret();
    let with = |name: &str, value: Value| {
        let mut claims = claims(json!({}));
        claims[name] = value;
        token(&claims)
    };
    let mut tokens = vec![];
    for exp in [
        json!(now() - 6),
        json!(0),
        json!(1.5),
        json!(-1),
        json!(i64::MIN),
        json!(-1e300),
        json!(1e300),
        json!(u64::MAX),
        json!(now() * 1_000),
        json!((now() + 3_600).to_string()),
        json!(""),
        json!(true),
        json!([now() + 3_600]),
        json!({"exp": now() + 3_600}),
        Value::Null,
    ] {
        tokens.push(with("exp", exp));
    }
    for nbf in [json!(now() + 600), json!("0"), json!(-1), json!(1e300)] {
        tokens.push(with("nbf", nbf));
    }
    for aud in [
        json!("others"),
        json!(["others"]),
        json!([]),
        json!("Runnel"),
        json!(""),
        Value::Null,
    ] {
        tokens.push(with("aud", aud));
    }
    for iss in [
        json!("others"),
        json!(["tests"]),
        json!("tests "),
        Value::Null,
    ] {
        tokens.push(with("iss", iss));
    }
    for runnel in [
        json!("*"),
        json!({"publish": "*"}),
        json!({"publish": ["**"]}),
        json!([1]),
    ] {
        tokens.push(with("runnel", runnel));
    }
    let whole = claims(json!({})).to_string();
    for duplicate in [
        "\"exp\":1",
        "\"aud\":\"others\"",
        "\"runnel\":{}",
        "\"iss\":\"tests\"",
    ] {
        for claims in [
            whole.replacen('{', &format!("{{{duplicate},"), 1),
            format!("{},{duplicate}}}", whole.strip_suffix('}').unwrap()),
        ] {
            tokens.push(signed(HS256, &claims, SECRET.as_bytes()));
        }
    }
    for claims in [
        "",
        "null",
        "[]",
        "1",
        "{",
        "\u{feff}{}",
        &format!("{whole} {whole}"),
    ] {
        tokens.push(signed(HS256, claims, SECRET.as_bytes()));
    }
    tokens.push(signed(HS256, &"[".repeat(5_000), SECRET.as_bytes()));
    open_nothing(&site, &tokens).await;
}

#[tokio::test]
async fn what_is_not_three_parts_of_base64_opens_nothing() {
    if !may_start_hosts("parts") {
        return;
    }
    let site = Site::with_secret();
    let good = token_for(&["*"], &["*"]);
    let parts: Vec<&str> = good.split('.').collect();
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
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", &signature[1..]),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 1]),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}.{payload}.~{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}%3D.{signature}"),
        format!("%22{good}%22x"),
        format!("{good},{good}"),
    ]);
    open_nothing(&site, &tokens).await;
}

#[tokio::test]
async fn a_token_too_long_to_be_one_opens_nothing_and_harms_nothing() {
    if !may_start_hosts("long tokens") {
        return;
    }
    let site = Site::with_secret();
    let long = |length: usize| token(&claims(json!({"sub": "x".repeat(length)})));
    for token in [long(8_000), long(20_000)] {
        for request in doors(&site, &token) {
            // It is not even looked at if the header or the query is longer than any that is meant.
            let answer = request.send().await;
            assert!([400, 401].contains(&answer.status.as_u16()), "{answer:?}");
        }
    }
    // So many claims do not even come through the door of the host.
    let megabyte = long(1 << 20);
    for request in [
        site.publishing().bearer(&megabyte),
        site.replaying().cookie(&megabyte),
    ] {
        if let Ok(answer) = request.try_send().await {
            assert!(answer.status.is_client_error(), "{}", answer.status);
        }
    }
    let mut many = String::new();
    for number in 0..400 {
        write!(many, "runnel_token{number}=x; ").unwrap();
    }
    let request = site.replaying().header("cookie", many);
    request
        .send()
        .await
        .is_problem(401, "unauthorized", "token");
    open_nothing(&site, &[]).await;
}

#[tokio::test]
async fn any_of_several_secrets_will_do_while_keys_are_changed() {
    if !may_start_hosts("rotation") {
        return;
    }
    let other = "another-secret-of-tests-32-bytes";
    let site = Site::with_jwt("HS256", &format!("{other}\n{SECRET}"), &[]);
    let claims = claims(json!({})).to_string();
    for secret in [SECRET, other] {
        let token = signed(HS256, &claims, secret.as_bytes());
        site.publishing().bearer(&token).send().await.has(201);
    }
    let neither = signed(HS256, &claims, format!("{other}\n{SECRET}").as_bytes());
    let answer = site.publishing().bearer(&neither).send().await;
    answer.is_problem(401, "unauthorized", "signature");
}
