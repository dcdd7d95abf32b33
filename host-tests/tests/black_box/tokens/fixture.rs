//! A server that requires tokens, and functions that create JWTs for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac as _};
use runnel_testing::{Channel, HostProcess, Request};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::SystemTime;

/// A secret used only in these tests.
pub(crate) const SECRET: &str = "A-secret-of-tests,-of-32-bytes!!";

/// A subscribe token used only in these tests.
pub(crate) const SUBSCRIBE_TOKEN: &str = "a-subscribe-token-of-tests";

/// The origin that tests list in `cors_origins`.
pub(crate) const LISTED: &str = "https://a.example";

pub(crate) const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Signs a JWT with HS256. The header and the claims are encoded verbatim, even if they are invalid.
pub(crate) fn sign_jwt(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    hmac.update(message.as_bytes());
    let signature = BASE64.encode(hmac.finalize().into_bytes());
    format!("{message}.{signature}")
}

/// Signs a JWT with these claims and the configured secret.
pub(crate) fn jwt(claims: &Value) -> String {
    sign_jwt(HS256, &claims.to_string(), SECRET.as_bytes())
}

/// Returns a JWT that grants these channel patterns for an hour.
pub(crate) fn token_for(publish: &[&str], subscribe: &[&str]) -> String {
    let permissions = json!({"publish": publish, "subscribe": subscribe});
    jwt(&claims_with(json!({ "runnel": permissions })))
}

/// Returns claims that grant everything for an hour, with `overrides` added or replaced.
pub(crate) fn claims_with(overrides: Value) -> Value {
    let mut claims = json!({
        "sub": "alice",
        "exp": unix_now() + 3_600,
        "aud": "runnel",
        "iss": "tests",
        "runnel": {"publish": ["*"], "subscribe": ["*"]},
    });
    let Value::Object(overrides) = overrides else {
        panic!("claims must be an object")
    };
    claims.as_object_mut().unwrap().extend(overrides);
    claims
}

/// Returns the seconds since the Unix epoch.
pub(crate) fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A channel on its own host.
pub(crate) struct Fixture {
    pub(crate) channel: Channel,
    pub(crate) host: HostProcess,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// Starts a host with these variables.
    pub(crate) fn with(variables: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = HostProcess::start(directory.path(), variables);
        Self {
            channel: Channel::on(host.server.clone()),
            host,
            _directory: directory,
        }
    }

    /// Starts a host that requires JWTs, verified with this algorithm and key.
    pub(crate) fn with_jwt(algorithm: &str, key: &str, others: &[&str]) -> Self {
        let (algorithm, key) = (
            format!("jwt_algorithm={algorithm}"),
            format!("jwt_key={key}"),
        );
        let fixed = [
            "subscribe_auth=jwt",
            "jwt_audience=runnel",
            "jwt_issuer=tests",
            "token_in_query=true",
            // Most tests send hundreds of tokens that are not accepted.
            "wrong_token_rate=0",
            algorithm.as_str(),
            &key,
        ];
        Self::with(&[&fixed, others].concat())
    }

    /// Starts a host that requires JWTs, verified with [`SECRET`].
    pub(crate) fn with_secret() -> Self {
        Self::with_jwt("HS256", SECRET, &[])
    }

    /// Builds a publish request without a token.
    pub(crate) fn publish(&self) -> Request {
        self.request("POST", &format!("/publish/{}", self.channel.name))
            .body("text/plain", "x")
    }

    /// Builds a replay request without a token.
    pub(crate) fn replay(&self) -> Request {
        self.channel.events("?live=false&last=9")
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.channel.server.request(method, path)
    }
}
