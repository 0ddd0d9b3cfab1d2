//! Scenarios compiled from a bundle, in a place that has none of their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ScenarioOverrides, load};
use crate::event::link::manifest_hash;
use crate::files::{Bundle, FileRecorder, FileRole, Files, VariableCheck};
use crate::plan::Plan;
use crate::seed::Seed;
use crate::template::recording_variables;

fn compiled(path: &Path, source: Files) -> Result<Plan, String> {
    let safety = source.limits(|| None);
    let overrides = ScenarioOverrides {
        source,
        safety,
        seed: Seed::new(7),
        once: true,
        ..ScenarioOverrides::default()
    };
    let (mut plan, _) = load(path, &overrides).map_err(|mistakes| mistakes.render(false))?;
    plan.run_id = "run".to_owned();
    Ok(plan)
}

/// Compiles a scenario of a folder from disk; then its folder is moved away, and it is compiled
/// from the bundle. Returns both plans.
fn twice(folder: &Path, name: &str) -> (Plan, Plan, Bundle) {
    let path = folder.join(name);
    let recorder = FileRecorder::default();
    let (plan, variables) = recording_variables(|| compiled(&path, recorder.files()).unwrap());
    let variables = variables.into_keys().map(|name| (name, VariableCheck::Set)).collect();
    let bundle = recorder.bundle(variables).unwrap();
    let bundle = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    let away = folder.with_extension("away");
    fs::rename(folder, &away).unwrap();
    let again = compiled(&path, Files::unpack(&bundle, &[]).unwrap());
    fs::rename(&away, folder).unwrap();
    (plan, again.unwrap(), bundle)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn folders_of_scenarios() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    vec![root.join("scenarios"), root.join("tests/language")]
}

