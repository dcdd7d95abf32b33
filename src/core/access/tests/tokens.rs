//! Acceptance of JWTs.

use super::*;

fn hs256(token: &str) -> Result<Principal, AuthError> {
    authenticate(token, issuer(Algorithm::Hs256, SECRET), NOW)
}

fn seconds(now: Timestamp) -> u64 {
    now.0 / 1_000
}

#[test]
fn tokens_of_every_algorithm_are_accepted_with_their_key_in_pem_and_in_a_key_set() {
    for (algorithm, (pem, token)) in [
        (Algorithm::Rs256, RS256),
        (Algorithm::Es256, ES256),
        (Algorithm::EdDsa, EDDSA),
    ] {
        for keys in [pem, KEY_SET, &pem.replace('\n', "\\n")] {
            let principal = authenticate(token, named_issuer(algorithm, keys), NOW).unwrap();
            assert!(principal.allows(Permission::Publish, &channel("orders/1")));
            assert!(!principal.allows(Permission::Publish, &channel("orders")));
            assert!(principal.allows(Permission::Subscribe, &channel("stock")));
            assert_eq!(principal.identity(), Some("sub:alice"));
            assert_eq!(principal.expires(), Some(Timestamp(4_102_444_805_000)));
        }
    }
    let claims = json!({"exp": 4_102_444_800_u64, "aud": "runnel", "iss": "tests"});
    assert!(
        authenticate(
            &token(&claims),
            named_issuer(Algorithm::Hs256, KEY_SET),
            NOW
        )
        .is_ok()
    );
}

#[test]
fn every_change_of_a_signed_token_is_rejected() {
    for (algorithm, (pem, token)) in [
        (Algorithm::Rs256, RS256),
        (Algorithm::Es256, ES256),
        (Algorithm::EdDsa, EDDSA),
    ] {
        let issuer = named_issuer(algorithm, pem);
        for index in (0..token.len()).step_by(17).chain([token.len() - 1]) {
            for other in ["A", "z", ".", "="] {
                let mut changed = token.to_owned();
                changed.replace_range(index..=index, other);
                if changed != token {
                    let rejected = authenticate(&changed, issuer.clone(), NOW);
                    assert!(rejected.is_err(), "{algorithm:?} {index} {other}");
                }
            }
        }
    }
}

#[test]
fn a_token_is_valid_from_nbf_to_exp_with_five_seconds_of_leeway_on_either_side() {
    let now = seconds(NOW);
    let outcome = |claims: Value| hs256(&token(&claims));
    for exp in [json!(now + 60), json!(now - 4), json!(now as f64 - 4.5)] {
        assert!(outcome(json!({"exp": exp})).is_ok(), "{exp}");
    }
    assert_eq!(outcome(json!({"exp": now - 5})), Err(AuthError::Expired));
    assert_eq!(outcome(json!({"exp": 0})), Err(AuthError::Expired));
    for nbf in [json!(now), json!(now + 5), json!(0), json!(null)] {
        assert!(
            outcome(json!({"exp": now + 60, "nbf": nbf})).is_ok(),
            "{nbf}"
        );
    }
    let early = outcome(json!({"exp": now + 60, "nbf": now + 6}));
    assert_eq!(early, Err(AuthError::NotYet));
    let expires = outcome(json!({"exp": now + 60})).unwrap().expires();
    assert_eq!(expires, Some(Timestamp(NOW.0 + 65_000)));
}

