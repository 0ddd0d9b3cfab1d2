//! Tests the JSON Schema with an independent validator: it accepts every file that loads, and
//! refuses files of the wrong shape.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use manada::scenario::schema::{SchemaOf, document};
use manada::scenario::{ScenarioOverrides, load};
use serde_json::Value;

/// Files in tests/bad whose mistakes a schema cannot detect, with the reason.
const BEYOND_SCHEMA: [(&str, &str); 50] = [
    ("threshold-cache", "what a rule selects is a name that stands elsewhere"),
    ("threshold-cache-none", "whether there is a cache"),
    ("threshold-cache-metric", "rules are a language of their own"),
    ("sanitize-dropped", "columns that the rules drop are not there"),
    ("no-effect", "which keys an executor uses, and what an archetype may have"),
    ("bad-threshold", "rules are a language of their own"),
    ("broken-inline-used", "which variables are set is known when all steps are read"),
    ("data-columns", "what is in a file"),
    ("environment", "templates are a language, and the environment is elsewhere"),
    ("files-outside", "where a file lies"),
    ("missing-archetype-file", "whether a file is there"),
    ("network-http2", "which services an archetype calls"),
    ("former-names", "a former name beside the new one is a mistake that only the reader reports"),
    ("safety-ceilings", "what a load comes to"),
    ("balance-cookie", "what a name of a cookie may be"),
    ("threshold-backend-none", "whether a service has several addresses"),
    ("threshold-recovery-above", "rules are a language of their own"),
    ("prewarm-lead", "how long a duration is"),
    ("ceilings-connections", "a sum over pools"),
    ("ceilings-streams", "a sum over users with streams"),
    ("safety-denied", "what a request asks for is judged by another part"),
    ("safety-hosts", "which hosts are named where"),
    ("secret-short", "templates are a language, and the environment is elsewhere"),
    ("selectors-miss", "what a rule selects is a name that stands elsewhere"),
    ("service-balance-alone", "how many addresses a service has"),
    ("service-urls-schemes", "what several URLs have in common"),
    ("service-urls-twice", "whether URLs differ"),
    ("service-urls-weights", "whether some backend has a weight"),
    ("threshold-backend", "what a rule selects is a name that stands elsewhere"),
    ("threshold-recovery-alone", "whether a service has `health`"),
    ("threshold-backend-metric", "rules are a language of their own"),
    ("threshold-recovery-over", "rules are a language of their own"),
    ("cache-none", "a name that stands elsewhere"),
    ("shift-hold", "durations are texts: no schema compares them"),
    ("shift-long", "durations are texts: no schema adds them up"),
    ("shift-rule", "rules are a language of their own"),
    ("shift-same", "whether URLs differ"),
    ("shift-service", "a name that stands elsewhere"),
    ("shift-several", "how many addresses a service has"),
    ("shift-steps", "whether shares rise"),
    ("safety-denied-backend", "what a request asks for is judged by another part"),
    ("service-header-variable", "which variables are known where"),
    ("service-tls-file", "what is in a file"),
    ("service-tls-name", "whether a name can be in a certificate"),
    ("template-syntax", "templates are a language of their own"),
    ("undefined-variable", "which variables are set is known when all steps are read"),
    ("request-outside-headers", "what an expression may read depends on where it stands"),
    ("unknown-archetype", "archetypes stand elsewhere, and in files"),
    ("unknown-service", "services stand elsewhere"),
    ("warmup-too-long", "durations are texts: no schema adds them up"),
];

fn validator(of: SchemaOf) -> Validator {
    let schema = document(of);
    jsonschema::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Collects all patterns of a schema.
fn patterns(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(pattern)) = entries.get("pattern") {
                found.push(pattern.clone());
            }
            entries.values().for_each(|inner| patterns(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| patterns(inner, found)),
        _ => {}
    }
}

