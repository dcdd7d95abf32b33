//! The description at `/openapi.json` says what the server does, and all of it.

mod bounds;
mod call;
mod calls;
mod description;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::call::call;
use self::calls::Stage;
use self::description::{Description, FILE, check_openapi, member};
use self::outcome::{Outcome, PROBLEM, described, outcomes, problem_types};
use crate::channel::Channel;
use crate::client::Answer;
use crate::server::{Host, may_start_hosts, server};
use crate::stream::Stream;
use crate::tokens::mint::{SECRET, Site, token_for};

/// What is described and cannot be provoked by a request: the tests that can stop or spoil the store
/// or the settings provoke it.
const NOT_PROVOKED: [(&str, &str); 4] = [
    ("408", "it takes more time than a test has"),
    ("429", "it takes a rate, which is off"),
    ("500", "it takes a bad setting or a spoiled log"),
    (
        "503",
        "it takes a store that fails, or a crowd of publishers",
    ),
];

/// The methods that a server may be asked for.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

#[tokio::test]
async fn the_description_is_served_as_it_is() {
    let answer = server().get("/openapi.json").send().await.has(200);
    assert_eq!(answer.body, FILE);
}

#[test]
fn the_description_is_openapi_3_1_and_of_this_version() {
    let document: Value = serde_json::from_str(FILE).unwrap();
    check_openapi(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let description = Description::new();
    let mut used = BTreeSet::new();
    for (pointer, node) in description.nodes() {
        if let Some(reference) = node["$ref"].as_str() {
            let target = reference.strip_prefix('#');
            let target = target.unwrap_or_else(|| panic!("{pointer} refers to {reference}"));
            description.at(target);
            used.insert(target.to_owned());
        }
    }
    // Data in a stream, lines in a body, and a claim; there is no word for those.
    let apart =
        ["Gap", "End", "Expired", "Line", "Grant"].map(|name| member("/components/schemas", name));
    used.extend(apart);
    // What all requests may have, and all answers have.
    used.insert("/components/parameters/traceparent".to_owned());
    used.insert("/components/headers/traceresponse".to_owned());
    for kind in ["parameters", "headers", "responses", "schemas"] {
        let kind = member("/components", kind);
        for name in description.members(&kind) {
            assert!(used.contains(&member(&kind, &name)), "{kind}/{name}");
        }
    }
}

#[test]
fn every_example_is_one() {
    let mut description = Description::new();
    let mut count = 0;
    for (pointer, node) in description.nodes() {
        let schema = member(&pointer, "schema");
        let named = node["examples"].as_object().into_iter().flatten();
        let named = named.map(|(_, example)| (schema.clone(), example["value"].clone()));
        let one = node.get("example").filter(|_| node.get("schema").is_some());
        let one = one.map(|example| (schema.clone(), example.clone()));
        let of_schema = node["examples"].as_array().into_iter().flatten();
        let of_schema = of_schema.map(|example| (pointer.clone(), example.clone()));
        for (schema, example) in named.chain(one).chain(of_schema) {
            description.check(&schema, &example).unwrap();
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[tokio::test]
async fn every_example_of_a_body_can_be_published() {
    let mut description = Description::new();
    let content = "/paths/~1publish~1{channel}/post/requestBody/content";
    for media_type in description.members(content) {
        let example = description.at(&member(content, &media_type))["example"].clone();
        let body = match (media_type.as_str(), &example) {
            ("application/x-www-form-urlencoded", Value::Object(fields)) => {
                let fields = fields.iter();
                let pairs =
                    fields.map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
                pairs.collect::<Vec<_>>().join("&")
            }
            ("application/x-ndjson", Value::String(text)) => {
                for line in text.lines() {
                    let line = serde_json::from_str(line).unwrap();
                    description
                        .check("/components/schemas/Line", &line)
                        .unwrap();
                }
                text.clone()
            }
            ("text/*", Value::String(text)) => text.clone(),
            _ => example.to_string(),
        };
        let request = Channel::new().publish("");
        let request = request.body(&media_type.replace('*', "plain"), body);
        request.send().await.has(201);
    }
}

#[test]
fn every_type_of_problem_is_described_where_it_occurs() {
    let description = Description::new();
    let everywhere = ["not-found", "method"].map(|kind| format!("urn:runnel:problem:{kind}"));
    let mut found = BTreeSet::from(everywhere);
    for (method, path) in description.operations() {
        for status in description.statuses(&method, &path) {
            let response = description.response(&method, &path, &status).unwrap();
            found.extend(problem_types(&description, &response));
        }
    }
    let known = description.at("/components/schemas/Problem/properties/type/enum");
    let known = known.as_array().unwrap().iter();
    let known: BTreeSet<_> = known
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, known);
}

#[tokio::test]
async fn every_answer_is_described_and_every_described_answer_is_given() {
    let mut description = Description::new();
    let mut given: BTreeSet<Outcome> = BTreeSet::new();
    let mut parameters: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for call in Stage::new().await.calls() {
        let needs_token = description.needs_token(call.method, call.template);
        let answer = call.send(&server(), needs_token).await;
        let outcome = described(&mut description, &call, &answer)
            .unwrap_or_else(|why| panic!("{}: {why}: {answer:?}", call.operation()));
        let (_, status, what) = &outcome;
        assert_eq!(
            (status.as_str(), what.as_str()),
            (call.status.to_string().as_str(), call.what),
            "{}: {answer:?}",
            call.operation()
        );
        given.insert(outcome);
        let given = parameters.entry(call.operation()).or_default();
        given.extend(call.parameters().into_iter().map(lower_case));
    }
    for (method, path) in description.operations() {
        let operation = format!("{method} {path}");
        let known = description.parameters(&method, &path).into_iter();
        let known: BTreeSet<_> = known.map(lower_case).collect();
        let mut given = parameters.remove(&operation).unwrap_or_default();
        if operation.ends_with("/events/{channel}") {
            // It is described as refused.
            given.remove(&("query".to_owned(), "channel".to_owned()));
        }
        assert_eq!(given, known, "{operation}");
    }
    let missing: Vec<_> = outcomes(&description)
        .into_iter()
        .filter(|outcome| !given.contains(outcome))
        .filter(|(_, status, _)| !NOT_PROVOKED.iter().any(|(other, _)| other == status))
        .filter(|outcome| !is_about_tokens(outcome))
        .collect();
    assert!(missing.is_empty(), "never given: {missing:#?}");
}

#[tokio::test]
async fn a_bad_setting_is_answered_as_described() {
    if !may_start_hosts("a bad setting") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), &["log_level=nonsense"]);
    let mut description = Description::new();
    for (method, path) in description.operations() {
        let what = if method == "HEAD" {
            PROBLEM
        } else {
            "configuration"
        };
        let call = call(method.leak(), path.leak())
            .channel("a")
            .gives(500, what);
        let answer = call.send(&host.server, true).await;
        let outcome = described(&mut description, &call, &answer).unwrap();
        assert_eq!(
            outcome,
            (call.operation(), "500".to_owned(), what.to_owned())
        );
    }
}

/// Whether an answer is given only where tokens are asked for that are not by default, or JWTs good.
fn is_about_tokens((operation, status, _): &Outcome) -> bool {
    let not_by_default = ["/events", "/metrics"];
    let is_open = not_by_default.iter().any(|path| operation.contains(path));
    status == "403" || status == "401" && is_open
}

#[tokio::test]
async fn the_answers_to_tokens_are_described_and_given() {
    if !may_start_hosts("answers to tokens") {
        return;
    }
    let site = Site::with_jwt("HS256", SECRET, &["metrics_token=m"]);
    let mut description = Description::new();
    let mut given: BTreeSet<Outcome> = BTreeSet::new();
    let good_for = |patterns: &[&str]| token_for(patterns, patterns);
    for (method, path) in description.operations() {
        if description.response(&method, &path, "401").is_none() {
            continue;
        }
        let (method, path): (&str, &str) = (method.leak(), path.leak());
        let query = if path == "/events" { "channel=a" } else { "" };
        let call = || call(method, path).channel("a").query(query);
        let bearer = |token: &str| call().header("authorization", format!("Bearer {token}"));
        let cookie = format!("runnel_token={}", good_for(&["*"]));
        for call in [
            call(),
            bearer("bad"),
            bearer(&good_for(&["b"])),
            call().header("cookie", cookie),
        ] {
            // A stream does not end.
            let call = if method == "GET" { call.json() } else { call };
            let answer = call.send(&site.channel.server, false).await;
            given.insert(described(&mut description, &call, &answer).unwrap());
        }
    }
    let missing: Vec<_> = outcomes(&description)
        .into_iter()
        .filter(|outcome| is_about_tokens(outcome) && !given.contains(outcome))
        .collect();
    assert!(missing.is_empty(), "never given: {missing:#?}");
}

#[tokio::test]
async fn the_signals_of_a_stream_are_described() {
    let mut description = Description::new();
    let channel = Channel::new();
    channel.say("kept").await;
    channel.manage("POST", "/close").send().await.has(204);
    let mut stream = Stream::of(channel.events("?last_event_id=no-id").open().await);
    let (id, gap) = stream.signal("runnel.gap").await;
    description.check("/components/schemas/Gap", &gap).unwrap();
    description
        .check("/components/schemas/Cursor", &json!(id))
        .unwrap();
    stream.event().await;
    let (_, end) = stream.signal("runnel.end").await;
    description.check("/components/schemas/End", &end).unwrap();
}

#[tokio::test]
async fn the_paths_and_methods_are_those_of_the_server() {
    let mut description = Description::new();
    let source = include_str!("../../../src/api/path.rs");
    let (_, routes) = source.split_once("pub enum Route {").unwrap();
    let (routes, _) = routes.split_once("\n}").unwrap();
    let routes = routes.split('`').skip(1).step_by(2);
    let routes: BTreeSet<_> = routes.filter(|text| text.starts_with('/')).collect();
    let paths = description.members("/paths");
    assert_eq!(routes, paths.iter().map(String::as_str).collect());
    for path in &paths {
        let concrete = path.replace("{channel}", "a/b");
        let options = server().request("OPTIONS", &concrete).send().await.has(204);
        let allow = options.header("allow").unwrap().to_owned();
        let mut allowed: BTreeSet<_> = allow.split(", ").map(str::to_owned).collect();
        assert!(allowed.remove("OPTIONS"), "{path}: {allow}");
        let operations = description.operations().into_iter();
        let described: BTreeSet<_> = operations
            .filter(|(_, template)| is_about(template, &concrete))
            .map(|(method, _)| method)
            .collect();
        assert_eq!(described, allowed, "{path}");
        for method in METHODS {
            if !allowed.contains(method) {
                let answer = server().request(method, &concrete).send().await.has(405);
                assert_eq!(answer.header("allow"), Some(allow.as_str()));
                is_problem(&mut description, method, &answer, "method");
            }
        }
    }
    let answer = server().get("/nothing").send().await.has(404);
    is_problem(&mut description, "GET", &answer, "not-found");
}

/// Whether a path is one of a template, whose channel may have slashes.
fn is_about(template: &str, path: &str) -> bool {
    match template.split_once("{channel}") {
        None => template == path,
        Some((start, end)) => path.starts_with(start) && path.ends_with(end),
    }
}

fn is_problem(description: &mut Description, method: &str, answer: &Answer, kind: &str) {
    assert_eq!(answer.header("content-type"), Some(PROBLEM));
    if method != "HEAD" {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        description
            .check("/components/schemas/Problem", &body)
            .unwrap();
        assert_eq!(body["type"], format!("urn:runnel:problem:{kind}"));
    }
}

fn lower_case((place, name): (String, String)) -> (String, String) {
    match place.as_str() {
        "header" => (place, name.to_lowercase()),
        _ => (place, name),
    }
}