#[test]
fn the_time_is_the_argument_and_not_a_clock() {
    let outcome = |claims: Value, now: u64| {
        let issuer = issuer(Algorithm::Hs256, SECRET);
        authenticate(&token(&claims), issuer, Timestamp(now * 1_000)).map(drop)
    };
    assert_eq!(outcome(json!({"exp": 1_100, "nbf": 900}), 1_000), Ok(()));
    assert_eq!(
        outcome(json!({"exp": 1_100}), 1_105),
        Err(AuthError::Expired)
    );
    assert_eq!(
        outcome(json!({"exp": 1_100, "nbf": 1_006}), 1_000),
        Err(AuthError::NotYet)
    );
    assert_eq!(outcome(json!({"exp": 1}), 0), Ok(()));
    // Beyond 32 bits of seconds, and the last accepted second.
    for exp in [4_294_967_296_u64, 253_402_300_799] {
        assert_eq!(outcome(json!({ "exp": exp }), exp - 1), Ok(()), "{exp}");
        assert_eq!(
            outcome(json!({ "exp": exp }), exp + 5),
            Err(AuthError::Expired)
        );
    }
    assert_eq!(
        outcome(json!({"exp": 253_402_300_800_u64}), 0),
        Err(AuthError::Claims)
    );
}

#[test]
fn fractions_of_a_second_count() {
    let issuer = issuer(Algorithm::Hs256, SECRET);
    let half = token(&json!({"exp": 1_000.5, "nbf": 900.5}));
    let outcome = |now| authenticate(&half, issuer.clone(), Timestamp(now)).map(drop);
    assert_eq!(outcome(895_499), Err(AuthError::NotYet));
    assert_eq!(outcome(895_500), Ok(()));
    assert_eq!(outcome(1_005_499), Ok(()));
    assert_eq!(outcome(1_005_500), Err(AuthError::Expired));
}

#[test]
fn an_accepted_token_is_accepted_until_it_expires() {
    let authenticator = authenticator(Some(issuer(Algorithm::Hs256, SECRET)));
    let token = token(&json!({"exp": seconds(NOW) + 60}));
    let authenticate_at =
        |now| authenticator.authenticate(token.as_bytes(), TokenSource::Cookie, Timestamp(now));
    for now in [NOW.0, NOW.0 + 1, NOW.0 + 64_999] {
        assert!(authenticate_at(now).is_ok());
    }
    assert_eq!(authenticate_at(NOW.0 + 65_000), Err(AuthError::Expired));
    let mut other = token.clone();
    other.replace_range(token.len() - 9..=token.len() - 9, "~");
    assert!(
        authenticator
            .authenticate(other.as_bytes(), TokenSource::Cookie, NOW)
            .is_err()
    );
}

#[test]
fn exp_is_a_required_number_of_seconds() {
    for exp in [
        json!(null),
        json!("4102444800"),
        json!(true),
        json!([4_102_444_800_u64]),
        json!(-1),
        json!(-1e300),
        json!(1e300),
        // In milliseconds.
        json!(4_102_444_800_000_u64),
        json!(u64::MAX),
    ] {
        let rejected = hs256(&token(&json!({ "exp": exp })));
        assert_eq!(rejected, Err(AuthError::Claims), "{exp}");
    }
    assert_eq!(hs256(&token(&json!({}))), Err(AuthError::Claims));
    for (name, value) in [
        ("nbf", json!("0")),
        ("nbf", json!(-1)),
        ("nbf", json!(1e300)),
        ("iss", json!(["tests"])),
        ("sub", json!(1)),
        ("aud", json!(1)),
        ("aud", json!(["runnel", 1])),
        ("runnel", json!("*")),
        ("runnel", json!(null)),
        ("runnel", json!({"publish": "*"})),
        ("runnel", json!({"publish": ["a*"]})),
        ("runnel", json!({"subscribe": [null]})),
    ] {
        let mut claims = json!({"exp": 4_102_444_800_u64});
        claims[name] = value;
        assert_eq!(hs256(&token(&claims)), Err(AuthError::Claims), "{claims}");
    }
}

