//! The choice of the keys that a token is verified with.

use super::*;

#[test]
fn a_token_is_verified_with_every_key_unless_it_names_one() {
    let secrets = ["first--", "second-", "third--"].map(|name| name.repeat(5));
    let issuer_of = |keys: &str| issuer(Algorithm::Hs256, keys);
    let claims = json!({"exp": 4_102_444_800_u64}).to_string();
    for secret in &secrets {
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"x"}"#] {
            let token = signed(header, &claims, secret.as_bytes());
            assert!(authenticate(&token, issuer_of(&secrets.join("\n")), NOW).is_ok());
        }
    }
    let named =
        |kid: &str, secret: &str| json!({"kty": "oct", "kid": kid, "k": BASE64.encode(secret)});
    let set = json!({"keys": [named("a", &secrets[0]), named("b", &secrets[1])]}).to_string();
    let with_kid = |kid: Value, secret: &str| {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        authenticate(
            &signed(&header, &claims, secret.as_bytes()),
            issuer_of(&set),
            NOW,
        )
    };
    assert!(with_kid(json!("a"), &secrets[0]).is_ok());
    assert!(with_kid(json!("b"), &secrets[1]).is_ok());
    assert!(with_kid(json!(null), &secrets[1]).is_ok());
    assert_eq!(with_kid(json!("a"), &secrets[1]), Err(AuthError::Signature));
    assert_eq!(with_kid(json!("c"), &secrets[0]), Err(AuthError::Signature));
    assert_eq!(with_kid(json!(1), &secrets[0]), Err(AuthError::Malformed));
}

#[test]
fn a_token_is_verified_with_at_most_two_public_keys() {
    // The n-th multiple of the generator of P-256 is a valid key that has signed none of the tokens.
    let other = |n: u64, kid: &str| {
        let point = p256::ProjectivePoint::GENERATOR * p256::Scalar::from(n);
        let key = p256::PublicKey::from_affine(point.to_affine()).unwrap();
        let point = p256::EncodedPoint::from(key);
        let [x, y] = [point.x(), point.y()].map(|number| BASE64.encode(number.unwrap()));
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y})
    };
    let own = |kid: &str| {
        let set: Value = serde_json::from_str(KEY_SET).unwrap();
        let mut key = set["keys"][1].clone();
        key["kid"] = json!(kid);
        key
    };
    let with = |keys: &[Value]| {
        let set = json!({ "keys": keys }).to_string();
        authenticate(ES256.1, named_issuer(Algorithm::Es256, &set), NOW).map(drop)
    };
    assert_eq!(with(&[own("a"), other(2, "b"), other(3, "c")]), Ok(()));
    assert_eq!(with(&[other(2, "b"), own("a"), other(3, "c")]), Ok(()));
    assert_eq!(
        with(&[other(2, "b"), other(3, "c"), own("a")]),
        Err(AuthError::Signature)
    );
}

#[test]
fn the_key_that_a_token_names_comes_before_the_keys_without_a_kid() {
    let secret = |kid: &str, k: &str| json!({"kty": "oct", "kid": kid, "k": BASE64.encode(k)});
    let keys = json!({"keys": [
        {"kty": "oct", "k": BASE64.encode("unnamed-".repeat(4))},
        secret("b", &"of-b----".repeat(4)),
        secret("a", &"of-a----".repeat(4)),
    ]});
    let keys = Keys::parse(Algorithm::Hs256, &keys.to_string()).unwrap();
    let candidates = |kid: Option<&str>| {
        let keys = keys
            .candidates(kid)
            .map(|key| key.try_get_as_bytes().unwrap());
        keys.map(|key| String::from_utf8_lossy(&key[..8]).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(candidates(Some("a")), ["of-a----", "unnamed-"]);
    assert_eq!(candidates(Some("c")), ["unnamed-"]);
    assert_eq!(candidates(None), ["unnamed-", "of-b----", "of-a----"]);
}
