//! Which of several keys a token is tried with.

use super::*;

#[test]
fn any_of_several_keys_will_do_unless_the_token_names_one() {
    let secrets = ["first--", "second-", "third--"].map(|name| name.repeat(5));
    let issuer_of = |keys: &str| issuer(Algorithm::Hs256, keys);
    let claims = json!({"exp": 4_102_444_800_u64}).to_string();
    for secret in &secrets {
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"x"}"#] {
            let token = signed(header, &claims, secret.as_bytes());
            assert!(admit(&token, issuer_of(&secrets.join("\n")), NOW).is_ok());
        }
    }
    let named =
        |kid: &str, secret: &str| json!({"kty": "oct", "kid": kid, "k": BASE64.encode(secret)});
    let set = json!({"keys": [named("a", &secrets[0]), named("b", &secrets[1])]}).to_string();
    let with_kid = |kid: Value, secret: &str| {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        admit(
            &signed(&header, &claims, secret.as_bytes()),
            issuer_of(&set),
            NOW,
        )
    };
    assert!(with_kid(json!("a"), &secrets[0]).is_ok());
    assert!(with_kid(json!("b"), &secrets[1]).is_ok());
    assert!(with_kid(json!(null), &secrets[1]).is_ok());
    assert_eq!(with_kid(json!("a"), &secrets[1]), Err(Refusal::Signature));
    assert_eq!(with_kid(json!("c"), &secrets[0]), Err(Refusal::Signature));
    assert_eq!(with_kid(json!(1), &secrets[0]), Err(Refusal::Malformed));
}