#[test]
fn audience_and_issuer_must_be_the_configured_ones() {
    let outcome = |mut claims: Value, audience: Option<&str>, name: Option<&str>| {
        claims["exp"] = json!(4_102_444_800_u64);
        let keys = Keys::parse(Algorithm::Hs256, SECRET).unwrap();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let issuer = Issuer::new(keys, owned(audience), owned(name));
        authenticate(&token(&claims), issuer, NOW).map(drop)
    };
    for aud in [json!("a"), json!(["b", "a"])] {
        assert_eq!(outcome(json!({ "aud": aud }), Some("a"), None), Ok(()));
        assert_eq!(
            outcome(json!({ "aud": aud }), Some("c"), None),
            Err(AuthError::Audience)
        );
        // RFC 7519, 4.1.3: a server that is not named by `aud` must reject the token.
        assert_eq!(
            outcome(json!({ "aud": aud }), None, None),
            Err(AuthError::Audience)
        );
    }
    assert_eq!(
        outcome(json!({}), Some("a"), None),
        Err(AuthError::Audience)
    );
    assert_eq!(
        outcome(json!({"aud": []}), Some("a"), None),
        Err(AuthError::Audience)
    );
    assert_eq!(outcome(json!({"iss": "a"}), None, Some("a")), Ok(()));
    assert_eq!(outcome(json!({"iss": "a"}), None, None), Ok(()));
    for claims in [json!({}), json!({"iss": "b"}), json!({"iss": null})] {
        assert_eq!(outcome(claims, None, Some("a")), Err(AuthError::Issuer));
    }
}

#[test]
fn a_token_without_the_claim_runnel_grants_nothing() {
    for claims in [
        json!({}),
        json!({"runnel": {}}),
        json!({"runnel": {"publsh": ["*"]}}),
    ] {
        let mut claims = claims;
        claims["exp"] = json!(4_102_444_800_u64);
        let principal = hs256(&token(&claims)).unwrap();
        for permission in [Permission::Publish, Permission::Subscribe] {
            assert!(!principal.allows(permission, &channel("a")));
        }
    }
}

#[test]
fn only_the_configured_algorithm_is_accepted() {
    let claims = json!({"exp": 4_102_444_800_u64}).to_string();
    for alg in [
        "none", "None", "NONE", "nOnE", "hs256", " HS256", "", "HS384", "HS512", "RS256", "PS256",
        "EdDSA", "Ed25519", "HS256\0",
    ] {
        let header = json!({ "alg": alg }).to_string();
        let whole = signed(&header, &claims, SECRET.as_bytes());
        assert_eq!(hs256(&whole), Err(AuthError::Algorithm), "{alg}");
        let (unsigned, _) = whole.rsplit_once('.').unwrap();
        let unsigned_token = hs256(&format!("{unsigned}."));
        assert_eq!(unsigned_token, Err(AuthError::Algorithm), "{alg}");
        assert_eq!(hs256(unsigned), Err(AuthError::Malformed));
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"["HS256"]"#,
    ] {
        let whole = signed(header, &claims, SECRET.as_bytes());
        assert_eq!(hs256(&whole), Err(AuthError::Malformed), "{header}");
    }
}

#[test]
fn a_public_key_is_not_accepted_as_a_secret() {
    let claims = json!({"exp": 4_102_444_800_u64, "aud": "runnel", "iss": "tests"}).to_string();
    for (algorithm, (pem, of_algorithm)) in [(Algorithm::Rs256, RS256), (Algorithm::EdDsa, EDDSA)] {
        for secret in [pem, pem.trim()] {
            for alg in ["HS256", algorithm.name()] {
                let header = json!({ "alg": alg }).to_string();
                let forged = signed(&header, &claims, secret.as_bytes());
                assert!(authenticate(&forged, named_issuer(algorithm, pem), NOW).is_err());
            }
        }
        // And vice versa.
        assert_eq!(hs256(of_algorithm), Err(AuthError::Algorithm));
    }
}

