//! Tokens with manipulated JOSE headers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use runnel_testing::can_start_hosts;
use serde_json::{Value, json};

use super::fixture::{Fixture, SECRET, claims_with, sign_jwt};
use super::forged::{assert_rejected, jwt_with_header};

#[tokio::test]
async fn a_token_with_a_manipulated_jose_header_is_rejected() {
    if !can_start_hosts("JOSE headers") {
        return;
    }
    let key =
        |kid: &str, secret: &str| json!({"kty": "oct", "kid": kid, "k": BASE64.encode(secret)});
    let key_set = json!({"keys": [key("a", SECRET)]}).to_string();
    let fixture = Fixture::with_jwt("HS256", &key_set, &[]);
    let mut tokens = vec![];
    for kid in [
        json!("b"),
        json!(""),
        json!("../../../../dev/null"),
        json!("/dev/null"),
        json!("a' OR '1'='1"),
        json!("x' UNION SELECT 'QUFB' --"),
        json!("a\r\nset-cookie: a=b"),
        json!("a\0"),
        json!("a|whoami"),
        json!("https://evil.example/keys"),
        json!("A"),
        json!("x".repeat(4_000)),
        json!(["a"]),
        json!({"a": "a"}),
        json!(0),
    ] {
        // Signed with the right secret, so that only the key id is wrong, and with an empty secret.
        tokens.push(jwt_with_header(&json!({"alg": "HS256", "kid": kid})));
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        tokens.push(sign_jwt(&header, &claims_with(json!({})).to_string(), b""));
    }
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!([]),
        Value::Null,
        json!("x"),
    ] {
        tokens.push(jwt_with_header(
            &json!({"alg": "HS256", "crit": crit, "b64": false}),
        ));
    }
    let other_secret = "their own secret of thirty-two bytes";
    for (name, value) in [
        ("jwk", key("a", other_secret)),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/keys")),
        ("x5c", json!([BASE64.encode(other_secret)])),
    ] {
        let mut header = json!({"alg": "HS256", "kid": "a"});
        header[name] = value;
        let claims = claims_with(json!({})).to_string();
        tokens.push(sign_jwt(
            &header.to_string(),
            &claims,
            other_secret.as_bytes(),
        ));
    }
    // The header is parsed before the signature is verified.
    for depth in [100, 2_500] {
        let (opening, closing) = ("[".repeat(depth), "]".repeat(depth));
        for name in ["x", "jwk", "crit"] {
            let header = format!(r#"{{"alg":"HS256","kid":"a","{name}":{opening}{closing}}}"#);
            tokens.push(sign_jwt(&header, "{}", other_secret.as_bytes()));
        }
    }
    let duplicate = r#"{"alg":"none","alg":"HS256"}"#;
    tokens.push(sign_jwt(
        duplicate,
        &claims_with(json!({})).to_string(),
        SECRET.as_bytes(),
    ));
    assert_rejected(&fixture, &tokens).await;
    // With the right key, unknown header fields are ignored.
    let header = json!({"alg": "HS256", "kid": "a", "jku": "https://evil.example", "x": [1]});
    fixture
        .replay()
        .bearer(&jwt_with_header(&header))
        .send()
        .await
        .expect_status(204);
}
