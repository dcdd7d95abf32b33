//! Invalid settings for authentication.

use runnel_testing::can_start_hosts;

use super::fixture::Fixture;

const SHORT: &str = "hunter2-hunter2-hunter2";
const LONG: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn an_invalid_setting_is_reported_with_its_variable_and_no_secret() {
    if !can_start_hosts("invalid authentication settings") {
        return;
    }
    let key = |key: &str| format!("jwt_key={key}");
    let (short, long) = (key(SHORT), key(LONG));
    let private = key("-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----");
    let pem = key(include_str!(
        "../../../../src/core/access/tests/fixtures/RS256.pem"
    ));
    let jwt = "subscribe_auth=jwt";
    let token = format!("subscribe_token={SHORT}");
    let same = format!("publish_token={SHORT}");
    let cases: [(&[&str], &str); 13] = [
        (
            &["subscribe_auth=none"],
            "subscribe_auth is \"none\"; expected `open`, `token` or `jwt`",
        ),
        (&["subscribe_auth=token"], "subscribe_token is empty"),
        (
            &["subscribe_auth=token", &token, &same],
            "subscribe_token and publish_token are the same",
        ),
        (&[jwt], "needs jwt_algorithm and jwt_key"),
        (&[jwt, "jwt_algorithm=HS256"], "jwt_key is empty"),
        (&[jwt, &long], "jwt_key is given, which needs jwt_algorithm"),
        (
            &[jwt, "jwt_algorithm=none", &long],
            "jwt_algorithm is \"none\"; expected HS256,",
        ),
        (
            &[jwt, "jwt_algorithm=HS256", &short],
            "jwt_key has a secret that is too short; expected ",
        ),
        (
            &[jwt, "jwt_algorithm=HS256", &pem],
            "jwt_key has a key in PEM",
        ),
        (
            &[jwt, "jwt_algorithm=RS256", &long],
            "jwt_key has something other than public keys for RS256",
        ),
        (
            &[jwt, "jwt_algorithm=ES256", &private],
            "jwt_key has a private key",
        ),
        (
            &[jwt, "jwt_algorithm=HS256", &long, "token_in_query=yes"],
            "token_in_query is \"yes\"",
        ),
        (
            &[jwt, "jwt_algorithm=HS256", &long, "token_cookie=a;b"],
            "token_cookie is \"a;b\"",
        ),
    ];
    for (variables, problem) in cases {
        let mut fixture = Fixture::with(variables);
        let response = fixture.replay().bearer("x").send().await;
        response.assert_problem(500, "configuration", problem);
        let affects_only_streams = ["subscribe", "token_in"]
            .iter()
            .any(|name| problem.starts_with(name));
        if !affects_only_streams && !problem.starts_with("needs") {
            let response = fixture.publish().bearer("x").send().await;
            response.assert_problem(500, "configuration", problem);
        }
        assert!(fixture.host.terminate().success());
        let text = format!("{response:?}{}", fixture.host.stderr());
        for secret in ["hunter2", LONG] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
