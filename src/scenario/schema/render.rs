//! Renders field tables as JSON Schema.
//!
//! `document` calls it with the root of a file.
//! Invariant: a map of a noun allows no other keys than those of its table.

use serde_json::{Map, Value, json};

use super::scalars::{self, ENDPOINTS, scalar};
use crate::scenario::nouns::noun::{
    KeyRule, KeySpec, MapKeys, MapShape, Noun, SharedShape, ValueShape,
};
use crate::scenario::nouns::steps::STEPS;

/// The definitions that the rendered schemas refer to.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) found: Map<String, Value>,
}

impl Definitions {
    /// Returns a reference to a noun, and adds its definition.
    pub(super) fn noun(&mut self, noun: &'static Noun) -> Value {
        self.refer(noun.id, |definitions| definitions.table(noun))
    }

    /// Returns a reference to a definition; `make` makes it at first use.
    fn refer(&mut self, id: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.found.contains_key(id) {
            // A definition may refer to itself while it is made.
            self.found.insert(id.to_owned(), Value::Null);
            let made = make(self);
            self.found.insert(id.to_owned(), made);
        }
        json!({ "$ref": format!("#/$defs/{id}") })
    }

    fn table(&mut self, noun: &'static Noun) -> Value {
        let mut properties = Map::new();
        for spec in noun.keys() {
            let mut schema = self.shape(&spec.shape);
            if let Some(former) = spec.former {
                let mut schema = schema.clone();
                schema["deprecated"] = true.into();
                schema["description"] = format!("Former name of `{}`.", spec.name).into();
                properties.insert(former.to_owned(), schema);
            }
            schema["description"] = description(spec).into();
            properties.insert(spec.name.to_owned(), schema);
        }
        let required: Vec<&str> =
            noun.keys().filter(|spec| spec.needs.is_some()).map(|spec| spec.name).collect();
        let mut schema = json!({
            "title": noun.title,
            "description": noun.about,
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        });
        let rules: Vec<Value> = noun.rules.iter().map(rule).collect();
        if !rules.is_empty() {
            schema["allOf"] = rules.into();
        }
        schema
    }

    fn shape(&mut self, shape: &'static ValueShape) -> Value {
        if let Some((id, schema)) = scalar(shape) {
            return self.refer(id, |_| schema);
        }
        match shape {
            ValueShape::Truth => json!({ "type": "boolean" }),
            ValueShape::Constant(value) => json!({ "const": value }),
            ValueShape::Null => json!({ "type": "null" }),
            ValueShape::Any => json!({}),
            ValueShape::AnyMap => json!({ "type": "object" }),
            ValueShape::Count(low, high) => {
                json!({ "type": "integer", "minimum": low, "maximum": high })
            }
            ValueShape::Number(low, high) => {
                json!({ "type": "number", "minimum": low, "maximum": high })
            }
            ValueShape::Matching(pattern, _) => json!({ "type": "string", "pattern": pattern }),
            ValueShape::Words(words) => json!({ "enum": words }),
            ValueShape::Numbers(numbers) => json!({ "enum": numbers }),
            ValueShape::Table(noun) => self.noun(noun),
            ValueShape::Shared(shared) => self.shared(shared),
            ValueShape::StepList => self.shared(&STEPS),
            ValueShape::List(min, max, items) => {
                let items = self.shape(items);
                let mut list = json!({ "type": "array", "items": items });
                bound(&mut list, "Items", *min, *max);
                list
            }
            ValueShape::Map(map) => self.map(map),
            ValueShape::OneOf(shapes) => {
                let shapes: Vec<Value> = shapes.iter().map(|shape| self.shape(shape)).collect();
                json!({ "anyOf": shapes })
            }
            ValueShape::IfKey(key, with, without) => {
                let (with, without) = (self.shape(with), self.shape(without));
                json!({
                    "if": { "type": "object", "required": [key] },
                    "then": with,
                    "else": without,
                })
            }
            _ => unreachable!("{shape:?} is a scalar with a definition"),
        }
    }

    fn shared(&mut self, shared: &'static SharedShape) -> Value {
        self.refer(shared.id, |definitions| definitions.shape(&shared.shape))
    }

    fn map(&mut self, map: &'static MapShape) -> Value {
        let values = self.shape(map.values);
        let mut schema = json!({ "type": "object", "additionalProperties": values });
        bound(&mut schema, "Properties", map.min, map.max);
        let keys = match map.keys {
            MapKeys::Any => return schema,
            MapKeys::Names => self.refer("name", |_| scalars::name()),
            MapKeys::Paths => json!({ "type": "string", "pattern": "^\\$" }),
            MapKeys::Patterns => json!({ "type": "string", "pattern": ENDPOINTS }),
        };
        schema["propertyNames"] = keys;
        schema
    }
}

/// Bounds the number of items or properties.
fn bound(schema: &mut Value, of: &str, min: usize, max: Option<usize>) {
    if min > 0 {
        schema[format!("min{of}")] = min.into();
    }
    if let Some(max) = max {
        schema[format!("max{of}")] = max.into();
    }
}

/// Returns what an editor shows for a key.
fn description(spec: &KeySpec) -> String {
    match (spec.default, spec.otherwise) {
        (Some(default), _) => format!("{} Default: {default}.", spec.about),
        (None, "") => spec.about.to_owned(),
        (None, otherwise) => format!("{} Default: {otherwise}.", spec.about),
    }
}

fn rule(rule: &KeyRule) -> Value {
    let required = |key: &&str| json!({ "required": [key] });
    let each = |keys: &[&str]| keys.iter().map(required).collect::<Vec<Value>>();
    match rule {
        KeyRule::ExactlyOne(keys) => json!({ "oneOf": each(keys) }),
        KeyRule::AtMostOne(keys) => {
            let mut pairs = Vec::new();
            for (at, first) in keys.iter().enumerate() {
                pairs.extend(
                    keys[at + 1..].iter().map(|second| json!({ "required": [first, second] })),
                );
            }
            json!({ "not": { "anyOf": pairs } })
        }
        KeyRule::AtLeastOne => json!({ "minProperties": 1 }),
        KeyRule::Needs(key, other) => json!({ "dependentRequired": { *key: [other] } }),
        KeyRule::Excludes(key, others) => {
            let pairs: Vec<Value> =
                others.iter().map(|other| json!({ "required": [key, other] })).collect();
            json!({ "not": { "anyOf": pairs } })
        }
        KeyRule::ConstantRateEnds => json!({
            "if": {
                "type": "object",
                "required": ["arrivals"],
                "properties": { "arrivals": {
                    "type": "object",
                    "required": ["rate"],
                    "properties": { "rate": { "type": "string" } },
                } },
            },
            "then": { "anyOf": each(&["duration", "iterations"]) },
        }),
    }
}
