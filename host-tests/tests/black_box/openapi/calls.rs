//! Requests, good and bad, of every operation.

use super::call::{Call, call};
use crate::channel::{Channel, id_of};
use crate::client::Answer;

const STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const OPENMETRICS: &str = "application/openmetrics-text";
const PROBLEM: &str = "application/problem+json";

/// A name that is sent with characters that need an escape, but does not have it.
const BADLY_ENCODED: &str = "a%zz";

/// Channels in every state.
pub(super) struct Stage {
    /// It has three events. The last has the type `number` and was published with the key `known`.
    kept: Channel,
    closed: Channel,
    /// It has never been heard of.
    unknown: Channel,
    /// The id of the last event that is kept.
    last: String,
    /// The tag of the page that ends there.
    tag: String,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let (kept, closed, unknown) = (Channel::new(), Channel::new(), Channel::new());
        kept.count(1..=2).await;
        let known = kept
            .publish("?event=number")
            .header("idempotency-key", "known");
        let last = id_of(&known.body(JSON, "3").send().await.has(201));
        closed.count(1..=1).await;
        closed.manage("POST", "/close").send().await.has(204);
        let page = kept.events("?last=1").header("accept", JSON);
        let page: Answer = page.send().await.has(200);
        let tag = page.header("etag").unwrap().to_owned();
        Self {
            kept,
            closed,
            unknown,
            last,
            tag,
        }
    }

    /// All of them.
    pub(super) fn calls(&self) -> Vec<Call> {
        [
            self.subscribing(),
            self.subscribing_to_several(),
            self.heads_of_subscriptions(),
            self.publishing(),
            self.bad_publishing(),
            self.channels(),
            server(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn subscribing(&self) -> Vec<Call> {
        let get = |channel: &str| call("GET", "/events/{channel}").channel(channel);
        let (kept, closed) = (&self.kept.name, &self.closed.name);
        vec![
            get(kept)
                .query("live=false&last=2&event=message&event=number")
                .gives(200, STREAM),
            get(&kept.replace('/', "%2F"))
                .query("live=false&last=2")
                .gives(200, STREAM),
            get(kept)
                .query("live=false&last_event_id=earliest")
                .gives(200, STREAM),
            get(kept)
                .query("live=false&lastEventId=earliest")
                .gives(200, STREAM),
            get(kept)
                .query("live=false&Last-Event-ID=earliest")
                .gives(200, STREAM),
            get(kept)
                .query("live=false")
                .header("last-event-id", "no id")
                .gives(200, STREAM),
            get(kept)
                .query("live=false")
                .header("last-event-id", &self.last)
                .gives(204, ""),
            get(closed)
                .query("last_event_id=earliest")
                .gives(200, STREAM),
            get(&self.unknown.name).query("live=false").gives(204, ""),
            get(kept).query("last=3&limit=2").json().gives(200, JSON),
            get(kept)
                .query("last_event_id=earliest&wait=25")
                .json()
                .gives(200, JSON),
            get(kept)
                .query("wait=25&live=false")
                .json()
                .gives(200, JSON),
            get(kept)
                .query("last_event_id=no-id")
                .json()
                .gives(200, JSON),
            get(closed)
                .query("last_event_id=earliest")
                .json()
                .gives(200, JSON),
            get(&self.unknown.name).json().gives(200, JSON),
            get(kept)
                .query("last=1")
                .header("if-none-match", &self.tag)
                .json()
                .gives(304, ""),
            get("a//b").gives(400, "channel-name"),
            get(BADLY_ENCODED).gives(400, "percent-encoding"),
            get(kept).query("channel=a").gives(400, "query"),
            get(kept).query("last=x").gives(400, "query"),
            get(kept).query("live=perhaps").gives(400, "query"),
            get(kept).query("wait=26").json().gives(400, "query"),
            get(kept).query("event=").gives(400, "event-type"),
        ]
    }

    fn subscribing_to_several(&self) -> Vec<Call> {
        let get = |query: &str| {
            let both = format!(
                "channel={}&channel={}{query}",
                self.kept.name, self.closed.name
            );
            call("GET", "/events").query(both)
        };
        let no_more = format!("live=false&channel={}", self.unknown.name);
        let tagged = format!("last=1&channel={}", self.kept.name);
        vec![
            get("&live=false&last=2&event=number").gives(200, STREAM),
            get("&live=false&lastEventId=earliest").gives(200, STREAM),
            get("&live=false&Last-Event-ID=earliest").gives(200, STREAM),
            get("&live=false")
                .header("last-event-id", "no id")
                .gives(200, STREAM),
            call("GET", "/events").query(no_more).gives(204, ""),
            get("&last_event_id=earliest&limit=1&wait=1")
                .json()
                .gives(200, JSON),
            get("&last_event_id=no-id").json().gives(200, JSON),
            call("GET", "/events")
                .query(tagged)
                .header("if-none-match", &self.tag)
                .json()
                .gives(304, ""),
            get("&channel=").gives(400, "channel-name"),
            call("GET", "/events").gives(400, "query"),
            get(&format!("&channel={}", self.kept.name)).gives(400, "query"),
            get("&event=a%0Ab").gives(400, "event-type"),
        ]
    }

    fn heads_of_subscriptions(&self) -> Vec<Call> {
        let everything = "last_event_id=a&lastEventId=b&Last-Event-ID=c&last=1&event=a&live=false\
            &wait=0&limit=1";
        let one = || call("HEAD", "/events/{channel}").channel(&self.kept.name);
        let several = || call("HEAD", "/events");
        let with_channel = format!("channel={}&{everything}", self.kept.name);
        vec![
            one().gives(200, STREAM),
            one()
                .query(everything)
                .header("last-event-id", "d")
                .header("if-none-match", &self.tag)
                .json()
                .gives(200, JSON),
            one().query("last=0").gives(400, PROBLEM),
            several().query("channel=a&channel=b").gives(200, STREAM),
            several()
                .query(with_channel)
                .header("last-event-id", "d")
                .header("if-none-match", &self.tag)
                .json()
                .gives(200, JSON),
            several().gives(400, PROBLEM),
        ]
    }

    fn publishing(&self) -> Vec<Call> {
        let post = || call("POST", "/publish/{channel}").channel(&self.kept.name);
        let cloud_event = || {
            post()
                .header("ce-specversion", "1.0")
                .header("ce-id", "1")
                .header("ce-source", "/shop")
                .header("ce-type", "order.placed")
        };
        let closing = Channel::new();
        vec![
            post().body(JSON, "{}").gives(201, ""),
            post().body(JSON, "{}").json().gives(201, JSON),
            post()
                .body("application/vnd.shop+json", "{}")
                .header("prefer", "return=representation")
                .gives(201, JSON),
            post().query("event=x").body(TEXT, "").gives(201, ""),
            cloud_event().body(TEXT, "x").gives(201, ""),
            post()
                .query("event=number")
                .header("idempotency-key", "known")
                .body(JSON, "3")
                .json()
                .gives(201, JSON),
            call("POST", "/publish/{channel}")
                .channel(&closing.name)
                .query("close=true")
                .body("application/x-ndjson", "{\"data\":1}\n{\"data\":2}")
                .json()
                .gives(201, JSON),
        ]
    }

    fn bad_publishing(&self) -> Vec<Call> {
        let to = |channel: &str| call("POST", "/publish/{channel}").channel(channel);
        let post = || to(&self.kept.name);
        vec![
            to("..").body(TEXT, "x").gives(400, "channel-name"),
            to(BADLY_ENCODED)
                .body(TEXT, "x")
                .gives(400, "percent-encoding"),
            post().query("close=1").body(TEXT, "x").gives(400, "query"),
            post()
                .header("idempotency-key", "x".repeat(256))
                .body(TEXT, "x")
                .gives(400, "header"),
            post()
                .header("ce-id", "1")
                .body(TEXT, "x")
                .gives(400, "header"),
            post()
                .query("event=open")
                .body(TEXT, "x")
                .gives(400, "event-type"),
            post().body(JSON, "{").gives(400, "body"),
            post()
                .body("application/cloudevents+json", "{}")
                .gives(400, "body"),
            post()
                .header("authorization", "Bearer no")
                .body(TEXT, "x")
                .gives(401, "unauthorized"),
            to(&self.closed.name).body(TEXT, "x").gives(409, "closed"),
            post()
                .body(TEXT, "x".repeat(65_537))
                .gives(413, "too-large"),
            post()
                .body(TEXT, "x".repeat(1_048_577))
                .gives(413, "too-large"),
            post().gives(415, "media-type"),
            post()
                .body("application/xml", "<x/>")
                .gives(415, "media-type"),
            post()
                .header("idempotency-key", "known")
                .body(TEXT, "another")
                .gives(422, "idempotency-key-reused"),
        ]
    }

    fn channels(&self) -> Vec<Call> {
        let mut calls = vec![];
        for (method, path, done, media_type) in [
            ("GET", "/channels/{channel}", 200, JSON),
            ("HEAD", "/channels/{channel}", 200, JSON),
            ("DELETE", "/channels/{channel}", 204, ""),
            ("POST", "/channels/{channel}/close", 204, ""),
        ] {
            let to = |channel: &str| call(method, path).channel(channel);
            let problem = |kind| if method == "HEAD" { PROBLEM } else { kind };
            // Nobody else needs these, and a purge or a close of it does no harm.
            let known = if done == 200 {
                &self.kept
            } else {
                &self.unknown
            };
            calls.extend([
                to(&known.name).gives(done, media_type),
                to("a//b").gives(400, problem("channel-name")),
                to(BADLY_ENCODED).gives(400, problem("percent-encoding")),
                to(&known.name)
                    .header("authorization", "Basic x")
                    .gives(401, problem("unauthorized")),
            ]);
            if done == 200 {
                let nobody = Channel::new();
                calls.push(to(&nobody.name).gives(404, problem("unknown-channel")));
                calls.push(to(&self.closed.name).gives(200, JSON));
            }
        }
        calls
    }
}

fn server() -> Vec<Call> {
    let paths = [
        ("/health", "", JSON),
        ("/health/live", "", JSON),
        ("/metrics", "", TEXT),
        ("/metrics", OPENMETRICS, OPENMETRICS),
        ("/openapi.json", "", JSON),
        ("/", "", "text/html"),
    ];
    let calls = paths.map(|(path, accept, what)| {
        let of = |method| call(method, path).header("accept", accept);
        ["GET", "HEAD"].map(|method| of(method).gives(200, what))
    });
    calls.into_iter().flatten().collect()
}
