//! The key sets and tokens of issuers that people use.

use serde::Deserialize;

use super::*;

/// The key set of an issuer in the form in which it is published, and a token by another library.
#[derive(Deserialize)]
struct Sample {
    name: String,
    algorithm: String,
    audience: Option<String>,
    issuer: String,
    keys: Value,
    token: String,
}

impl Sample {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("fixtures/issuers.json")).unwrap()
    }

    fn issuer(&self, keys: &Value) -> Result<Issuer, KeyError> {
        let algorithm = self.algorithm.parse().unwrap();
        let keys = Keys::parse(algorithm, &keys.to_string())?;
        let (audience, name) = (self.audience.clone(), self.issuer.clone());
        Ok(Issuer::new(keys, audience, Some(name)))
    }
}

#[test]
fn the_tokens_of_common_issuers_are_accepted_with_their_published_keys() {
    for sample in Sample::all() {
        let issuer = sample.issuer(&sample.keys).unwrap();
        let principal = authenticate(&sample.token, issuer, NOW);
        let principal = principal.unwrap_or_else(|error| panic!("{}: {error}", sample.name));
        assert!(principal.allows(Permission::Publish, &channel("orders/1")));
        assert!(!principal.allows(Permission::Publish, &channel("stock")));
    }
}

#[test]
fn a_token_of_a_common_issuer_needs_the_very_key_it_names() {
    for sample in Sample::all() {
        let header = sample.token.split('.').next().unwrap();
        let header: Value = serde_json::from_slice(&BASE64.decode(header).unwrap()).unwrap();
        let mut others = sample.keys.clone();
        let keys = others["keys"].as_array_mut().unwrap();
        keys.retain(|key| key["kid"] != header["kid"]);
        let Ok(issuer) = sample.issuer(&others) else {
            // There was only one key for the algorithm.
            continue;
        };
        let rejected = authenticate(&sample.token, issuer, NOW);
        assert_eq!(rejected, Err(AuthError::Signature), "{}", sample.name);
    }
}

#[test]
fn ed25519_has_two_names_in_tokens_keys_and_the_configuration() {
    let names = |sample: &Sample| {
        let header = sample.token.split('.').next().unwrap();
        let header: Value = serde_json::from_slice(&BASE64.decode(header).unwrap()).unwrap();
        let key = sample.keys["keys"][0]["alg"].as_str().map(str::to_owned);
        (header["alg"].as_str().unwrap().to_owned(), key)
    };
    let samples = Sample::all().into_iter();
    let samples: Vec<_> = samples
        .filter(|sample| sample.algorithm.starts_with("Ed"))
        .collect();
    let of_keys: Vec<_> = samples.iter().map(|sample| names(sample).1).collect();
    let (old, new) = ("EdDSA".to_owned(), "Ed25519".to_owned());
    assert_eq!(of_keys, [Some(new), Some(old), None]);
    for mut sample in samples {
        assert_eq!(names(&sample).0, "Ed25519");
        for name in ["EdDSA", "Ed25519"] {
            name.clone_into(&mut sample.algorithm);
            let issuer = sample.issuer(&sample.keys).unwrap();
            assert!(authenticate(&sample.token, issuer, NOW).is_ok());
        }
    }
    for name in ["EdDSA", "Ed25519"] {
        let issuer = named_issuer(name.parse().unwrap(), EDDSA.0);
        assert!(authenticate(EDDSA.1, issuer, NOW).is_ok());
    }
}
