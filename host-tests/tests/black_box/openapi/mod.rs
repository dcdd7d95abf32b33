//! The OpenAPI description at `/openapi.json` describes the server completely and correctly.

mod bounds;
mod call;
mod calls;
mod description;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};

use runnel_testing::{Channel, HostProcess, Response, Stream, can_start_hosts, shared_server};
use serde_json::{Value, json};

use self::call::call;
use self::calls::SampleChannels;
use self::description::{Description, FILE, check_openapi, member};
use self::outcome::{Outcome, PROBLEM, describe_response, outcomes, problem_types};
use crate::tokens::fixture::{Fixture, SECRET, token_for};

/// Described statuses that no request to a healthy server causes, and why. Other tests cover them with
/// a failing store or other settings.
const NOT_REPRODUCED: [(&str, &str); 5] = [
    ("408", "the body timeout is too long for a test"),
    ("429", "rate limits are off by default"),
    ("500", "needs an invalid setting or a corrupt log"),
    (
        "501",
        "needs a host that leaves transfer codings to the component",
    ),
    ("503", "needs a failing store or many concurrent publishers"),
];

/// The methods that are sent to every path.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

#[tokio::test]
async fn the_description_is_served_verbatim() {
    let response = shared_server()
        .get("/openapi.json")
        .send()
        .await
        .expect_status(200);
    assert_eq!(response.body, FILE);
}

