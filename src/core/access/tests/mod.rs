//! Authentication with tokens of every kind. The keys in `fixtures` are used nowhere else.

mod issuers;
mod key_selection;
mod keys;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;
use crate::core::channel::Channel;

const SECRET: &str = "A-secret-of-tests,-of-32-bytes!!";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

const RS256: (&str, &str) = (
    include_str!("fixtures/RS256.pem"),
    include_str!("fixtures/RS256.jwt"),
);
const ES256: (&str, &str) = (
    include_str!("fixtures/ES256.pem"),
    include_str!("fixtures/ES256.jwt"),
);
const EDDSA: (&str, &str) = (
    include_str!("fixtures/EdDSA.pem"),
    include_str!("fixtures/EdDSA.jwt"),
);
const KEY_SET: &str = include_str!("fixtures/set.json");

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

/// Returns a JWT with this header and these claims, signed with HMAC.
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

fn named_issuer(algorithm: Algorithm, keys: &str) -> Issuer {
    let keys = Keys::parse(algorithm, keys).unwrap();
    Issuer::new(keys, Some("runnel".to_owned()), Some("tests".to_owned()))
}

fn authenticator(issuer: Option<Issuer>) -> Authenticator {
    Authenticator {
        publish_token: Secret::new("publish"),
        subscribe_token: Some(Secret::new("subscribe")),
        issuer,
    }
}

fn authenticate(token: &str, issuer: Issuer, now: Timestamp) -> Result<Principal, AuthError> {
    authenticator(Some(issuer)).authenticate(token.as_bytes(), TokenSource::Cookie, now)
}

#[test]
fn the_publish_token_grants_everything_and_is_accepted_in_the_header_only() {
    let authenticator = authenticator(None);
    let principal = authenticator
        .authenticate(b"publish", TokenSource::AuthorizationHeader, NOW)
        .unwrap();
    for permission in [Permission::Publish, Permission::Subscribe] {
        assert!(principal.allows(permission, &channel("a/b")));
    }
    assert_eq!(principal.expires(), None);
    for source in [TokenSource::Cookie, TokenSource::Query] {
        let rejected = authenticator.authenticate(b"publish", source, NOW);
        assert_eq!(rejected, Err(AuthError::Unknown));
    }
}

#[test]
fn the_subscribe_token_grants_subscribing_and_is_accepted_from_every_source() {
    for source in [
        TokenSource::AuthorizationHeader,
        TokenSource::Cookie,
        TokenSource::Query,
    ] {
        let principal = authenticator(None)
            .authenticate(b"subscribe", source, NOW)
            .unwrap();
        assert!(principal.allows(Permission::Subscribe, &channel("a/b")));
        assert!(!principal.allows(Permission::Publish, &channel("a/b")));
    }
}

#[test]
fn without_an_issuer_no_other_token_is_accepted() {
    let token = token(&json!({"exp": 4_102_444_800_u64, "runnel": {"publish": ["*"]}}));
    for token in [token.as_bytes(), b"", b"publis", b"publish2", b"\xff"] {
        let rejected =
            authenticator(None).authenticate(token, TokenSource::AuthorizationHeader, NOW);
        assert_eq!(rejected, Err(AuthError::Unknown));
    }
}

#[test]
fn an_anonymous_client_can_only_subscribe() {
    let anonymous = Principal::anonymous();
    assert!(anonymous.allows(Permission::Subscribe, &channel("a")));
    assert!(!anonymous.allows(Permission::Publish, &channel("a")));
    assert_eq!((anonymous.expires(), anonymous.identity()), (None, None));
}

#[test]
fn an_identity_is_the_subject_or_the_tokens_digest() {
    let authenticator = authenticator(Some(issuer(Algorithm::Hs256, SECRET)));
    let identity = |token: &str| {
        let principal = authenticator
            .authenticate(token.as_bytes(), TokenSource::AuthorizationHeader, NOW)
            .unwrap();
        principal.identity().unwrap().to_owned()
    };
    let exp = 4_102_444_800_u64;
    assert_eq!(
        identity(&token(&json!({"exp": exp, "sub": "al"}))),
        "sub:al"
    );
    let without_subject = identity(&token(&json!({"exp": exp})));
    assert!(
        without_subject.starts_with("token:") && without_subject.len() == 22,
        "{without_subject}"
    );
    // printf publish | sha256sum
    assert_eq!(identity("publish"), "token:a5d47a4311d759db");
}
