//! Schema of `client` and its blocks.
//!
//! Invariant: it matches the reader `scenario::client`.

use serde_json::{Value, json};

use super::build::{Definition, Property, any_of, list_of, map_of, object, refer};
use super::scalars::{count, word};
use crate::plan::policy::{PoolStrategy, Priority};
use crate::scenario::client::attempts::{MAX_FACTOR, MAX_RETRIES, WINDOWS};
use crate::scenario::client::breakers::MAX_COUNT;
use crate::scenario::client::policies::CLIENTS;
use crate::scenario::client::pools::MAX_CONNECTIONS;

/// Definitions that several blocks share.
pub(super) fn definitions() -> Vec<Definition> {
    let share =
        vec![refer("share_text"), json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })];
    let text =
        json!({ "type": "string", "pattern": "^\\s*[0-9.]+\\s*%?\\s*$", "examples": ["5%"] });
    let percentile = vec![
        json!({ "type": "string", "pattern": "^p?[5-9][0-9](\\.[0-9]+)?$", "examples": ["p95"] }),
        json!({ "type": "number", "minimum": 50, "exclusiveMaximum": 100 }),
    ];
    vec![
        ("share", any_of(share)),
        ("share_text", text),
        ("percentile", any_of(percentile)),
        ("factor", json!({ "type": "number", "minimum": 1, "maximum": MAX_FACTOR })),
        ("priority", word(&Priority::NAMES.map(|(name, _)| name))),
        ("failures", failures()),
        ("backoff", backoff()),
        ("breaker", or_switch(breaker())),
    ]
}

/// The keys of a scenario for its client.
pub(super) fn blocks() -> Vec<Property> {
    let memory = object("`memory`", &[], vec![("budget", "At most so much.", refer("size"))]);
    vec![
        (
            "client",
            "measure holds nothing back; resilient behaves as in production.",
            word(&CLIENTS.map(|(name, _)| name)),
        ),
        ("pools", "Shared connections, by group of endpoints.", map_of(pool())),
        ("breakers", "When calls are not sent any more.", or_switch(breakers())),
        ("timeouts", "Deadlines that follow the target.", or_switch(timeouts())),
        ("retries", "What is tried again.", any_of(vec![retry_count(), or_switch(retries())])),
        ("hedging", "What is tried twice at once.", or_switch(hedging())),
        ("limits", "How many attempts at most.", any_of(vec![json!({ "const": false }), limits()])),
        ("connect_backoff", "Before it connects again.", or_switch(refer("backoff"))),
        ("degradation", "What is left out in trouble.", or_switch(degradation())),
        ("healing", "What is mended while it runs.", or_switch(every("`healing`"))),
        ("admission", "What is held back when we are in trouble.", or_switch(admission())),
        ("memory", "How much it may take.", any_of(vec![refer("size"), or_switch(memory)])),
        (
            "prewarm",
            "How long before they are due users and their connections are ready.",
            refer("duration"),
        ),
    ]
}

/// Allows a block, or a boolean: its defaults, or off.
fn or_switch(block: Value) -> Value {
    any_of(vec![json!({ "type": "boolean" }), block])
}

fn every(title: &str) -> Value {
    object(title, &[], vec![("every", "How often it is looked at.", refer("some_duration"))])
}

/// An endpoint pattern: `"POST /login"`, `/export/*`, `*`.
fn pattern() -> Value {
    json!({ "type": "string", "pattern": "^\\s*([A-Z]+\\s+)?(\\*|/[^\\s?#]*)\\s*$" })
}

fn pool() -> Value {
    let time = || refer("some_duration");
    let connections = || count(1, MAX_CONNECTIONS);
    let keys = vec![
        (
            "match",
            "Its endpoints; what says most wins.",
            any_of(vec![pattern(), list_of(pattern())]),
        ),
        ("connections", "How many over the whole run; 100 if not said.", connections()),
        ("min", "The least it shrinks to; a tenth if not said.", count(0, MAX_CONNECTIONS)),
        ("max", "The most an adaptive one grows to.", connections()),
        ("idle", "Closed when idle for so long.", time()),
        ("max_age", "Closed when so old.", time()),
        ("max_requests", "Closed after so many.", count(1, u64::MAX / 2)),
        ("keep_alive", "false: a connection for each request.", refer("truth")),
        ("strategy", "Whose they are.", word(&PoolStrategy::NAMES.map(|(name, _)| name))),
        ("wait", "The most a call waits for one.", time()),
        ("priority", "What is left out first.", refer("priority")),
        ("adaptive", "Its size follows its use.", or_switch(every("`adaptive`"))),
    ];
    object("a pool", &["match"], keys)
}

fn breakers() -> Value {
    let level = || refer("breaker");
    let keys = vec![
        ("endpoint", "One for each endpoint.", level()),
        ("service", "One for each service.", level()),
        ("system", "One for all.", level()),
    ];
    object("`breakers`", &[], keys)
}

