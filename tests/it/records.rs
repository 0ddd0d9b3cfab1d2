//! Records that earlier versions of the program wrote: each is read, and gives the summary that was
//! written with it.
//!
//! A folder of `tests/records` holds the scenario, its `run.record` and its `summary.json`. A new
//! version of the format adds a folder; values that a summary gains are no difference.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::MANADA;

/// Whether a value is a sentence for people, whose words may change: a hint, or a text that has its
/// data beside it.
fn is_sentence(key: &str, object: &serde_json::Map<String, Value>) -> bool {
    let has = |data: &str| object.get(data).is_some_and(|data| !data.is_null());
    match key {
        "hint" => true,
        "change" => has("to"),
        "cause" => has("cause_data"),
        _ => false,
    }
}

/// Where a value of `old` is missing or other in `new`; sentences are left out.
fn difference(old: &Value, new: &Value, place: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(key, value)| {
            if is_sentence(key, new) {
                return None;
            }
            let place = format!("{place}.{key}");
            match new.get(key) {
                Some(new) => difference(value, new, &place),
                None => Some(format!("{place} is missing")),
            }
        }),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let mut pairs = old.iter().zip(new).enumerate();
            pairs.find_map(|(at, (old, new))| difference(old, new, &format!("{place}[{at}]")))
        }
        _ if old == new => None,
        _ => Some(format!("{place} was {old}, is {new}")),
    }
}

#[test]
fn record_of_each_version_gives_the_summary_that_was_written_with_it() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let mut versions = 0;
    for folder in std::fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path()) {
        let output =
            Command::new(MANADA).arg("report").arg(&folder).arg("--json").output().unwrap();
        let (place, error) = (folder.display(), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{place}: {error}");
        let new: Value = serde_json::from_slice(&output.stdout).unwrap();
        let old = std::fs::read(folder.join("summary.json")).unwrap();
        let old: Value = serde_json::from_slice(&old).unwrap();
        assert_eq!(difference(&old, &new, "summary"), None, "{place}");
        versions += 1;
    }
    assert!(versions > 0, "no record was read");
}

#[test]
fn difference_names_the_place() {
    let old = serde_json::json!({ "a": [1, { "b": 2 }] });
    let more = serde_json::json!({ "a": [1, { "b": 2, "c": 3 }] });
    let other = serde_json::json!({ "a": [1, { "b": 3 }] });
    assert_eq!(difference(&old, &more, "s"), None);
    assert_eq!(difference(&old, &other, "s").unwrap(), "s.a[1].b was 2, is 3");
    assert_eq!(difference(&more, &old, "s").unwrap(), "s.a[1].c is missing");
}
