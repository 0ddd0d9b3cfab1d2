//! Scenarios that load, what they become, and that no text can make the loader panic.
use super::*;

fn load_text(text: &str) -> Result<(Plan, Vec<Warning>), Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path, &Overrides::default())
}

#[test]
fn the_shipped_scenario_loads() {
    let (plan, warnings) = load(Path::new("scenarios/quickstart.yaml"), &Overrides::default())
        .unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(warnings, []);
    assert_eq!(plan.steps.len(), 4 + 5 + 5);
    let _ = load_text("a: b").unwrap_err();
}
