//! Schema of workloads and load stages.
//!
//! Invariant: it matches the readers in `scenario::load`.

use serde_json::{Value, json};

use super::build::{Definition, Property, any_of, exactly_one, list_of, object, refer, some_of};
use super::scalars::{count, word};
use super::users::behaviour;
use crate::scenario::load::bounds::MAX_USERS;
use crate::scenario::load::k6::EXECUTORS;

/// Maximum iterations of a workload.
const MAX_ITERATIONS: u64 = u64::MAX / 2;

/// The definitions of workloads and stages.
pub(super) fn definitions() -> Vec<Definition> {
    let level = count(0, MAX_USERS);
    vec![
        (
            "workload",
            json!({
                "if": { "type": "object", "required": ["executor"] },
                "then": refer("workload_of_k6"),
                "else": refer("workload_of_ours"),
            }),
        ),
        ("workload_of_ours", ours()),
        ("workload_of_k6", of_k6()),
        ("users_stages", list_of(stage(&level, "users_stages"))),
        ("rate_stages", list_of(stage(&refer("rate"), "rate_stages"))),
    ]
}

/// The keys of a workload in both spellings.
fn base() -> Vec<Property> {
    let weights = some_of(refer("weight"));
    let mut keys = vec![
        ("archetypes", "Kinds of user with their weights.", weights),
        ("priority", "What is held back first when we are in trouble.", refer("priority")),
    ];
    keys.extend(behaviour(false));
    keys
}

fn ours() -> Value {
    let users = any_of(vec![count(1, MAX_USERS), refer("users_stages")]);
    let rate = any_of(vec![refer("rate"), refer("rate_stages")]);
    let arrivals = object(
        "`arrivals`",
        &["rate"],
        vec![
            ("process", "How starts are spread.", word(&["constant", "poisson"])),
            ("rate", "Starts per second, or stages.", rate),
            ("max_users", "The most at once; more are dropped.", count(1, MAX_USERS)),
            ("connections", "Those of who has gone, or its own.", word(&["kept", "fresh"])),
        ],
    );
    let mut keys = base();
    keys.extend([
        ("start", "Its offset in the run.", refer("duration")),
        ("users", "Closed model: so many at once, or stages.", users),
        ("arrivals", "Open model: so many starts per second.", arrivals),
        ("duration", "How long a plain level lasts.", refer("some_duration")),
        ("iterations", "How many in all.", count(1, MAX_ITERATIONS)),
    ]);
    let mut workload = exactly_one(object("a workload", &[], keys), &["users", "arrivals"]);
    workload["allOf"] = json!([whose(), ending()]);
    workload
}

/// Requires an end of the load beside a constant rate.
fn ending() -> Value {
    let plain = json!({ "type": "object", "required": ["rate"],
        "properties": { "rate": { "type": "string" } } });
    json!({
        "if": { "type": "object", "required": ["arrivals"], "properties": { "arrivals": plain } },
        "then": { "anyOf": [{ "required": ["duration"] }, { "required": ["iterations"] }] },
    })
}

/// Requires archetypes, or a flow or states of the workload itself.
fn whose() -> Value {
    let each = ["archetypes", "flow", "states"].map(|key| json!({ "required": [key] }));
    json!({ "oneOf": each })
}

fn of_k6() -> Value {
    let number = || json!({ "type": "number", "minimum": 0 });
    let stage = object(
        "a stage of k6",
        &["target", "duration"],
        vec![("target", "", number()), ("duration", "", refer("duration"))],
    );
    let mut keys = base();
    keys.extend([
        (
            "executor",
            "One of k6's; the native spelling is `users` or `arrivals`.",
            word(&EXECUTORS),
        ),
        ("startTime", "", refer("duration")),
        ("vus", "", count(1, MAX_USERS)),
        ("duration", "", refer("some_duration")),
        ("iterations", "", count(1, MAX_ITERATIONS)),
        ("maxDuration", "", refer("some_duration")),
        ("startVUs", "", count(0, MAX_USERS)),
        ("stages", "", json!({ "type": "array", "items": stage })),
        ("rate", "", number()),
        ("startRate", "", number()),
        ("timeUnit", "", refer("some_duration")),
        ("preAllocatedVUs", "", count(0, MAX_USERS)),
        ("maxVUs", "", count(1, MAX_USERS)),
        ("gracefulStop", "Left out of account: see `grace`.", json!(true)),
        ("gracefulRampDown", "Left out of account: see `grace`.", json!(true)),
    ]);
    let mut workload = object("a workload", &["executor"], keys);
    workload["allOf"] = json!([whose()]);
    workload
}

/// A stage with levels of this schema; `list` names the definition of lists that it may repeat.
fn stage(level: &Value, list: &str) -> Value {
    let time = || refer("duration");
    let level = || level.clone();
    let stairs = object(
        "`stairs`",
        &["to", "steps", "over"],
        vec![
            ("from", "", level()),
            ("to", "", level()),
            ("steps", "", count(1, 1_000)),
            ("over", "", time()),
        ],
    );
    let sine = vec![
        ("base", "The level it swings around.", level()),
        ("mean", "The same.", level()),
        ("amplitude", "", level()),
        ("period", "", refer("some_duration")),
        ("over", "", time()),
    ];
    let sine = object("`sine`", &["amplitude", "period", "over"], sine);
    let repeat = vec![("times", "", count(1, 1_000)), ("do", "", refer(list))];
    let keys = vec![
        ("ramp", "Goes there in a straight line.", level()),
        ("hold", "Stays for so long.", time()),
        ("step", "Jumps there.", level()),
        ("spike", "Jumps, stays, and falls back.", level()),
        ("stairs", "Levels of equal length.", stairs),
        ("sine", "Swings around a level.", sine),
        ("repeat", "Stages again and again.", object("`repeat`", &["times", "do"], repeat)),
        ("over", "How long a ramp, step or spike takes.", time()),
    ];
    let kinds = ["ramp", "hold", "step", "spike", "stairs", "sine", "repeat"];
    let mut stage = exactly_one(object("a stage", &[], keys), &kinds);
    stage["dependentRequired"] = json!({ "ramp": ["over"], "spike": ["over"] });
    let without = ["hold", "stairs", "sine", "repeat"];
    let without: Vec<Value> =
        without.iter().map(|kind| json!({ "required": ["over", kind] })).collect();
    stage["not"] = json!({ "anyOf": without });
    stage
}