fn breaker() -> Value {
    let few = || count(1, u64::from(MAX_COUNT));
    let keys = vec![
        ("failures", "Opens after so many in a row.", few()),
        ("share", "Opens at this share of failures.", refer("share")),
        ("window", "How far back a share looks; 10s if not said.", refer("some_duration")),
        ("least", "The least attempts a share is of; 20 if not said.", few()),
        ("open", "How long it stays open.", refer("some_duration")),
        ("probes", "At once when half-open; 1 if not said.", few()),
        ("successes", "In a row to close; 1 if not said.", few()),
        ("when", "What counts as a failure.", refer("failures")),
    ];
    let mut breaker = object("a breaker", &[], keys);
    breaker["not"] = json!({ "required": ["failures", "share"] });
    breaker["dependentRequired"] = json!({ "window": ["share"], "least": ["share"] });
    breaker
}

fn failures() -> Value {
    let status = "[1-9][0-9]{2}";
    let statuses = format!("^\\s*([1-9]xx|{status}(\\s*-\\s*{status})?)\\s*$");
    let one = any_of(vec![
        word(&["connect", "timeout", "broken"]),
        count(100, 999),
        json!({ "type": "string", "pattern": statuses }),
    ]);
    any_of(vec![one.clone(), list_of(one)])
}

fn timeouts() -> Value {
    let time = || refer("some_duration");
    let keys = vec![
        ("adaptive", "false: none of it.", refer("truth")),
        ("start", "Before enough is known.", time()),
        ("percentile", "Of an endpoint's last times…", refer("percentile")),
        ("factor", "…times this.", refer("factor")),
        ("min", "Never less.", time()),
        ("max", "Never more.", time()),
        ("window", "How many last attempts.", count(WINDOWS.0, WINDOWS.1)),
    ];
    object("`timeouts`", &[], keys)
}

fn retry_count() -> Value {
    count(0, MAX_RETRIES)
}

fn retries() -> Value {
    let budget = any_of(vec![json!({ "const": "none" }), refer("share")]);
    let keys = vec![
        ("max", "How often at most; 2 if not said.", retry_count()),
        ("backoff", "The wait before each.", refer("backoff")),
        ("budget", "Of first attempts; 10% if not said.", budget),
        ("when", "After which ends.", refer("failures")),
        ("retry_after", "Waits as long as the answer asks for.", refer("truth")),
        (
            "max_retry_after",
            "The longest Retry-After that is waited for; 60s if not said.",
            refer("some_duration"),
        ),
        ("unsafe_methods", "Also what must not have its effect twice.", refer("truth")),
    ];
    object("`retries`", &[], keys)
}

fn backoff() -> Value {
    let keys = vec![
        ("base", "The first; 100ms if not said.", refer("some_duration")),
        ("factor", "Each is so many times the one before; 2 if not said.", refer("factor")),
        ("max", "Never longer; 10s if not said.", refer("some_duration")),
        ("jitter", "full: drawn from zero up to it.", word(&["full", "none"])),
    ];
    object("a backoff", &[], keys)
}

fn hedging() -> Value {
    let after = any_of(vec![refer("percentile"), refer("some_duration")]);
    let keys = vec![
        ("after", "When; p95 if not said.", after),
        ("budget", "Of first attempts; 5% if not said.", refer("share")),
    ];
    object("`hedging`", &[], keys)
}

fn limits() -> Value {
    let rate = || refer("rate");
    let mut per_endpoint = map_of(rate());
    per_endpoint["propertyNames"] = pattern();
    let keys = vec![
        ("global", "All of the run.", rate()),
        ("per_user", "Each user.", rate()),
        ("per_source", "Each source address.", rate()),
        ("per_endpoint", "Endpoints by pattern; what says most wins.", per_endpoint),
        ("wait", "The most a call waits for its turn.", refer("some_duration")),
    ];
    object("`limits`", &[], keys)
}

fn degradation() -> Value {
    let some = |of: &str, many: u64| {
        let items = refer(of);
        json!({ "type": "array", "minItems": many, "maxItems": many, "items": items })
    };
    let keys = vec![
        ("enabled", "false: none of it.", refer("truth")),
        ("errors", "Where light, heavy and emergency begin.", some("share", 3)),
        ("p95", "Where light and heavy begin.", some("some_duration", 2)),
        ("memory", "Where an emergency begins.", refer("share")),
        ("window", "How far back; 10s if not said.", refer("some_duration")),
        ("recover", "Well for so long, and it is a level better.", refer("some_duration")),
    ];
    object("`degradation`", &[], keys)
}

fn admission() -> Value {
    let keys = vec![
        ("lag", "Lag p99 of a second above this, and…", refer("some_duration")),
        ("cpu", "…a shard above this share of a core.", refer("share")),
        ("after", "For so long.", refer("some_duration")),
        ("recover", "Well for so long, and work is let in again.", refer("some_duration")),
    ];
    object("`admission`", &[], keys)
}