/// All validators read the patterns alike: Python's `re`, JavaScript with and without its `u`
/// flag, and RE2. So they have no Unicode property classes, no special groups, and only ASCII
/// escapes.
#[test]
fn patterns_are_read_by_every_validator() {
    let mut found = Vec::new();
    [SchemaOf::Scenario, SchemaOf::Archetype, SchemaOf::Schedule, SchemaOf::Prices]
        .into_iter()
        .for_each(|of| patterns(&document(of), &mut found));
    assert!(found.len() > 20, "{found:?}");
    for pattern in found {
        for unknown in ["\\p", "\\P", "(?", "\\u", "\\A", "\\Z", "\\z", "[[:", "&&", "\\h", "\\R"] {
            assert!(!pattern.contains(unknown), "`{unknown}` in {pattern}");
        }
    }
}

/// Reads YAML as JSON, as an editor does; `None` if it is not YAML.
fn json(text: &str) -> Option<Value> {
    serde_saphyr::from_str(text).ok()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files
}

fn mistakes(validator: &Validator, text: &str) -> Vec<String> {
    let value = json(text).unwrap();
    validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn schema_accepts_every_file_that_loads() {
    let (scenario, archetype) = (validator(SchemaOf::Scenario), validator(SchemaOf::Archetype));
    let mut wrong = Vec::new();
    let mut check = |validator: &Validator, path: &Path, text: &str| {
        let found = mistakes(validator, text);
        wrong.extend(found.into_iter().map(|found| format!("{}: {found}", path.display())));
    };
    for path in files("scenarios").into_iter().chain(files("tests/language")) {
        load(&path, &ScenarioOverrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        check(&scenario, &path, &std::fs::read_to_string(&path).unwrap());
    }
    for path in files("archetypes").into_iter().chain(files("tests/language/archetypes")) {
        check(&archetype, &path, &std::fs::read_to_string(&path).unwrap());
    }
    for path in files("tests/sim") {
        let world = json(&std::fs::read_to_string(&path).unwrap()).unwrap();
        check(&scenario, &path, world["scenario"].as_str().unwrap());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[cfg(feature = "schedule")]
#[test]
fn schema_of_schedules_agrees_with_their_reader() {
    let schedule = validator(SchemaOf::Schedule);
    for path in files("tests/language/schedules") {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_schedule = manada::scenario::is_schedule(&path);
        let found = mistakes(&schedule, &text);
        assert_eq!(found.is_empty(), is_schedule, "{}: {found:?}", path.display());
        let context = manada::scenario::ScheduleContext::of_file_alone(0);
        assert_eq!(manada::scenario::load_schedule(&path, context).is_ok(), is_schedule);
    }
    for name in ["file", "jobs", "lock", "empty"] {
        let path = Path::new("tests/bad/schedules").join(name).with_extension("yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!mistakes(&schedule, &text).is_empty(), "{name}");
    }
}

#[test]
fn schema_of_prices_agrees_with_their_reader() {
    use manada::scenario::prices::{is_prices, load_prices};
    let prices = validator(SchemaOf::Prices);
    let valid = files("tests/language/prices");
    assert!(!valid.is_empty());
    for path in valid {
        let text = std::fs::read_to_string(&path).unwrap();
        let found = mistakes(&prices, &text);
        assert!(found.is_empty() && is_prices(&path), "{}: {found:?}", path.display());
        load_prices(&path).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
    for path in files("tests/bad/prices") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!mistakes(&prices, &text).is_empty(), "{}", path.display());
        assert!(is_prices(&path), "{}", path.display());
    }
    for path in files("scenarios").into_iter().chain(files("tests/language/schedules")) {
        assert!(!is_prices(&path), "{}", path.display());
    }
}

#[test]
fn schema_refuses_wrong_shapes_and_accepts_warnings() {
    let scenario = validator(SchemaOf::Scenario);
    let mut differ = Vec::new();
    for path in files("tests/bad") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let Some(value) = json(&text) else { continue };
        let accepted = scenario.is_valid(&value);
        let loads = load(&path, &ScenarioOverrides::default()).is_ok();
        let beyond = BEYOND_SCHEMA.iter().any(|(known, _)| *known == name);
        if accepted != (loads || beyond) {
            differ.push(format!("{name}: accepted {accepted}, loads {loads}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    for (name, _) in BEYOND_SCHEMA {
        assert!(Path::new("tests/bad").join(format!("{name}.yaml")).is_file(), "{name}");
    }
}
