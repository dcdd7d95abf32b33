//! Gates, keys and tokens. The keys of `fixtures` are nobody's.

use hmac::{Hmac, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::*;

mod choice;
mod keys;
mod tokens;

const SECRET: &str = "A-secret-of-tests,-of-32-bytes!!";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

const RS256: (&str, &str) = (
    include_str!("tests/fixtures/RS256.pem"),
    include_str!("tests/fixtures/RS256.jwt"),
);
const ES256: (&str, &str) = (
    include_str!("tests/fixtures/ES256.pem"),
    include_str!("tests/fixtures/ES256.jwt"),
);
const EDDSA: (&str, &str) = (
    include_str!("tests/fixtures/EdDSA.pem"),
    include_str!("tests/fixtures/EdDSA.jwt"),
);
const SET: &str = include_str!("tests/fixtures/set.json");

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

/// A JWT with this header and these claims, signed with HMAC.
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    hmac.update(message.as_bytes());
    let signature = BASE64.encode(hmac.finalize().into_bytes());
    format!("{message}.{signature}")
}

fn token(claims: &Value) -> String {
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    signed(header, &claims.to_string(), SECRET.as_bytes())
}

fn issuer(algorithm: Algorithm, keys: &str) -> Issuer {
    Issuer::new(Keys::parse(algorithm, keys).unwrap(), None, None)
}

fn of_tests(algorithm: Algorithm, keys: &str) -> Issuer {
    let keys = Keys::parse(algorithm, keys).unwrap();
    Issuer::new(keys, Some("runnel".to_owned()), Some("tests".to_owned()))
}

fn gate(issuer: Option<Issuer>) -> Authenticator {
    Authenticator {
        publish_token: Secret::new("publish"),
        subscribe_token: Some(Secret::new("subscribe")),
        issuer,
    }
}

fn admit(token: &str, issuer: Issuer, now: Timestamp) -> Result<Principal, AuthError> {
    gate(Some(issuer)).admit(token.as_bytes(), TokenSource::Cookie, now)
}

#[test]
fn the_publish_token_may_do_everything_but_in_the_header_only() {
    let gate = gate(None);
    let credential = gate.admit(b"publish", TokenSource::Header, NOW).unwrap();
    for right in [Permission::Publish, Permission::Subscribe] {
        assert!(credential.allows(right, &channel("a/b")));
    }
    assert_eq!(credential.expires(), None);
    for place in [TokenSource::Cookie, TokenSource::Query] {
        let refused = gate.admit(b"publish", place, NOW);
        assert_eq!(refused, Err(AuthError::Unknown));
    }
}

#[test]
fn the_subscribe_token_may_subscribe_from_everywhere() {
    for place in [TokenSource::Header, TokenSource::Cookie, TokenSource::Query] {
        let credential = gate(None).admit(b"subscribe", place, NOW).unwrap();
        assert!(credential.allows(Permission::Subscribe, &channel("a/b")));
        assert!(!credential.allows(Permission::Publish, &channel("a/b")));
    }
}

#[test]
fn nothing_else_is_good_without_an_issuer() {
    let token = token(&json!({"exp": 4_102_444_800_u64, "runnel": {"publish": ["*"]}}));
    for token in [token.as_bytes(), b"", b"publis", b"publish2", b"\xff"] {
        let refused = gate(None).admit(token, TokenSource::Header, NOW);
        assert_eq!(refused, Err(AuthError::Unknown));
    }
}

#[test]
fn anybody_may_subscribe_and_no_more() {
    let anybody = Principal::anonymous();
    assert!(anybody.allows(Permission::Subscribe, &channel("a")));
    assert!(!anybody.allows(Permission::Publish, &channel("a")));
    assert_eq!((anybody.expires(), anybody.identity()), (None, None));
}

#[test]
fn an_identity_is_the_subject_or_a_digest() {
    let gate = gate(Some(issuer(Algorithm::Hs256, SECRET)));
    let identity = |token: &str| {
        let credential = gate
            .admit(token.as_bytes(), TokenSource::Header, NOW)
            .unwrap();
        credential.identity().unwrap().to_owned()
    };
    let exp = 4_102_444_800_u64;
    assert_eq!(
        identity(&token(&json!({"exp": exp, "sub": "al"}))),
        "sub:al"
    );
    let nobody = identity(&token(&json!({"exp": exp})));
    assert!(
        nobody.starts_with("token:") && nobody.len() == 22,
        "{nobody}"
    );
    // printf publish | sha256sum
    assert_eq!(identity("publish"), "token:a5d47a4311d759db");
}
