//! Schema of steps: requests and control steps.
//!
//! Invariant: it matches the readers `flow::step`, `flow::control` and `flow::body`.

use serde_json::{Value, json};

use super::build::{
    Definition, Property, any_of, at_most_one, exactly_one, list_of, map_of, object, refer,
};
use super::scalars::{count, word};
use crate::plan::OnFail;
use crate::plan::flow::MAX_ROUNDS;
use crate::scenario::flow::step::METHODS;

/// The definitions of steps.
pub(super) fn definitions() -> Vec<Definition> {
    let path = json!({ "type": "string", "pattern": "^(/|\\{\\{)" });
    let condition = any_of(vec![
        json!({ "type": "boolean" }),
        json!({ "type": "string", "pattern": "\\{\\{" }),
    ]);
    let times =
        any_of(vec![count(0, MAX_ROUNDS), json!({ "type": "string", "pattern": "\\{\\{" })]);
    let mut kinds = vec![refer("request")];
    kinds.extend(controls());
    vec![
        ("path", path),
        ("condition", condition),
        ("times", times),
        ("step", any_of(kinds)),
        ("request", request(false)),
        ("branch", request(true)),
    ]
}

/// A request step; a branch of `parallel` may have `needs`.
fn request(is_branch: bool) -> Value {
    let fails = OnFail::NAMES.map(|(name, _)| name);
    let parts = map_of(any_of(vec![refer("text"), part()]));
    let mut keys: Vec<Property> =
        METHODS.iter().map(|(key, _)| (*key, "The path.", refer("path"))).collect();
    keys.extend([
        ("name", "How reports call it; else method and path.", refer("fixed")),
        ("service", "Where it goes, if not to the first.", refer("fixed")),
        ("headers", "", map_of(refer("text"))),
        ("json", "A body; one whole {{ }} keeps its type.", json!(true)),
        ("form", "A body of form fields.", map_of(refer("text"))),
        ("body", "A body of text.", refer("text")),
        ("file", "A body from a file.", refer("fixed")),
        ("multipart", "A body of several parts.", parts),
        ("timeout", "How long it may take, redirects and all.", refer("some_duration")),
        ("think", "Instead of the archetype's.", refer("distribution")),
        ("max_body", "The most bytes of answer; 64MiB if not said.", refer("size")),
        ("redirects", "How many it follows.", count(0, 100)),
        ("tags", "On its series.", refer("tags")),
        ("capture", "What is kept of the answer.", map_of(refer("capture"))),
        ("check", "Counted when it does not hold.", refer("check")),
        ("expect", "Ends the iteration when it does not hold.", refer("check")),
        ("on_fail", "What a failed check does beside.", word(&fails)),
        ("priority", "What is left out first; its pool's if not said.", refer("priority")),
    ]);
    if is_branch {
        let one = || refer("fixed");
        let needs = any_of(vec![one(), json!({ "type": "array", "items": one() })]);
        keys.push(("needs", "Steps before it that have to end first.", needs));
    } else {
        let about = "Steps that take its place when it is not answered as wanted.";
        keys.push(("fallback", about, refer("steps")));
    }
    let methods = METHODS.map(|(key, _)| key);
    let step = exactly_one(object("a step", &[], keys), &methods);
    at_most_one(step, &["json", "form", "body", "file", "multipart"])
}

fn part() -> Value {
    let keys = vec![
        ("file", "", refer("fixed")),
        ("value", "", refer("text")),
        ("filename", "", refer("fixed")),
        ("type", "A content type such as image/png.", refer("fixed")),
    ];
    exactly_one(object("a part", &[], keys), &["file", "value"])
}

/// A control step with its key and further keys.
fn control(key: &'static str, about: &'static str, value: Value, beside: Vec<Property>) -> Value {
    let mut needs = vec![key];
    if key == "if" {
        needs.push("do");
    }
    let mut keys = vec![(key, about, value)];
    keys.extend(beside);
    object("this step", &needs, keys)
}

/// A step that includes a file. Includes are expanded before steps are read, so no reader reads
/// this key.
fn object_of_include() -> Value {
    json!({
        "type": "object",
        "properties": { "include": { "type": "string", "description": "A file of steps." } },
        "required": ["include"],
        "additionalProperties": false,
    })
}

fn controls() -> Vec<Value> {
    let steps = || refer("steps");
    let way = vec![("weight", "", refer("weight")), ("do", "", steps())];
    let way = object("a way", &["weight", "do"], way);
    let repeat = vec![("times", "", refer("times")), ("do", "", steps())];
    let repeat = object("`repeat`", &["times", "do"], repeat);
    let while_keys = vec![
        ("that", "", refer("condition")),
        ("max", "The most rounds; 1000 if not said.", count(1, MAX_ROUNDS)),
        ("do", "", steps()),
    ];
    let while_loop = object("`while`", &["that", "do"], while_keys);
    let group = vec![("name", "", refer("fixed")), ("do", "", steps())];
    let gather = vec![("users", "", count(2, 10_000_000)), ("wait", "", refer("some_duration"))];
    let alternatives = vec![("do", "", steps()), ("else", "", steps())];
    let think = vec![("think", "Instead of the archetype's.", refer("distribution"))];
    let map = || map_of(json!(true));
    vec![
        object_of_include(),
        control("choose", "One of several ways, by weight.", list_of(way), Vec::new()),
        control("repeat", "Steps so often.", repeat, Vec::new()),
        control("while", "Steps as long as something holds.", while_loop, Vec::new()),
        control("if", "Steps if something holds.", refer("condition"), alternatives),
        control("parallel", "Requests at the same time.", list_of(refer("branch")), think),
        control(
            "group",
            "Steps timed as one.",
            object("a group", &["name", "do"], group),
            Vec::new(),
        ),
        control(
            "rendezvous",
            "Users go on together.",
            object("a rendezvous", &["users", "wait"], gather),
            Vec::new(),
        ),
        control("set", "Variables get values.", map(), Vec::new()),
        control("log", "A line for the run's log.", refer("text"), Vec::new()),
        control("pause", "A wait of the user's own.", refer("distribution"), Vec::new()),
    ]
}
