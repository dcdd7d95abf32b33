//! Valid and invalid calls of every operation.

use runnel_testing::{Channel, Response};

use super::call::{Call, call};

const STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const OPENMETRICS: &str = "application/openmetrics-text";
const PROBLEM: &str = "application/problem+json";

/// A channel name with an invalid percent-encoding.
const BADLY_ENCODED: &str = "a%zz";

/// More than the default of `max_header_bytes`.
const TOO_MANY_HEADER_BYTES: usize = 8_193;

/// One channel in each state.
pub(super) struct SampleChannels {
    /// Has three events. The last has the type `number` and the idempotency key `known`.
    open: Channel,
    closed: Channel,
    /// Was never published to.
    unknown: Channel,
    /// The id of the last event of `open`.
    last: String,
    /// The entity tag of a page with the last event of `open`.
    tag: String,
}

impl SampleChannels {
    pub(super) async fn new() -> Self {
        let (open, closed, unknown) = (Channel::new(), Channel::new(), Channel::new());
        open.publish_numbers(1..=2).await;
        let known = open
            .publish("?event=number")
            .header("idempotency-key", "known");
        let last = known
            .body(JSON, "3")
            .send()
            .await
            .expect_status(201)
            .event_id();
        closed.publish_numbers(1..=1).await;
        closed
            .manage("POST", "/close")
            .send()
            .await
            .expect_status(204);
        let page = open.events("?last=1").header("accept", JSON);
        let page: Response = page.send().await.expect_status(200);
        let tag = page.header("etag").unwrap().to_owned();
        Self {
            open,
            closed,
            unknown,
            last,
            tag,
        }
    }

