//! The language as JSON Schema (2020-12), for editors.
//!
//! `cli schema` prints it. `manada check` does what a schema cannot: check that names and files
//! exist and that templates parse.
//! Invariant: the schema refers only to its own definitions.

use serde_json::{Value, json};

use super::render::Definitions;
use crate::scenario::nouns::prices::PRICES;
use crate::scenario::nouns::scenario::SCENARIO;
use crate::scenario::nouns::schedule::SCHEDULE;
use crate::scenario::nouns::users::ARCHETYPE_FILE;

/// The kind of file that a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// A scenario file.
    Scenario,
    /// An archetype file.
    Archetype,
    /// A schedule file.
    Schedule,
    /// A file of prices.
    Prices,
}

/// Returns the whole schema.
pub fn document(of: SchemaOf) -> Value {
    let (title, root) = match of {
        SchemaOf::Scenario => ("Manada scenario", &SCENARIO),
        SchemaOf::Archetype => ("Manada archetype", &ARCHETYPE_FILE),
        SchemaOf::Schedule => ("Manada schedule", &SCHEDULE),
        SchemaOf::Prices => ("Manada prices", &PRICES),
    };
    let mut definitions = Definitions::default();
    let reference = definitions.noun(root);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": root.about,
        "$ref": reference["$ref"],
        "$defs": definitions.found,
    })
}