#[test]
fn critical_extensions_are_rejected_and_embedded_keys_ignored() {
    let claims = json!({"exp": 4_102_444_800_u64}).to_string();
    let with = |name: &str, value: &str, secret: &str| {
        let header = format!(r#"{{"alg":"HS256","{name}":{value}}}"#);
        hs256(&signed(&header, &claims, secret.as_bytes())).map(drop)
    };
    for crit in ["[\"exp\"]", "[]", "null", "\"b64\"", "{}", "[null]"] {
        assert_eq!(
            with("crit", crit, SECRET),
            Err(AuthError::Critical),
            "{crit}"
        );
    }
    let theirs = "their own secret of thirty-two bytes";
    let jwk = json!({"kty": "oct", "k": BASE64.encode(theirs)}).to_string();
    for (name, value) in [
        ("jwk", jwk.as_str()),
        ("jku", "\"https://evil.example/keys\""),
        ("x5u", "\"https://evil.example/keys\""),
        ("x5c", "[\"AAAA\"]"),
        ("x5c", "1"),
        ("typ", "\"at+jwt\""),
        ("nonce", "\"x\""),
    ] {
        assert_eq!(with(name, value, theirs), Err(AuthError::Signature));
        assert_eq!(with(name, value, SECRET), Ok(()));
    }
}

#[test]
fn repeated_members_and_claims_without_names_are_rejected() {
    let header = r#"{"alg":"HS256"}"#;
    for claims in [
        r#"{"exp":4102444800,"exp":1}"#,
        r#"{"exp":1,"exp":4102444800}"#,
        r#"{"exp":4102444800,"runnel":{},"runnel":{"publish":["*"]}}"#,
        r#"{"exp":4102444800,"runnel":{"publish":[],"publish":["*"]}}"#,
    ] {
        let rejected = hs256(&signed(header, claims, SECRET.as_bytes()));
        assert_eq!(rejected, Err(AuthError::Claims), "{claims}");
    }
    // Arrays, which `serde` would read as the members of a struct in order.
    for claims in [
        "[4102444800]",
        "[4102444800,null,null,{\"publish\":[\"*\"]},null,null]",
        "[4102444800,null,null,null,null]",
    ] {
        let rejected = hs256(&signed(header, claims, SECRET.as_bytes()));
        assert_eq!(rejected, Err(AuthError::Claims), "{claims}");
    }
    let header = r#"{"alg":"none","alg":"HS256"}"#;
    let rejected = hs256(&signed(header, r#"{"exp":4102444800}"#, SECRET.as_bytes()));
    assert_eq!(rejected, Err(AuthError::Malformed));
}

#[test]
fn a_token_is_three_parts_in_strict_base64() {
    let good = token(&json!({"exp": 4_102_444_800_u64}));
    assert!(hs256(&good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    for bad in [
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        parts[..2].join("."),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{}", parts[2]),
        format!("{good}.a.b"),
        format!("{good}="),
        format!("{good} "),
        format!("{good}\n"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.!{}", parts[0], parts[1], parts[2]),
        format!("é.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
    ] {
        assert!(hs256(&bad).is_err(), "{bad}");
    }
    let long = token(&json!({"exp": 4_102_444_800_u64, "sub": "x".repeat(MAX_TOKEN_BYTES)}));
    assert_eq!(hs256(&long), Err(AuthError::Malformed));
}

proptest! {
    /// Property: no token is accepted without a valid signature, and none causes a panic.
    #[test]
    fn tokens_without_a_valid_signature_are_rejected(
        header in prop_oneof![any::<String>(), Just(r#"{"alg":"HS256"}"#.to_owned())],
        claims in any::<String>(),
        signature in any::<Vec<u8>>(),
    ) {
        let signature = BASE64.encode(signature);
        let token = format!("{}.{}.{signature}", BASE64.encode(header), BASE64.encode(claims));
        prop_assert!(hs256(&token).is_err());
    }

    /// Property: any signed claims are accepted or rejected without a panic.
    #[test]
    fn any_signed_claims_are_accepted_or_rejected(
        claims in "\\{(\"(exp|nbf|aud|iss|sub|runnel)\":(-?[0-9]{1,30}(\\.[0-9]{1,3})?(e[0-9]{1,3})?|\"[a*/]{0,3}\"|null|\\{\\}),?){0,4}\\}",
    ) {
        _ = hs256(&signed(r#"{"alg":"HS256"}"#, &claims, SECRET.as_bytes()));
    }
}
