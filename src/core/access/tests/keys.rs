//! Parsing of keys.

use super::*;

fn rejected(algorithm: Algorithm, text: &str) -> KeyError {
    let keys = Keys::parse(algorithm, text).map(|keys| format!("{keys:?}"));
    let error = keys.unwrap_err();
    for word in text.split_ascii_whitespace().filter(|word| word.len() > 20) {
        assert!(!error.to_string().contains(word), "{error}");
    }
    error
}

#[test]
fn algorithms_are_parsed_from_their_exact_names() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
    }
    // RFC 9864 gives it a name of its own. The other new names there are not of JOSE.
    assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDsa));
    for name in [
        "none", "hs256", "HS512", "PS256", "ES384", "ESP256", "Ed448", "ed25519", "", "HS256 ",
    ] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
}

#[test]
fn short_secrets_are_rejected() {
    assert_eq!(
        rejected(Algorithm::Hs256, &SECRET[..31]),
        KeyError::ShortSecret
    );
    let one_is_short = format!("{SECRET} a-short-one");
    assert_eq!(
        rejected(Algorithm::Hs256, &one_is_short),
        KeyError::ShortSecret
    );
    assert_eq!(
        rejected(Algorithm::Hs256, r#"{"keys":[{"kty":"oct","k":"YWJj"}]}"#),
        KeyError::ShortSecret
    );
}

#[test]
fn public_keys_are_rejected_as_secrets_and_secrets_as_public_keys() {
    assert_eq!(rejected(Algorithm::Hs256, RS256.0), KeyError::PemForSecret);
    let secret = "0123456789abcdef0123456789abcdef";
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(rejected(algorithm, secret), KeyError::Pem(algorithm));
    }
}

#[test]
fn a_key_is_rejected_for_another_algorithm() {
    for (pem, own) in [
        (RS256.0, Algorithm::Rs256),
        (ES256.0, Algorithm::Es256),
        (EDDSA.0, Algorithm::EdDsa),
    ] {
        assert!(Keys::parse(own, pem).is_ok());
        for other in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            if other != own {
                assert_eq!(rejected(other, pem), KeyError::Pem(other));
            }
        }
    }
}

#[test]
fn rsa_keys_are_accepted_in_both_formats_if_they_are_long_enough() {
    let pkcs1 = include_str!("fixtures/RS256.pkcs1.pem");
    assert!(Keys::parse(Algorithm::Rs256, pkcs1).is_ok());
    let short = include_str!("fixtures/1024.pem");
    assert_eq!(rejected(Algorithm::Rs256, short), KeyError::ShortModulus);
}

#[test]
fn private_keys_are_rejected() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let pem = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert_eq!(rejected(Algorithm::Es256, &pem), KeyError::Private);
    }
    let set = KEY_SET.replace("\"crv\"", "\"d\": \"AAAA\", \"crv\"");
    assert_eq!(rejected(Algorithm::EdDsa, &set), KeyError::Private);
    assert_eq!(rejected(Algorithm::Es256, &set), KeyError::Private);
}

#[test]
fn malformed_and_weak_keys_are_rejected() {
    let damaged = RS256.0.replace('M', "N");
    let trailing = format!("{} and more", RS256.0);
    let leading = format!("see {}", RS256.0);
    let twice_one_damaged = format!("{}{damaged}", RS256.0);
    for text in [&damaged, &trailing, &leading, &twice_one_damaged] {
        assert_eq!(
            rejected(Algorithm::Rs256, text),
            KeyError::Pem(Algorithm::Rs256)
        );
    }
    assert_eq!(
        rejected(Algorithm::Hs256, " "),
        KeyError::None(Algorithm::Hs256)
    );
    for set in ["{", "{}", "{\"keys\":{}}", "{\"keys\":[1]}"] {
        assert_eq!(rejected(Algorithm::Es256, set), KeyError::KeySet);
    }
    // Keys that lack members are ignored (RFC 7517, 5).
    for set in [
        "{\"keys\":[]}",
        "{\"keys\":[{}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}",
    ] {
        assert_eq!(
            rejected(Algorithm::Es256, set),
            KeyError::None(Algorithm::Es256)
        );
    }
    for members in [
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"!\"",
        "\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\"",
    ] {
        let set = format!("{{\"keys\":[{{{members}}}]}}");
        let errors = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256]
            .map(|algorithm| rejected(algorithm, &set));
        assert!(errors.contains(&KeyError::Invalid), "{set}: {errors:?}");
    }
    // Any signature verifies under this point.
    let weak = format!(
        "{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"}}]}}",
        BASE64.encode([&[1], &[0; 31][..]].concat())
    );
    assert_eq!(rejected(Algorithm::EdDsa, &weak), KeyError::Invalid);
}

#[test]
fn at_most_eight_secrets_without_a_kid_are_accepted() {
    let secrets = |count: usize| vec!["0123456789abcdef0123456789abcdef"; count].join("\n");
    assert!(Keys::parse(Algorithm::Hs256, &secrets(8)).is_ok());
    let error = KeyError::TooManyUnnamed(Algorithm::Hs256);
    assert_eq!(rejected(Algorithm::Hs256, &secrets(9)), error);
}

#[test]
fn at_most_32_keys_with_a_kid_are_accepted() {
    let set: Value = serde_json::from_str(KEY_SET).unwrap();
    let set = |count: usize| {
        let keys = (0..count).map(|number| {
            let mut key = set["keys"][1].clone();
            key["kid"] = json!(number.to_string());
            key
        });
        json!({"keys": keys.collect::<Vec<_>>()}).to_string()
    };
    assert!(Keys::parse(Algorithm::Es256, &set(32)).is_ok());
    assert_eq!(rejected(Algorithm::Es256, &set(33)), KeyError::TooMany);
}

#[test]
fn at_most_two_public_keys_without_a_kid_are_accepted() {
    let repeated = |count: usize| ES256.0.repeat(count);
    assert!(Keys::parse(Algorithm::Es256, &repeated(2)).is_ok());
    assert_eq!(
        rejected(Algorithm::Es256, &repeated(3)),
        KeyError::TooManyUnnamed(Algorithm::Es256)
    );
}

proptest! {
    /// Property: any text is parsed or rejected without a panic.
    #[test]
    fn any_text_is_parsed_or_rejected(
        text in prop_oneof![
            any::<String>(),
            "(-----BEGIN (RSA )?PUBLIC KEY-----\n?[A-Za-z0-9+/=\n]{0,40}(-----END PUBLIC KEY-----)?){0,3}",
            "\\{\"keys\":\\[(\\{\"kty\":\"(EC|RSA|OKP|oct)\",\"[nexykd]\":\"[A-Za-z0-9_-]{0,8}\"\\},?){0,3}\\]\\}",
        ],
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()),
    ) {
        _ = Keys::parse(algorithm, &text);
    }
}
