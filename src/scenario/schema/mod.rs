//! The language as JSON Schema (2020-12), for editors.
//!
//! `cli schema` prints it; each submodule describes a part. `manada check` does what a schema
//! cannot: check that names and files exist and that templates parse.
//! Invariant: an object's title is its reader's name for it, and its keys are those that its
//! reader reads; `tests` compares them.

mod answers;
mod client;
mod load;
mod safety;
mod scalars;
mod steps;
mod target;
#[cfg(test)]
mod tests;
mod users;

use super::fields::former_name;
use serde_json::{Map, Value, json};

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
        answers::definitions(),
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

/// A named definition.
type Definition = (&'static str, Value);

/// A key of an object: its name, its description, its schema.
type Property = (&'static str, &'static str, Value);

/// A map with these keys and no others; `title` is its reader's name for it.
fn object(title: &str, needs: &[&str], keys: Vec<Property>) -> Value {
    let mut properties = Map::new();
    for (name, about, mut schema) in keys {
        if let (Value::Object(schema), false) = (&mut schema, about.is_empty()) {
            schema.insert("description".to_owned(), about.into());
        }
        if let Some(former) = former_name(name) {
            let mut schema = keyed(schema.clone(), "deprecated", true.into());
            schema["description"] = format!("Former name of `{name}`.").into();
            properties.insert(former.to_owned(), schema);
        }
        properties.insert(name.to_owned(), schema);
    }
    json!({
        "title": title,
        "type": "object",
        "required": needs,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A map with user-defined keys.
fn map_of(schema: Value) -> Value {
    keyed(json!({ "type": "object" }), "additionalProperties", schema)
}

/// A map with user-defined keys and at least one entry.
fn some_of(schema: Value) -> Value {
    keyed(map_of(schema), "minProperties", 1.into())
}

/// Restricts the keys of a map to valid names.
fn named(mut map: Value) -> Value {
    map["propertyNames"] = refer("name");
    map
}

fn list_of(schema: Value) -> Value {
    keyed(json!({ "type": "array", "minItems": 1 }), "items", schema)
}

fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn any_of(schemas: Vec<Value>) -> Value {
    keyed(json!({}), "anyOf", schemas.into())
}

fn keyed(mut schema: Value, key: &str, value: Value) -> Value {
    schema[key] = value;
    schema
}

/// Requires exactly one of these keys.
fn exactly_one(mut schema: Value, keys: &[&str]) -> Value {
    let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    schema["oneOf"] = each.into();
    schema
}

/// Forbids two of these keys together.
fn at_most_one(mut schema: Value, keys: &[&str]) -> Value {
    let mut pairs = Vec::new();
    for (at, first) in keys.iter().enumerate() {
        for second in &keys[at + 1..] {
            pairs.push(json!({ "required": [first, second] }));
        }
    }
    schema["not"] = json!({ "anyOf": pairs });
    schema
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
