//! Configuration from variables.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::*;

/// Variables as in spin.toml, some of them overridden, and the names of those that were read.
#[derive(Clone, Default)]
struct TestVariables {
    values: BTreeMap<String, String>,
    read: Rc<RefCell<Vec<String>>>,
}

impl TestVariables {
    fn new(overridden: &[(&str, &str)]) -> Self {
        let manifest = include_str!("../../spin.toml");
        let variables = manifest
            .split("\n[")
            .find_map(|section| section.strip_prefix("variables]\n"))
            .unwrap();
        let defaults = variables.lines().filter_map(|line| {
            let (name, rest) = line.split_once(" = ")?;
            let (_, rest) = rest.split_once("default = \"")?;
            let (value, _) = rest.split_once('"')?;
            Some((name, value))
        });
        let required = [("publish_token", "secret")];
        let values = defaults.chain(required).chain(overridden.iter().copied());
        Self {
            values: values
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            read: Rc::default(),
        }
    }
}

impl Variables for TestVariables {
    fn get<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<String, VariableError>> {
        self.read.borrow_mut().push(name.to_owned());
        let value = self.values.get(name).cloned();
        async move { value.ok_or_else(|| VariableError("no such variable".to_owned())) }
            .boxed_local()
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn config(overridden: &[(&str, &str)]) -> Config {
    Config::new(TestVariables::new(overridden))
}

#[test]
fn the_defaults_are_accepted() {
    let config = config(&[]);
    let publish = now(config.publish()).unwrap();
    assert_eq!(publish.max_event_bytes, 65_536);
    assert_eq!(publish.body_timeout, Duration::from_secs(30));
    assert_eq!(
        (publish.publish_rate, publish.retention.max_age),
        (None, None)
    );
    let subscribe = now(config.subscribe()).unwrap();
    assert_eq!(subscribe.stream.retry, Duration::from_secs(2));
    assert_eq!(subscribe.stream.poll.max, Duration::from_millis(500));
    assert_eq!(now(config.origins()).unwrap().as_ref(), &Origins::None);
    assert_eq!(now(config.publisher_auth()).unwrap().cookie, "runnel_token");
    assert!(now(config.subscriber_auth()).unwrap().is_none());
    let interval = now(config.metrics_interval()).unwrap();
    assert_eq!(interval, Some(Duration::from_secs(10)));
    assert_eq!(now(config.metrics_token()), Ok(None));
    assert_eq!(now(config.log_level()), Ok(Level::Info));
}

#[test]
fn a_variable_is_read_when_it_is_needed_and_once() {
    let variables = TestVariables::new(&[]);
    let config = Config::new(variables.clone());
    assert!(variables.read.borrow().is_empty());
    for _ in 0..2 {
        now(config.log_level()).unwrap();
        now(config.origins()).unwrap();
    }
    assert_eq!(*variables.read.borrow(), ["log_level", "cors_origins"]);
}

#[test]
fn an_error_names_the_variable_and_is_not_kept() {
    let mut variables = TestVariables::new(&[]);
    variables.values.remove("cors_origins");
    let config = Config::new(variables.clone());
    for _ in 0..2 {
        let error = now(config.origins()).unwrap_err();
        let expected = "the variable cors_origins cannot be read: no such variable";
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(variables.read.borrow().len(), 2);
}

#[test]
fn a_bad_number_is_rejected_by_name_with_the_accepted_range() {
    let retry = |value: &str| now(config(&[("retry_ms", value)]).subscribe());
    assert_eq!(
        retry("3000").unwrap().stream.retry,
        Duration::from_millis(3_000)
    );
    for value in ["", "0", "60001", "-1", "2s", "1.5", "5 000"] {
        let error = retry(value).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the variable retry_ms is {value:?}; expected a whole number from 1 to 60000")
        );
    }
}

/// White space and byte order marks around values that come from files, templates and editors.
const SURROUNDINGS: [(&str, &str); 5] = [
    ("", "\n"),
    ("", "\r\n"),
    (" \t", " "),
    ("\n\n", "\n\n"),
    ("\u{feff}", "\r\n"),
];

#[test]
fn white_space_around_any_value_is_ignored() {
    let plain = TestVariables::new(&[]);
    for (before, after) in SURROUNDINGS {
        let surround =
            |(name, value): (&String, &String)| (name.clone(), format!("{before}{value}{after}"));
        let mut variables = plain.clone();
        variables.values = plain.values.iter().map(surround).collect();
        let (surrounded, plain) = (Config::new(variables), Config::new(plain.clone()));
        assert_eq!(
            format!("{:?}", now(surrounded.publish()).unwrap()),
            format!("{:?}", now(plain.publish()).unwrap())
        );
        assert_eq!(
            format!("{:?}", now(surrounded.subscribe()).unwrap()),
            format!("{:?}", now(plain.subscribe()).unwrap())
        );
        assert_eq!(now(surrounded.origins()), Ok(Rc::new(Origins::None)));
        assert_eq!(now(surrounded.public_origins()), Ok(Rc::new(vec![])));
        assert_eq!(now(surrounded.metrics_token()), Ok(None));
        assert_eq!(now(surrounded.log_level()), Ok(Level::Info));
        assert!(now(surrounded.subscriber_auth()).unwrap().is_none());
        let auth = now(surrounded.publisher_auth()).unwrap();
        assert!(auth.authenticator.publish_token.matches(b"secret"));
        assert_eq!(auth.cookie, "runnel_token");
    }
}

#[test]
fn a_secret_of_white_space_only_is_empty() {
    let error = now(config(&[("publish_token", " \n")]).publisher_auth()).unwrap_err();
    assert_eq!(error.to_string(), "the variable publish_token is empty");
}

#[test]
fn keywords_are_accepted_in_upper_and_lower_case() {
    for (value, expected) in [("True", true), ("TRUE", true), ("False\n", false)] {
        let config = config(&[("trace_events", value)]);
        assert_eq!(now(config.publish()).unwrap().trace_events, expected);
    }
    let level = now(config(&[("log_level", "INFO")]).log_level());
    assert_eq!(level, Ok(Level::Info));
    let open = now(config(&[("subscribe_auth", "Open")]).subscriber_auth());
    assert!(open.unwrap().is_none());
}

#[test]
fn the_longest_poll_interval_is_no_shorter_than_the_shortest() {
    let poll = |min, max| now(config(&[("poll_min_ms", min), ("poll_max_ms", max)]).subscribe());
    assert!(poll("20", "20").is_ok());
    let error = poll("20", "19").unwrap_err();
    assert!(error.to_string().ends_with("from 20 to 60000"), "{error}");
}

#[test]
fn zero_switches_a_limit_off() {
    let off = config(&[
        ("retention_seconds", "0"),
        ("metrics_interval_seconds", "0"),
    ]);
    assert_eq!(now(off.publish()).unwrap().retention.max_age, None);
    assert_eq!(now(off.metrics_interval()), Ok(None));
    let on = config(&[("retention_seconds", "60"), ("publish_rate", "5")]);
    let publish = now(on.publish()).unwrap();
    assert_eq!(publish.retention.max_age, Some(Duration::from_secs(60)));
    assert_eq!(publish.publish_rate.map(|rate| rate.permits()), Some(5));
}

#[test]
fn an_unknown_log_level_is_rejected() {
    assert_eq!(
        now(config(&[("log_level", "off")]).log_level()),
        Ok(Level::Off)
    );
    for level in ["", "trace", "warning"] {
        let error = now(config(&[("log_level", level)]).log_level()).unwrap_err();
        let expected = format!("the variable log_level is {level:?}; expected");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn the_public_origins_are_origins() {
    let public = |value: &str| now(config(&[("public_origins", value)]).public_origins());
    let expected: Vec<Origin> = ["https://a.example", "http://localhost:3000"]
        .map(|origin| origin.parse().unwrap())
        .to_vec();
    let given = "https://a.example:443, http://localhost:3000\n";
    assert_eq!(public(given), Ok(Rc::new(expected)));
    for value in ["*", "a.example", "https://a.example/realtime"] {
        let error = public(value).unwrap_err().to_string();
        let start = format!("the variable public_origins has {value:?}; expected origins such as");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn each_kind_of_subscriber_authentication_needs_its_variables() {
    let auth = |overridden| now(config(overridden).subscriber_auth());
    let error = auth(&[("subscribe_auth", "token")]).unwrap_err();
    assert_eq!(error.to_string(), "the variable subscribe_token is empty");
    let same = [("subscribe_auth", "token"), ("subscribe_token", "secret")];
    assert!(
        auth(&same)
            .unwrap_err()
            .to_string()
            .contains("are the same")
    );
    let other = [("subscribe_auth", "token"), ("subscribe_token", "other")];
    assert!(auth(&other).unwrap().is_some());
    let error = auth(&[("subscribe_auth", "jwt")]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("needs jwt_algorithm and jwt_key")
    );
    let error = auth(&[("subscribe_auth", "none")]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the variable subscribe_auth is \"none\"")
    );
}
