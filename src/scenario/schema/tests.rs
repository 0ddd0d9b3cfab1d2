//! The schema has exactly the keys that readers read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{SchemaOf, document};
use crate::scenario::flow::kinds::KINDS;
use crate::scenario::syntax::fields::read_keys;
use crate::scenario::{ScenarioOverrides, load};

type Keys = BTreeMap<String, BTreeSet<String>>;

/// Collects the keys of every titled object.
fn titled(schema: &Value, found: &mut Keys) {
    match schema {
        Value::Object(entries) => {
            if let (Some(Value::String(title)), Some(Value::Object(properties))) =
                (entries.get("title"), entries.get("properties"))
            {
                let current = properties.iter().filter(|(_, schema)| schema["deprecated"] != true);
                let keys = current.map(|(key, _)| key.clone());
                found.entry(title.clone()).or_default().extend(keys);
            }
            entries.values().for_each(|schema| titled(schema, found));
        }
        Value::Array(items) => items.iter().for_each(|schema| titled(schema, found)),
        _ => {}
    }
}

/// Loads all simulation worlds, shipped scenarios, and files with mistakes.
fn read_all() -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["tests/sim", "tests/bad", "tests/language", "scenarios"] {
        for entry in std::fs::read_dir(root.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let world = text.split_once("\nscenario: |\n").map(|(_, rest)| {
                let lines =
                    rest.lines().take_while(|line| line.starts_with("  ") || line.is_empty());
                lines.map(|line| line.get(2..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
            });
            let _ = match world {
                Some(world) => {
                    let file = folder.path().join("world.yaml");
                    std::fs::write(&file, world).unwrap();
                    load(&file, &ScenarioOverrides::default())
                }
                None => load(&path, &ScenarioOverrides::default()),
            };
        }
    }
    read_keys()
}

#[test]
fn schema_has_exactly_the_keys_that_readers_read() {
    let mut described = Keys::new();
    titled(&document(SchemaOf::Scenario), &mut described);
    let mut read = read_all();
    // The scenario's own `setup` is read like an archetype.
    read.remove("a part of the scenario");
    // These keys are only read so that a misspelt one gets a suggestion; they have their own
    // steps.
    if let Some(keys) = read.get_mut("a step") {
        keys.retain(|key| key != "include" && !KINDS.iter().any(|(kind, _)| kind == key));
    }
    let mut differ = Vec::new();
    for title in read.keys().chain(described.keys()).collect::<BTreeSet<_>>() {
        let of = |keys: &Keys| keys.get(title).cloned().unwrap_or_default();
        let (read, described) = (of(&read), of(&described));
        let more: Vec<&String> = read.difference(&described).collect();
        let fewer: Vec<&String> = described.difference(&read).collect();
        if !more.is_empty() || !fewer.is_empty() {
            differ.push(format!("{title}: not described {more:?}, never asked for {fewer:?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
