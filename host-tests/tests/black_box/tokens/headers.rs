//! Tokens whose headers are up to something.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::forged::{open_nothing, with_header};
use super::mint::{SECRET, Site, claims, signed};
use crate::server::may_start_hosts;

#[tokio::test]
async fn tricks_with_the_header_of_a_token_open_nothing() {
    if !may_start_hosts("headers of tokens") {
        return;
    }
    let key =
        |kid: &str, secret: &str| json!({"kty": "oct", "kid": kid, "k": BASE64.encode(secret)});
    let set = json!({"keys": [key("a", SECRET)]}).to_string();
    let site = Site::with_jwt("HS256", &set, &[]);
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
        // With the right secret, so that only the name is at fault; and with that of an empty file.
        tokens.push(with_header(&json!({"alg": "HS256", "kid": kid})));
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        tokens.push(signed(&header, &claims(json!({})).to_string(), b""));
    }
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!([]),
        Value::Null,
        json!("x"),
    ] {
        tokens.push(with_header(
            &json!({"alg": "HS256", "crit": crit, "b64": false}),
        ));
    }
    let theirs = "their own secret of thirty-two bytes";
    for (name, value) in [
        ("jwk", key("a", theirs)),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/keys")),
        ("x5c", json!([BASE64.encode(theirs)])),
    ] {
        let mut header = json!({"alg": "HS256", "kid": "a"});
        header[name] = value;
        let claims = claims(json!({})).to_string();
        tokens.push(signed(&header.to_string(), &claims, theirs.as_bytes()));
    }
    // Read before the signature is looked at.
    for depth in [100, 2_500] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        for name in ["x", "jwk", "crit"] {
            let header = format!(r#"{{"alg":"HS256","kid":"a","{name}":{open}{close}}}"#);
            tokens.push(signed(&header, "{}", theirs.as_bytes()));
        }
    }
    let twice = r#"{"alg":"none","alg":"HS256"}"#;
    tokens.push(signed(
        twice,
        &claims(json!({})).to_string(),
        SECRET.as_bytes(),
    ));
    open_nothing(&site, &tokens).await;
    // What comes along is ignored, not obeyed, if the key is right.
    let header = json!({"alg": "HS256", "kid": "a", "jku": "https://evil.example", "x": [1]});
    site.replaying()
        .bearer(&with_header(&header))
        .send()
        .await
        .has(204);
}
