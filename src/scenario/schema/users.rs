//! Schema of archetypes.
//!
//! Invariant: it matches the readers `flow::archetype`, `flow::states` and `flow::data`.

use serde_json::{Value, json};

use super::build::{
    Definition, Property, any_of, exactly_one, keyed, list_of, map_of, object, refer, some_of,
};
use super::scalars::{count, word};
use crate::plan::data::{AtEnd, RowPick};

/// The definitions of archetypes and their parts.
pub(super) fn definitions() -> Vec<Definition> {
    let ways = ["flow", "states"];
    let archetype = exactly_one(object("an archetype", &[], behaviour(true)), &ways);
    let mut in_file = behaviour(true);
    in_file.push(("archetype", "Its name, as its file is called.", refer("name")));
    let in_file = exactly_one(object("an archetype", &["archetype"], in_file), &ways);
    vec![
        ("archetype", archetype),
        ("archetype_file", in_file),
        ("steps", json!({ "type": "array", "items": refer("step") })),
        ("state", state()),
        ("session", session()),
        ("feed", feed()),
    ]
}

/// The keys of an archetype, and of a workload with its own flow, whose `start` is a time.
pub(super) fn behaviour(with_start: bool) -> Vec<Property> {
    let start = ("start", "The state an iteration begins in; else the first.", refer("fixed"));
    let mut keys = vec![
        ("description", "A sentence about these users.", refer("text")),
        ("think", "Waited after each call but the last.", refer("distribution")),
        ("pace", "Start-to-start time of iterations.", refer("some_duration")),
        ("tags", "On every series of this archetype.", refer("tags")),
        ("network", "What its users' own link is like.", network()),
        ("session", "How long a user stays the same one.", refer("session")),
        ("vars", "Variables and their first values.", map_of(json!(true))),
        ("data", "Rows for users or iterations.", map_of(refer("feed"))),
        ("on_start", "Done once by each user, first.", refer("steps")),
        ("flow", "An iteration, from top to bottom.", list_of(refer("step"))),
        ("on_stop", "Done once by each user, last.", refer("steps")),
        ("states", "An iteration as a walk to `exit`.", some_of(refer("state"))),
    ];
    keys.extend(with_start.then_some(start));
    keys
}

fn network() -> Value {
    let keys = vec![
        ("latency", "Added to each round trip.", refer("duration")),
        ("down", "Towards the user, such as 1.6Mbit/s.", refer("bandwidth")),
        ("up", "From the user.", refer("bandwidth")),
    ];
    keyed(object("`network`", &[], keys), "minProperties", 1.into())
}

fn state() -> Value {
    let next = some_of(refer("weight"));
    let keys = vec![
        ("do", "What is done in it.", refer("steps")),
        ("next", "Where it goes on, with weights; `exit` ends.", next),
    ];
    object("a state", &["do", "next"], keys)
}

fn session() -> Value {
    let keys = vec![
        ("iterations", "So many.", count(1, 1 << 32)),
        ("duration", "So long.", refer("distribution")),
    ];
    exactly_one(object("a session", &[], keys), &["iterations", "duration"])
}

fn feed() -> Value {
    let picks = RowPick::NAMES.map(|(name, _)| name);
    let ends = AtEnd::NAMES.map(|(name, _)| name);
    let rows = list_of(json!({ "type": "object" }));
    let keys = vec![
        ("csv", "A file with a first line of column names.", refer("fixed")),
        ("json", "An array of objects, or one object per line.", refer("fixed")),
        ("inline", "Rows written here.", rows),
        ("pick", "Which row is whose; queue if not said.", word(&picks)),
        ("per", "Who takes a row; user if not said.", word(&["user", "iteration"])),
        ("at_end", "When there are no more; stop if not said.", word(&ends)),
    ];
    any_of(vec![exactly_one(object("a feed", &[], keys), &["csv", "json", "inline"])])
}
