//! The field tables: each key is read, stands once, and has the default that it says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::places::PLACES;
use super::reference::{nouns, reference};
use crate::scenario::nouns::plain_steps::INCLUDE;
use crate::scenario::prices::load_prices;
use crate::scenario::syntax::fields::read_keys;
use crate::scenario::{ScenarioOverrides, ScheduleContext, load, load_schedule};
use crate::seed::Seed;

/// Loads all simulations, shipped scenarios, and files with mistakes.
fn load_all() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schedules = ["tests/bad/schedules", "tests/language/schedules"];
    let prices = ["tests/bad/prices", "tests/language/prices"];
    let scenarios = ["tests/sim", "tests/bad", "tests/language", "scenarios"];
    for part in scenarios.into_iter().chain(schedules).chain(prices) {
        for entry in std::fs::read_dir(root.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let simulated = text.split_once("\nscenario: |\n").map(|(_, rest)| {
                let lines =
                    rest.lines().take_while(|line| line.starts_with("  ") || line.is_empty());
                lines.map(|line| line.get(2..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
            });
            let path = match simulated {
                Some(scenario) => {
                    let file = folder.path().join("scenario.yaml");
                    std::fs::write(&file, scenario).unwrap();
                    file
                }
                None => path,
            };
            if schedules.contains(&part) {
                let _ = load_schedule(&path, ScheduleContext::of_file_alone(0));
            } else if prices.contains(&part) {
                let _ = load_prices(&path);
            } else {
                let _ = load(&path, &ScenarioOverrides::default());
            }
        }
    }
}

#[test]
fn each_key_of_a_field_table_is_read() {
    load_all();
    let read = read_keys();
    // Includes are expanded before steps are read.
    let tables = nouns().into_iter().filter(|noun| noun.id != INCLUDE.id);
    let keys = tables.flat_map(|noun| noun.keys().map(|spec| (noun.id, spec.name)));
    let unread: Vec<(&str, &str)> = keys.filter(|key| !read.contains(key)).collect();
    assert!(unread.is_empty(), "no reader, or no file in the tests, reads {unread:?}");
}

#[test]
fn names_of_nouns_and_keys_are_unique_and_described() {
    let (mut ids, mut wrong) = (BTreeSet::new(), Vec::new());
    for noun in nouns() {
        if !ids.insert(noun.id) {
            wrong.push(format!("two nouns are called {}", noun.id));
        }
        let mut names = BTreeSet::new();
        for spec in noun.keys() {
            if !names.insert(spec.name) || spec.former.is_some_and(|name| !names.insert(name)) {
                wrong.push(format!("{} has `{}` twice", noun.id, spec.name));
            }
            if !spec.about.ends_with('.') || spec.needs.is_some_and(str::is_empty) {
                wrong.push(format!("`{}` of {} is not described", spec.name, noun.id));
            }
            if spec.default.is_some() && !spec.otherwise.is_empty() {
                wrong.push(format!("`{}` of {} has two defaults", spec.name, noun.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compiles a scenario with these keys in a noun's place; returns the plan as text.
fn plan_with(file: &PathBuf, place: &str, keys: &str) -> Result<String, String> {
    let text = match keys {
        "" => place.replace("KEYS, ", "").replace(", KEYS", "").replace("KEYS", ""),
        keys => place.replace("KEYS", keys),
    };
    let text = text
        .replace("SERVICES", "{ s: builtin }")
        .replace("MQTT", "{ iot: 'mqtt://127.0.0.1' }")
        .replace("AMQP", "{ bus: 'amqp://127.0.0.1' }")
        .replace("KAFKA", "{ log: 'kafka://127.0.0.1' }")
        .replace("WORKLOAD", "{ users: 1, flow: FLOW }")
        .replace("FLOW", "[ { get: / } ]");
    if text.starts_with("schedule:") {
        let text = text.replace("JOB", "{ scenario: schedule.yaml, every: 1m }");
        let file = file.with_file_name("schedule.yaml");
        std::fs::write(&file, format!("{{ {text} }}")).unwrap();
        let read = load_schedule(&file, ScheduleContext::of_file_alone(0));
        let read = read.map_err(|mistakes| mistakes.to_string())?;
        return Ok(format!("{read:?}"));
    }
    std::fs::write(file, format!("{{ {text} }}")).unwrap();
    if text.starts_with("prices:") {
        let read = load_prices(file).map_err(|mistakes| mistakes.to_string())?;
        return Ok(format!("{read:?}"));
    }
    let overrides = ScenarioOverrides { seed: Seed::new(1), ..ScenarioOverrides::default() };
    let (plan, _) = load(file, &overrides).map_err(|mistakes| mistakes.to_string())?;
    let plan = crate::plan::Plan { run_id: String::new(), sources: Vec::new(), ..plan };
    Ok(format!("{plan:?}"))
}

/// A default is a fact about the reader: a scenario that writes it compiles to the same plan as
/// one that leaves the key out.
#[test]
fn defaults_are_those_of_the_readers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    let descriptors = include_bytes!("../../../tests/language/set.pb");
    std::fs::write(folder.path().join("set.pb"), descriptors).unwrap();
    let mut wrong = Vec::new();
    for noun in nouns() {
        let places = PLACES.iter().filter(|(id, _)| *id == noun.id).map(|(_, place)| *place);
        for spec in noun.keys() {
            let Some(default) = spec.default else { continue };
            let key = format!("{}: {default}", spec.name);
            let plans = places.clone().filter_map(|place| {
                let with = plan_with(&file, place, &key).ok()?;
                Some(plan_with(&file, place, "").unwrap() == with)
            });
            let equal: Vec<bool> = plans.collect();
            let is_known = !equal.is_empty() || WITHOUT_PLACE.contains(&noun.id);
            if !is_known || equal.contains(&false) {
                wrong.push(format!(
                    "`{default}` is not the default of `{}` of {}",
                    spec.name, noun.id
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nouns whose keys are those of another one.
const WITHOUT_PLACE: [&str; 3] = ["archetype_file", "archetype", "branch"];

/// Set `MANADA_BLESS=1` to write the page.
#[test]
fn reference_page_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let page = reference();
    if std::env::var_os("MANADA_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/reference.md is old: run the tests with MANADA_BLESS=1");
}