    /// Returns the calls of all operations.
    pub(super) fn calls(&self) -> Vec<Call> {
        [
            self.subscribe(),
            self.subscribe_to_multiple(),
            self.subscribe_with_head(),
            self.publish(),
            self.publish_errors(),
            self.manage_channels(),
            server_calls(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn subscribe(&self) -> Vec<Call> {
        let get = |channel: &str| call("GET", "/events/{channel}").channel(channel);
        let (open, closed) = (&self.open.name, &self.closed.name);
        vec![
            get(open)
                .query("live=false&last=2&event=message&event=number")
                .expects(200, STREAM),
            get(&open.replace('/', "%2F"))
                .query("live=false&last=2")
                .expects(200, STREAM),
            get(open)
                .query("live=false&last_event_id=earliest")
                .expects(200, STREAM),
            get(open)
                .query("live=false&lastEventId=earliest")
                .expects(200, STREAM),
            get(open)
                .query("live=false&Last-Event-ID=earliest")
                .expects(200, STREAM),
            get(open)
                .query("live=false")
                .header("last-event-id", "no id")
                .expects(200, STREAM),
            get(open)
                .query("live=false")
                .header("last-event-id", &self.last)
                .expects(204, ""),
            get(closed)
                .query("last_event_id=earliest")
                .expects(200, STREAM),
            get(&self.unknown.name).query("live=false").expects(204, ""),
            get(open)
                .query("last=3&limit=2")
                .accept_json()
                .expects(200, JSON),
            get(open)
                .query("last_event_id=earliest&wait=25")
                .accept_json()
                .expects(200, JSON),
            get(open)
                .query("wait=25&live=false")
                .accept_json()
                .expects(200, JSON),
            get(open)
                .query("last_event_id=no-id")
                .accept_json()
                .expects(200, JSON),
            get(closed)
                .query("last_event_id=earliest")
                .accept_json()
                .expects(200, JSON),
            get(&self.unknown.name).accept_json().expects(200, JSON),
            get(open)
                .query("last=1")
                .header("if-none-match", &self.tag)
                .accept_json()
                .expects(304, ""),
            get("a//b").expects(400, "channel-name"),
            get(BADLY_ENCODED).expects(400, "percent-encoding"),
            get(open).query("channel=a").expects(400, "query"),
            get(open).query("last=x").expects(400, "query"),
            get(open).query("live=perhaps").expects(400, "query"),
            get(open)
                .query("wait=26")
                .accept_json()
                .expects(400, "query"),
            get(open).query("event=").expects(400, "event-type"),
            get(open)
                .header("if-none-match", "x".repeat(TOO_MANY_HEADER_BYTES))
                .expects(400, "header"),
        ]
    }

    fn subscribe_to_multiple(&self) -> Vec<Call> {
        let get = |query: &str| {
            let both = format!(
                "channel={}&channel={}{query}",
                self.open.name, self.closed.name
            );
            call("GET", "/events").query(both)
        };
        let no_more = format!("live=false&channel={}", self.unknown.name);
        let tagged = format!("last=1&channel={}", self.open.name);
        vec![
            get("&live=false&last=2&event=number").expects(200, STREAM),
            get("&live=false&lastEventId=earliest").expects(200, STREAM),
            get("&live=false&Last-Event-ID=earliest").expects(200, STREAM),
            get("&live=false")
                .header("last-event-id", "no id")
                .expects(200, STREAM),
            call("GET", "/events").query(no_more).expects(204, ""),
            get("&last_event_id=earliest&limit=1&wait=1")
                .accept_json()
                .expects(200, JSON),
            get("&last_event_id=no-id").accept_json().expects(200, JSON),
            call("GET", "/events")
                .query(tagged)
                .header("if-none-match", &self.tag)
                .accept_json()
                .expects(304, ""),
            get("&channel=").expects(400, "channel-name"),
            call("GET", "/events").expects(400, "query"),
            get(&format!("&channel={}", self.open.name)).expects(400, "query"),
            get("&event=a%0Ab").expects(400, "event-type"),
            get("")
                .header("if-none-match", "x".repeat(TOO_MANY_HEADER_BYTES))
                .expects(400, "header"),
        ]
    }

    fn subscribe_with_head(&self) -> Vec<Call> {
        let everything = "last_event_id=a&lastEventId=b&Last-Event-ID=c&last=1&event=a&live=false\
            &wait=0&limit=1";
        let one = || call("HEAD", "/events/{channel}").channel(&self.open.name);
        let multiple = || call("HEAD", "/events");
        let with_channel = format!("channel={}&{everything}", self.open.name);
        vec![
            one().expects(200, STREAM),
            one()
                .query(everything)
                .header("last-event-id", "d")
                .header("if-none-match", &self.tag)
                .accept_json()
                .expects(200, JSON),
            one().query("last=0").expects(400, PROBLEM),
            multiple().query("channel=a&channel=b").expects(200, STREAM),
            multiple()
                .query(with_channel)
                .header("last-event-id", "d")
                .header("if-none-match", &self.tag)
                .accept_json()
                .expects(200, JSON),
            multiple().expects(400, PROBLEM),
        ]
    }

    fn publish(&self) -> Vec<Call> {
        let post = || call("POST", "/publish/{channel}").channel(&self.open.name);
        let cloud_event = || {
            post()
                .header("ce-specversion", "1.0")
                .header("ce-id", "1")
                .header("ce-source", "/shop")
                .header("ce-type", "order.placed")
        };
        let closing = Channel::new();
        vec![
            post().body(JSON, "{}").expects(201, ""),
            post().body(JSON, "{}").accept_json().expects(201, JSON),
            post()
                .body("application/vnd.shop+json", "{}")
                .header("prefer", "return=representation")
                .expects(201, JSON),
            post().query("event=x").body(TEXT, "").expects(201, ""),
            cloud_event().body(TEXT, "x").expects(201, ""),
            post()
                .query("event=number")
                .header("idempotency-key", "known")
                .body(JSON, "3")
                .accept_json()
                .expects(201, JSON),
            call("POST", "/publish/{channel}")
                .channel(&closing.name)
                .query("close=true")
                .body("application/x-ndjson", "{\"data\":1}\n{\"data\":2}")
                .accept_json()
                .expects(201, JSON),
        ]
    }

    fn publish_errors(&self) -> Vec<Call> {
        let to = |channel: &str| call("POST", "/publish/{channel}").channel(channel);
        let post = || to(&self.open.name);
        vec![
            to("..").body(TEXT, "x").expects(400, "channel-name"),
            to(BADLY_ENCODED)
                .body(TEXT, "x")
                .expects(400, "percent-encoding"),
            post()
                .query("close=1")
                .body(TEXT, "x")
                .expects(400, "query"),
            post()
                .header("idempotency-key", "x".repeat(256))
                .body(TEXT, "x")
                .expects(400, "header"),
            post()
                .header("ce-id", "1")
                .body(TEXT, "x")
                .expects(400, "header"),
            post()
                .query("event=open")
                .body(TEXT, "x")
                .expects(400, "event-type"),
            post().body(JSON, "{").expects(400, "body"),
            post()
                .body("application/cloudevents+json", "{}")
                .expects(400, "body"),
            post()
                .header("authorization", "Bearer no")
                .body(TEXT, "x")
                .expects(401, "unauthorized"),
            to(&self.closed.name).body(TEXT, "x").expects(409, "closed"),
            post()
                .body(TEXT, "x".repeat(65_537))
                .expects(413, "too-large"),
            post()
                .body(TEXT, "x".repeat(1_048_577))
                .expects(413, "too-large"),
            post().expects(415, "media-type"),
            post()
                .body("application/xml", "<x/>")
                .expects(415, "media-type"),
            post()
                .header("idempotency-key", "known")
                .body(TEXT, "another")
                .expects(422, "idempotency-key-reused"),
        ]
    }

    fn manage_channels(&self) -> Vec<Call> {
        let mut calls = vec![];
        for (method, path, done, media_type) in [
            ("GET", "/channels/{channel}", 200, JSON),
            ("HEAD", "/channels/{channel}", 200, JSON),
            ("DELETE", "/channels/{channel}", 204, ""),
            ("POST", "/channels/{channel}/close", 204, ""),
        ] {
            let to = |channel: &str| call(method, path).channel(channel);
            let problem = |kind| if method == "HEAD" { PROBLEM } else { kind };
            // Purging or closing the unknown channel does not affect other calls.
            let channel = if done == 200 {
                &self.open
            } else {
                &self.unknown
            };
            calls.extend([
                to(&channel.name).expects(done, media_type),
                to("a//b").expects(400, problem("channel-name")),
                to(BADLY_ENCODED).expects(400, problem("percent-encoding")),
                to(&channel.name)
                    .header("authorization", "Basic x")
                    .expects(401, problem("unauthorized")),
            ]);
            if done == 200 {
                let never_used = Channel::new();
                calls.push(to(&never_used.name).expects(404, problem("unknown-channel")));
                calls.push(to(&self.closed.name).expects(200, JSON));
            }
        }
        calls
    }
}

fn server_calls() -> Vec<Call> {
    let paths = [
        ("/health", "", JSON),
        ("/health/live", "", JSON),
        ("/metrics", "", TEXT),
        ("/metrics", OPENMETRICS, OPENMETRICS),
        ("/openapi.json", "", JSON),
        ("/", "", "text/html"),
    ];
    let calls = paths.map(|(path, accept, media_type)| {
        let with_method = |method| call(method, path).header("accept", accept);
        ["GET", "HEAD"].map(|method| with_method(method).expects(200, media_type))
    });
    calls.into_iter().flatten().collect()
}
