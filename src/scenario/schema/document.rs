//! The language as JSON Schema (2020-12), for editors.
//!
//! `cli schema` prints it; each submodule describes a part. `manada check` does what a schema
//! cannot: check that names and files exist and that templates parse.
//! Invariant: an object's title is its reader's name for it, and its keys are those that its
//! reader reads; `tests` compares them.

use serde_json::{Map, Value, json};

use super::build::{Property, any_of, list_of, map_of, named, object, refer, some_of};
use super::{client, load, responses, safety, scalars, steps, target, users};

/// The kind of file that a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// A scenario file.
    Scenario,
    /// An archetype file.
    Archetype,
}

/// Returns the whole schema.
pub fn document(of: SchemaOf) -> Value {
    let (title, about, root) = match of {
        SchemaOf::Scenario => {
            ("Manada scenario", "One run: services, workloads, rules.", "scenario")
        }
        SchemaOf::Archetype => ("Manada archetype", "One kind of virtual user.", "archetype_file"),
    };
    let mut definitions = Map::new();
    for (name, schema) in [
        target::definitions(),
        load::definitions(),
        users::definitions(),
        steps::definitions(),
        responses::definitions(),
        client::definitions(),
        scalars::definitions(),
        vec![("scenario", scenario())],
    ]
    .into_iter()
    .flatten()
    {
        definitions.insert(name.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": about,
        "$ref": format!("#/$defs/{root}"),
        "$defs": definitions,
    })
}

fn scenario() -> Value {
    let mut keys = run();
    keys.extend(client::blocks());
    object("a scenario", &["services", "workloads"], keys)
}

/// The keys of a scenario for the run itself.
fn run() -> Vec<Property> {
    vec![
        ("scenario", "Its name; names the report's folder.", refer("name")),
        ("description", "A sentence for the report.", refer("text")),
        (
            "seed",
            "Everything random follows from it; left out: drawn and printed.",
            json!({ "type": "integer", "minimum": 0, "maximum": (1_u64 << 53) - 1 }),
        ),
        ("services", "Where calls go; the first is the default.", some_of(refer("service"))),
        ("vars", "Variables of every user, set once.", map_of(json!(true))),
        ("setup", "Steps done once before the load.", refer("steps")),
        ("teardown", "Steps done once after the load.", refer("steps")),
        ("archetypes", "Kinds of user, written inline.", named(map_of(refer("archetype")))),
        (
            "include",
            "Files with more archetypes.",
            any_of(vec![refer("fixed"), list_of(refer("fixed"))]),
        ),
        ("workloads", "Who makes how much load, when.", named(some_of(refer("workload")))),
        ("warmup", "What is due before it counts in the ledgers alone.", refer("duration")),
        ("grace", "So long may iterations go on after the end.", refer("duration")),
        ("thresholds", "What good means.", json!({ "type": "array", "items": refer("rule") })),
        ("safety", "Where load may go, and how much.", safety::safety()),
        ("environments", "Changes by name, for -e.", map_of(json!({ "type": "object" }))),
    ]
}
