//! What is a key, and what is refused as one.

use super::*;

fn refused(algorithm: Algorithm, text: &str) -> KeyError {
    let keys = Keys::parse(algorithm, text).map(|keys| format!("{keys:?}"));
    let error = keys.unwrap_err();
    for word in text.split_ascii_whitespace().filter(|word| word.len() > 20) {
        assert!(!error.to_string().contains(word), "{error}");
    }
    error
}

#[test]
fn algorithms_are_known_by_their_exact_names() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
    }
    for name in ["none", "hs256", "HS512", "PS256", "ES384", "", "HS256 "] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
}

#[test]
fn short_secrets_are_refused() {
    assert_eq!(
        refused(Algorithm::Hs256, &SECRET[..31]),
        KeyError::ShortSecret
    );
    let one_is_short = format!("{SECRET} a-short-one");
    assert_eq!(
        refused(Algorithm::Hs256, &one_is_short),
        KeyError::ShortSecret
    );
    assert_eq!(
        refused(Algorithm::Hs256, r#"{"keys":[{"kty":"oct","k":"YWJj"}]}"#),
        KeyError::ShortSecret
    );
}

#[test]
fn a_public_key_is_no_secret_and_a_secret_no_public_key() {
    assert_eq!(refused(Algorithm::Hs256, RS256.0), KeyError::PemForSecret);
    let secret = "0123456789abcdef0123456789abcdef";
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(refused(algorithm, secret), KeyError::Pem(algorithm));
    }
}

#[test]
fn a_key_for_one_algorithm_is_none_for_another() {
    for (pem, own) in [
        (RS256.0, Algorithm::Rs256),
        (ES256.0, Algorithm::Es256),
        (EDDSA.0, Algorithm::EdDsa),
    ] {
        assert!(Keys::parse(own, pem).is_ok());
        for other in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            if other != own {
                assert_eq!(refused(other, pem), KeyError::Pem(other));
            }
        }
    }
}

#[test]
fn rsa_keys_are_read_in_both_forms_if_they_are_long_enough() {
    let pkcs1 = include_str!("fixtures/RS256.pkcs1.pem");
    assert!(Keys::parse(Algorithm::Rs256, pkcs1).is_ok());
    let short = include_str!("fixtures/1024.pem");
    assert_eq!(refused(Algorithm::Rs256, short), KeyError::ShortModulus);
}

#[test]
fn private_keys_are_refused() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let pem = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert_eq!(refused(Algorithm::Es256, &pem), KeyError::Private);
    }
    let set = SET.replace("\"crv\"", "\"d\": \"AAAA\", \"crv\"");
    assert_eq!(refused(Algorithm::EdDsa, &set), KeyError::Private);
    assert_eq!(refused(Algorithm::Es256, &set), KeyError::Private);
}

#[test]
fn what_is_no_key_is_refused() {
    let damaged = RS256.0.replace('M', "N");
    let trailing = format!("{} and more", RS256.0);
    let leading = format!("see {}", RS256.0);
    let twice_one_damaged = format!("{}{damaged}", RS256.0);
    for text in [&damaged, &trailing, &leading, &twice_one_damaged] {
        assert_eq!(
            refused(Algorithm::Rs256, text),
            KeyError::Pem(Algorithm::Rs256)
        );
    }
    assert_eq!(
        refused(Algorithm::Hs256, " "),
        KeyError::None(Algorithm::Hs256)
    );
    for set in ["{", "{}", "{\"keys\":{}}", "{\"keys\":[1]}"] {
        assert_eq!(refused(Algorithm::Es256, set), KeyError::Set);
    }
    // What lacks members is passed over (RFC 7517, 5).
    for set in [
        "{\"keys\":[]}",
        "{\"keys\":[{}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}",
    ] {
        assert_eq!(
            refused(Algorithm::Es256, set),
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
            .map(|algorithm| refused(algorithm, &set));
        assert!(errors.contains(&KeyError::Unfit), "{set}: {errors:?}");
    }
    // With this point everything would verify.
    let weak = format!(
        "{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"}}]}}",
        BASE64.encode([&[1], &[0; 31][..]].concat())
    );
    assert_eq!(refused(Algorithm::EdDsa, &weak), KeyError::Unfit);
}

#[test]
fn there_may_be_eight_keys() {
    let secrets = |count: usize| vec!["0123456789abcdef0123456789abcdef"; count].join("\n");
    assert!(Keys::parse(Algorithm::Hs256, &secrets(8)).is_ok());
    assert_eq!(refused(Algorithm::Hs256, &secrets(9)), KeyError::Many);
}

#[test]
fn there_may_be_two_public_keys_without_a_name() {
    let several = |count: usize| ES256.0.repeat(count);
    assert!(Keys::parse(Algorithm::Es256, &several(2)).is_ok());
    assert_eq!(
        refused(Algorithm::Es256, &several(3)),
        KeyError::Nameless(Algorithm::Es256)
    );
}

proptest! {
    /// Law: whatever is given as keys is read or refused.
    #[test]
    fn any_text_is_keys_or_refused(
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