#[test]
fn the_description_is_valid_openapi_3_1_with_the_current_version() {
    let document: Value = serde_json::from_str(FILE).unwrap();
    check_openapi(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_reference_resolves_and_every_component_is_used() {
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
    // OpenAPI cannot reference schemas of event data, batch lines and token claims.
    let unreferenced = [
        "Open",
        "Moved",
        "Gap",
        "End",
        "Expired",
        "Reconnect",
        "Line",
        "Grant",
    ];
    used.extend(unreferenced.map(|name| member("/components/schemas", name)));
    // These belong to all requests and all responses.
    used.insert("/components/parameters/traceparent".to_owned());
    used.insert("/components/headers/traceresponse".to_owned());
    used.insert("/components/headers/NoStore".to_owned());
    for kind in ["parameters", "headers", "responses", "schemas"] {
        let kind = member("/components", kind);
        for name in description.members(&kind) {
            assert!(used.contains(&member(&kind, &name)), "{kind}/{name}");
        }
    }
}

#[test]
fn every_example_matches_its_schema() {
    let mut description = Description::new();
    let mut count = 0;
    for (pointer, node) in description.nodes() {
        let schema = member(&pointer, "schema");
        let named = node["examples"].as_object().into_iter().flatten();
        let named = named.map(|(_, example)| (schema.clone(), example["value"].clone()));
        let single = node.get("example").filter(|_| node.get("schema").is_some());
        let single = single.map(|example| (schema.clone(), example.clone()));
        let of_schema = node["examples"].as_array().into_iter().flatten();
        let of_schema = of_schema.map(|example| (pointer.clone(), example.clone()));
        for (schema, example) in named.chain(single).chain(of_schema) {
            description.check(&schema, &example).unwrap();
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[tokio::test]
async fn every_example_body_can_be_published() {
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
        request.send().await.expect_status(201);
    }
}

#[test]
fn every_problem_type_is_described_by_a_response() {
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
async fn every_response_is_described_and_every_described_response_occurs() {
    let mut description = Description::new();
    let mut observed: BTreeSet<Outcome> = BTreeSet::new();
    let mut parameters: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for call in SampleChannels::new().await.calls() {
        let needs_token = description.needs_token(call.method, call.template);
        let response = call.send(&shared_server(), needs_token).await;
        let outcome = describe_response(&mut description, &call, &response)
            .unwrap_or_else(|error| panic!("{}: {error:#}: {response:?}", call.operation()));
        let (_, status, body_kind) = &outcome;
        assert_eq!(
            (status.as_str(), body_kind.as_str()),
            (call.status.to_string().as_str(), call.body_kind),
            "{}: {response:?}",
            call.operation()
        );
        observed.insert(outcome);
        let sent = parameters.entry(call.operation()).or_default();
        sent.extend(call.parameters().into_iter().map(with_lowercase_header));
    }
    for (method, path) in description.operations() {
        let operation = format!("{method} {path}");
        let known = description.parameters(&method, &path).into_iter();
        let known: BTreeSet<_> = known.map(with_lowercase_header).collect();
        let mut sent = parameters.remove(&operation).unwrap_or_default();
        if operation.ends_with("/events/{channel}") {
            // Sent only to be rejected, so it is not described as a parameter.
            sent.remove(&("query".to_owned(), "channel".to_owned()));
        }
        assert_eq!(sent, known, "{operation}");
    }
    let missing: Vec<_> = outcomes(&description)
        .into_iter()
        .filter(|outcome| !observed.contains(outcome))
        .filter(|(_, status, _)| !NOT_REPRODUCED.iter().any(|(other, _)| other == status))
        .filter(|outcome| !needs_authentication(outcome))
        .collect();
    assert!(
        missing.is_empty(),
        "described but not observed: {missing:#?}"
    );
}

#[tokio::test]
async fn an_invalid_setting_is_answered_as_described() {
    if !can_start_hosts("an invalid setting") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start(directory.path(), &["log_level=nonsense"]);
    let mut description = Description::new();
    for (method, path) in description.operations() {
        let body_kind = if method == "HEAD" {
            PROBLEM
        } else {
            "configuration"
        };
        let call = call(method.leak(), path.leak())
            .channel("a")
            .expects(500, body_kind);
        let response = call.send(&host.server, true).await;
        let outcome = describe_response(&mut description, &call, &response).unwrap();
        assert_eq!(
            outcome,
            (call.operation(), "500".to_owned(), body_kind.to_owned())
        );
    }
}

/// Returns whether a response occurs only if streams or metrics require a token, or if JWTs are
/// accepted.
fn needs_authentication((operation, status, _): &Outcome) -> bool {
    let open_by_default = ["/events", "/metrics"];
    let is_open = open_by_default.iter().any(|path| operation.contains(path));
    status == "403" || status == "401" && is_open
}

#[tokio::test]
async fn authentication_responses_are_described_and_occur() {
    if !can_start_hosts("authentication responses") {
        return;
    }
    let fixture = Fixture::with_jwt("HS256", SECRET, &["metrics_token=m"]);
    let mut description = Description::new();
    let mut observed: BTreeSet<Outcome> = BTreeSet::new();
    let granting = |patterns: &[&str]| token_for(patterns, patterns);
    for (method, path) in description.operations() {
        if description.response(&method, &path, "401").is_none() {
            continue;
        }
        let (method, path): (&str, &str) = (method.leak(), path.leak());
        let query = if path == "/events" { "channel=a" } else { "" };
        let call = || call(method, path).channel("a").query(query);
        let bearer = |token: &str| call().header("authorization", format!("Bearer {token}"));
        let cookie = format!("runnel_token={}", granting(&["*"]));
        for call in [
            call(),
            bearer("bad"),
            bearer(&granting(&["b"])),
            call().header("cookie", cookie),
        ] {
            // A page ends, unlike a stream.
            let call = if method == "GET" {
                call.accept_json()
            } else {
                call
            };
            let response = call.send(&fixture.channel.server, false).await;
            observed.insert(describe_response(&mut description, &call, &response).unwrap());
        }
    }
    let missing: Vec<_> = outcomes(&description)
        .into_iter()
        .filter(|outcome| needs_authentication(outcome) && !observed.contains(outcome))
        .collect();
    assert!(
        missing.is_empty(),
        "described but not observed: {missing:#?}"
    );
}

#[tokio::test]
async fn the_control_events_of_a_stream_are_described() {
    let mut description = Description::new();
    let channel = Channel::new();
    channel.publish_text("kept").await;
    channel
        .manage("POST", "/close")
        .send()
        .await
        .expect_status(204);
    let mut stream = Stream::of(channel.events("?last_event_id=no-id").open().await);
    let (_, open) = stream.open_event().await;
    description
        .check("/components/schemas/Open", &open)
        .unwrap();
    let (id, gap) = stream.control_event("runnel.gap").await;
    description.check("/components/schemas/Gap", &gap).unwrap();
    description
        .check("/components/schemas/Cursor", &json!(id))
        .unwrap();
    stream.event().await;
    let (_, end) = stream.control_event("runnel.end").await;
    description.check("/components/schemas/End", &end).unwrap();
}

/// Returns the data of a control event in the text of a stream.
fn control_data(text: &str, name: &str) -> Value {
    let (_, block) = text.split_once(&format!("event: {name}\n")).unwrap();
    let data = block.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap()).unwrap()
}

#[tokio::test]
async fn positions_and_planned_ends_are_described() {
    if !can_start_hosts("the description of planned ends") {
        return;
    }
    let host = HostProcess::start_temporary(&["max_stream_seconds=3"]);
    let mut description = Description::new();
    let channel = Channel::on(host.server.clone());
    channel.publish_text("left out").await;
    let request = channel.events("?event=none&last_event_id=earliest");
    let response = request.send().await.expect_status(200);
    let text = String::from_utf8_lossy(&response.body).into_owned();
    for (name, schema) in [
        ("runnel.open", "Open"),
        ("runnel.position", "Moved"),
        ("runnel.reconnect", "Reconnect"),
    ] {
        let schema = member("/components/schemas", schema);
        let data = control_data(&text, name);
        description.check(&schema, &data).unwrap();
    }
}

#[tokio::test]
async fn the_description_lists_the_paths_and_methods_of_the_server() {
    let mut description = Description::new();
    let source = include_str!("../../../../src/api/route.rs");
    let (_, routes) = source.split_once("pub enum Route {").unwrap();
    let (routes, _) = routes.split_once("\n}").unwrap();
    let routes = routes.split('`').skip(1).step_by(2);
    let routes: BTreeSet<_> = routes.filter(|text| text.starts_with('/')).collect();
    let paths = description.members("/paths");
    assert_eq!(routes, paths.iter().map(String::as_str).collect());
    for path in &paths {
        let concrete = path.replace("{channel}", "a/b");
        let options = shared_server()
            .request("OPTIONS", &concrete)
            .send()
            .await
            .expect_status(204);
        let allow = options.header("allow").unwrap().to_owned();
        let mut allowed: BTreeSet<_> = allow.split(", ").map(str::to_owned).collect();
        assert!(allowed.remove("OPTIONS"), "{path}: {allow}");
        let operations = description.operations().into_iter();
        let described: BTreeSet<_> = operations
            .filter(|(_, template)| matches_template(template, &concrete))
            .map(|(method, _)| method)
            .collect();
        assert_eq!(described, allowed, "{path}");
        for method in METHODS {
            if !allowed.contains(method) {
                let response = shared_server()
                    .request(method, &concrete)
                    .send()
                    .await
                    .expect_status(405);
                assert_eq!(response.header("allow"), Some(allow.as_str()));
                assert_problem_schema(&mut description, method, &response, "method");
            }
        }
    }
    let response = shared_server()
        .get("/nothing")
        .send()
        .await
        .expect_status(404);
    assert_problem_schema(&mut description, "GET", &response, "not-found");
}

/// Returns whether a path matches a template. The channel can contain slashes.
fn matches_template(template: &str, path: &str) -> bool {
    match template.split_once("{channel}") {
        None => template == path,
        Some((start, end)) => path.starts_with(start) && path.ends_with(end),
    }
}

fn assert_problem_schema(
    description: &mut Description,
    method: &str,
    response: &Response,
    kind: &str,
) {
    assert_eq!(response.header("content-type"), Some(PROBLEM));
    if method != "HEAD" {
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        description
            .check("/components/schemas/Problem", &body)
            .unwrap();
        assert_eq!(body["type"], format!("urn:runnel:problem:{kind}"));
    }
}

fn with_lowercase_header((location, name): (String, String)) -> (String, String) {
    if location == "header" {
        (location, name.to_lowercase())
    } else {
        (location, name)
    }
}
