//! Makes JWTs, good and bad, and a site that asks for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::SystemTime;

use crate::channel::Channel;
use crate::client::Request;
use crate::server::Host;

/// A secret of nobody.
pub(crate) const SECRET: &str = "A-secret-of-tests,-of-32-bytes!!";

/// A subscribe token of nobody.
pub(crate) const SUBSCRIBE_TOKEN: &str = "a-subscribe-token-of-tests";

/// Whose pages may act for the one at the browser.
pub(crate) const LISTED: &str = "https://a.example";

pub(crate) const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A JWT with this header and these claims, both as they are, signed with HMAC.
pub(crate) fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    hmac.update(message.as_bytes());
    let signature = BASE64.encode(hmac.finalize().into_bytes());
    format!("{message}.{signature}")
}

/// A good JWT with these claims.
pub(crate) fn token(claims: &Value) -> String {
    signed(HS256, &claims.to_string(), SECRET.as_bytes())
}

/// A JWT that is good for these patterns for an hour.
pub(crate) fn token_for(publish: &[&str], subscribe: &[&str]) -> String {
    let rights = json!({"publish": publish, "subscribe": subscribe});
    token(&claims(json!({ "runnel": rights })))
}

/// Claims that make a JWT good for everything for an hour, with these added or in their place.
pub(crate) fn claims(other: Value) -> Value {
    let mut claims = json!({
        "sub": "alice",
        "exp": now() + 3_600,
        "aud": "runnel",
        "iss": "tests",
        "runnel": {"publish": ["*"], "subscribe": ["*"]},
    });
    let Value::Object(other) = other else {
        panic!("claims are an object")
    };
    claims.as_object_mut().unwrap().extend(other);
    claims
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A host that asks for tokens, and a channel on it.
pub(crate) struct Site {
    pub(crate) channel: Channel,
    pub(crate) host: Host,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn with(variables: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::start(folder.path(), variables);
        Self {
            channel: Channel::on(host.server.clone()),
            host,
            _folder: folder,
        }
    }

    /// Whoever subscribes or publishes needs a JWT of the tests' issuer by this key.
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
            algorithm.as_str(),
            &key,
        ];
        Self::with(&[&fixed, others].concat())
    }

    pub(crate) fn with_secret() -> Self {
        Self::with_jwt("HS256", SECRET, &[])
    }

    /// An event to be published, without a token.
    pub(crate) fn publishing(&self) -> Request {
        self.request("POST", &format!("/publish/{}", self.channel.name))
            .body("text/plain", "x")
    }

    /// A replay of the channel, without a token.
    pub(crate) fn replaying(&self) -> Request {
        self.channel.events("?live=false&last=9")
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.channel.server.request(method, path)
    }
}

impl Request {
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn cookie(self, token: &str) -> Self {
        self.header("cookie", format!("runnel_token={token}"))
    }
}