#[test]
fn every_shipped_scenario_is_the_same_plan_from_its_bundle() {
    let place = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (number, folder) in folders_of_scenarios().iter().enumerate() {
        let own = place.path().join(format!("{number}"));
        copy(folder, &own);
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_str().unwrap().to_owned());
        for name in names.filter(|name| Path::new(name).extension() == Some("yaml".as_ref())) {
            let (plan, again, bundle) = twice(&own, &name);
            assert_eq!(manifest_hash(&plan.manifest()), manifest_hash(&again.manifest()), "{name}");
            // The manifest has neither flows nor rows; their debug form has.
            assert_eq!(format!("{:#?}", plan.archetypes), format!("{:#?}", again.archetypes));
            assert!(bundle.manifest.files.iter().any(|file| file.path.ends_with(&name)));
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn every_kind_of_file_is_in_the_bundle() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("plan");
    fs::create_dir_all(folder.join("archetypes/parts")).unwrap();
    let certificate = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "main.yaml",
        "include: shared.yaml
services:
  shop: { url: https://a.test, tls: { ca: ca.pem } }
  slow: { builtin: { latency: 'empirical:FOLDER/times.csv,took' } }
workloads:
  one: { archetypes: { buyer: 1 }, users: 1, duration: 1s }
  two: { archetypes: { guest: 1 }, users: 1, duration: 1s }
"
        .replace("FOLDER", folder.to_str().unwrap())
        .as_str(),
    );
    write("shared.yaml", "archetypes: { guest: { flow: [ { get: /, service: slow } ] } }\n");
    write(
        "archetypes/buyer.yaml",
        "archetype: buyer
data: { row: { csv: ../rows.csv }, line: { json: lines.json } }
flow:
  - include: parts/steps.yaml
  - { post: /a, service: shop, file: ../body.bin, headers: { x: '{{ env(\"CARGO_PKG_NAME\") }}' } }
  - pause: { empirical: { csv: times.csv, column: took } }
",
    );
    write(
        "archetypes/parts/steps.yaml",
        "- { get: '/{{ row.id }}/{{ line.id }}', service: shop }\n",
    );
    // 5 MB.
    let rows: Vec<String> = (0..500_000).map(|row| format!("{row:09}")).collect();
    write("rows.csv", &format!("id\n{}\n", rows.join("\n")));
    write("archetypes/lines.json", "{\"id\":1}\n");
    write("times.csv", "took\n5ms\n7ms\n");
    write("body.bin", "a body");
    write("ca.pem", &certificate.cert.pem());
    let (plan, again, bundle) = twice(&folder, "main.yaml");
    assert_eq!(manifest_hash(&plan.manifest()), manifest_hash(&again.manifest()));
    assert_eq!(format!("{:?}", plan.services), format!("{:?}", again.services));
    assert_eq!(format!("{:?}", plan.archetypes), format!("{:?}", again.archetypes));
    let of = |role: FileRole| {
        let files = bundle.manifest.files.iter().filter(|file| file.role == role);
        let names = files.map(|file| Path::new(&file.path).file_name().unwrap().to_str().unwrap());
        names.map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(FileRole::Scenario), "buyer.yaml steps.yaml main.yaml shared.yaml");
    assert_eq!(of(FileRole::Data), "rows.csv lines.json");
    assert_eq!(of(FileRole::Body), "body.bin");
    assert_eq!(of(FileRole::Distribution), "times.csv");
    assert_eq!(of(FileRole::Certificates), "ca.pem");
    let variables: Vec<_> = bundle.manifest.variables.keys().map(String::as_str).collect();
    assert_eq!(variables, ["CARGO_PKG_NAME"]);
    let rows = |plan: &Plan| plan.archetypes.iter().map(|one| one.data.len()).sum::<usize>();
    assert_eq!((rows(&plan), rows(&again)), (2, 2));
}

#[test]
fn a_file_that_was_not_sent_is_a_mistake_with_its_place() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("main.yaml");
    let text = |include: &str| {
        format!(
            "services: {{ shop: http://127.0.0.1:1 }}\n\
             workloads: {{ a: {{ archetypes: {{ u: 1 }}, users: 1, duration: 1s }} }}\n\
             archetypes:\n  u:\n    flow:\n      - {{ get: / }}\n{include}"
        )
    };
    fs::write(&path, text("")).unwrap();
    fs::write(place.path().join("steps.yaml"), "- { get: /b }\n").unwrap();
    let recorder = FileRecorder::default();
    compiled(&path, recorder.files()).unwrap();
    // The same path, but the scenario names another file, which is on this disk.
    fs::write(&path, text("      - include: steps.yaml\n")).unwrap();
    let other = FileRecorder::default();
    drop(other.files().open(&path, FileRole::Scenario).unwrap());
    let files = Files::unpack(&other.bundle(BTreeMap::new()).unwrap(), &[]).unwrap();
    let why = compiled(&path, files).unwrap_err();
    assert!(why.contains("main.yaml:7:18"), "{why}");
    assert!(why.contains("file `steps.yaml` not found"), "{why}");
    assert!(why.contains("the coordinator sent no"), "{why}");
    fs::write(&path, text("")).unwrap();
    let missing = Files::unpack(&recorder.bundle(BTreeMap::new()).unwrap(), &[]).unwrap();
    let why = compiled(Path::new("elsewhere.yaml"), missing).unwrap_err();
    assert!(why.contains("elsewhere.yaml") && why.contains("sent no"), "{why}");
}

#[test]
fn the_limits_of_the_user_of_the_coordinator_hold() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("main.yaml");
    let limits = place.path().join("limits.yaml");
    fs::copy(folders_of_scenarios()[0].join("quickstart.yaml"), &path).unwrap();
    fs::write(&limits, "max_users: 999\n").unwrap();
    let recorder = FileRecorder::default();
    let overrides = ScenarioOverrides {
        source: recorder.files(),
        safety: Some(limits.clone()),
        once: true,
        ..ScenarioOverrides::default()
    };
    load(&path, &overrides).unwrap();
    let files = Files::unpack(&recorder.bundle(BTreeMap::new()).unwrap(), &[]).unwrap();
    assert_eq!(files.limits(|| None), Some(limits));
    assert_eq!(compiled(&path, files).unwrap().safety.max_users.as_ref().unwrap().0, 999);
}
