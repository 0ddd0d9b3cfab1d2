//! Builds the parts of a schema.
//!
//! All submodules of `schema` call it.
//! Invariant: an object allows no other keys than the listed ones.

use serde_json::{Map, Value, json};

use crate::scenario::syntax::fields::former_name;

/// A named definition.
pub(crate) type Definition = (&'static str, Value);

/// A key of an object: its name, its description, its schema.
pub(crate) type Property = (&'static str, &'static str, Value);

/// A map with these keys and no others; `title` is its reader's name for it.
pub(crate) fn object(title: &str, needs: &[&str], keys: Vec<Property>) -> Value {
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
pub(crate) fn map_of(schema: Value) -> Value {
    keyed(json!({ "type": "object" }), "additionalProperties", schema)
}

/// A map with user-defined keys and at least one entry.
pub(crate) fn some_of(schema: Value) -> Value {
    keyed(map_of(schema), "minProperties", 1.into())
}

/// Restricts the keys of a map to valid names.
pub(crate) fn named(mut map: Value) -> Value {
    map["propertyNames"] = refer("name");
    map
}

pub(crate) fn list_of(schema: Value) -> Value {
    keyed(json!({ "type": "array", "minItems": 1 }), "items", schema)
}

pub(crate) fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

pub(crate) fn any_of(schemas: Vec<Value>) -> Value {
    keyed(json!({}), "anyOf", schemas.into())
}

pub(crate) fn keyed(mut schema: Value, key: &str, value: Value) -> Value {
    schema[key] = value;
    schema
}

/// Requires exactly one of these keys.
pub(crate) fn exactly_one(mut schema: Value, keys: &[&str]) -> Value {
    let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    schema["oneOf"] = each.into();
    schema
}

/// Forbids two of these keys together.
pub(crate) fn at_most_one(mut schema: Value, keys: &[&str]) -> Value {
    let mut pairs = Vec::new();
    for (at, first) in keys.iter().enumerate() {
        for second in &keys[at + 1..] {
            pairs.push(json!({ "required": [first, second] }));
        }
    }
    schema["not"] = json!({ "anyOf": pairs });
    schema
}
