//! `manada dashboards`: goldens, which Prometheus' own tools, the schema of Compose and the rules
//! of Grafana accept; alerts of synthetic series and of a real run; what is refused.
//!
//! Invariant: what the tools check is the text that the command wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::Manada;
use crate::prometheus::Prometheus;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/dashboards")
}

/// The scenarios: name of the folder of their goldens, file, and words.
const SCENARIOS: [(&str, &str, &[&str]); 2] =
    [("shop", "shop.yaml", &[]), ("chat-native", "chat.yaml", &["--native"])];

/// The files that the command writes for a scenario.
fn generated(scenario: &str, words: &[&str]) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(scenario)).unwrap();
    let manada = Manada::new(&["dashboards", scenario, "-o", "out"]).words(words);
    let manada = manada.file(scenario, text);
    let folder = manada.path("out");
    let done = manada.go();
    assert_eq!(done.code, Some(0), "{done}");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), std::fs::read_to_string(entry.path()).unwrap())).collect()
}

/// Set `MANADA_BLESS=1` to write them.
#[test]
fn files_are_those_of_the_goldens() {
    for (name, scenario, words) in SCENARIOS {
        let (folder, files) = (root().join(name), generated(scenario, words));
        if std::env::var_os("MANADA_BLESS").is_some() {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, text) in &files {
                std::fs::write(folder.join(file), text).unwrap();
            }
        }
        let known = std::fs::read_dir(&folder).unwrap();
        let known: BTreeSet<String> =
            known.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files.keys().cloned().collect::<BTreeSet<_>>(), known, "{name}");
        for (file, text) in &files {
            let golden = std::fs::read_to_string(folder.join(file)).unwrap();
            assert_eq!(*text, golden, "{name}/{file}: MANADA_BLESS=1 writes it");
        }
    }
}

fn promtool(words: &[&str], file: &Path) -> String {
    let done = Command::new("promtool").args(words).arg(file).output();
    let done = done.expect("this test needs promtool, which is in Debian's prometheus");
    let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
    text.into_owned()
}

#[test]
fn promtool_accepts_rules_and_configuration() {
    for (name, ..) in SCENARIOS {
        let checked = promtool(&["check", "config"], &root().join(name).join("prometheus.yml"));
        assert!(checked.contains("1 rule files found"), "{checked}");
        promtool(&["check", "rules"], &root().join(name).join("rules.yml"));
    }
}

/// Series of a run of 40 s, as an entry of a test of `promtool`.
const SERIES: &str = include_str!("../dashboards/series.yml");

/// Thresholds by number: when the alert must be quiet, and when it must fire, s.
const ALERTS: [(usize, &[u32], &[u32]); 8] = [
    // p95 at a bound: 200 of 200 calls were fast, then each second one.
    (1, &[10, 20], &[30, 59]),
    // Over 30 s after 10 s: the first window ends at 40 s.
    (3, &[20, 39], &[41, 59]),
    // Errors of one step: 2 calls of 17 at 15 s.
    (5, &[13], &[16, 59]),
    // A count that must stay at zero fails at once.
    (6, &[28], &[31, 59]),
    // No response with 5xx has no series.
    (7, &[20, 59], &[]),
    // As Manada judges it.
    (8, &[28], &[31]),
    // A count that must be reached is judged at the end.
    (14, &[20, 39], &[]),
    // A rate too low, from the first whole window to the end of the load.
    (16, &[15, 19, 45], &[21, 39]),
];

#[test]
fn alerts_fire_when_series_break_their_thresholds_and_not_before() {
    let rules = root().join("shop/rules.yml");
    let series = SERIES.replace("LABELS", r#"job="manada",instance="a""#);
    let mut text = format!(
        "rule_files: ['{}']\nevaluation_interval: 1s\ntests:\n- interval: 1s\n  input_series:\n\
         {series}  promql_expr_test:\n",
        rules.display()
    );
    let mut count = 0;
    for (number, quiet, firing) in ALERTS {
        let times = quiet.iter().map(|at| (at, false)).chain(firing.iter().map(|at| (at, true)));
        for (at, fires) in times {
            let samples = if fires { "[{ labels: '{}', value: 1 }]" } else { "[]" };
            let alert = format!("ALERTS{{alertstate=\"firing\",threshold=\"{number}\"}}");
            writeln!(
                text,
                "  - {{ expr: 'count({alert})', eval_time: {at}s, exp_samples: {samples} }}"
            )
            .unwrap();
            count += 1;
        }
    }
    assert!(count > 20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.yml");
    std::fs::write(&file, text).unwrap();
    promtool(&["test", "rules"], &file);
}

/// A target that fails each third call, and a run that demands less of it: the alert fires while
/// the run goes on, by the configuration that the command wrote.
#[test]
fn alert_fires_in_prometheus_while_a_run_breaks_its_threshold() {
    let target = Builtin::start(&["--fail", "33%:503"]);
    let scenario = format!(
        "services: {{ shop: {{ url: '{}' }} }}\narchetypes: {{ a: {{ flow: [{{ get: / }}] }} }}\n\
         workloads:\n  shop: {{ archetypes: {{ a: 1 }}, arrivals: {{ rate: 50/s }}, duration: 8s \
         }}\nthresholds: ['errors < 1%', 'response.p95 < 30s', 'status(404) == 0', \
         'status(503) == 0']\n",
        target.url("")
    );
    let run = ["run", "s.yaml", "--json", "--ui", "none", "--metrics=127.0.0.1:0"];
    let run = Manada::new(&run).file("s.yaml", &scenario).start();
    let line = run.heard_line("metrics: ");
    let place = line.trim().trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    let made = Manada::new(&["dashboards", "s.yaml", "-o", "out"]).file("s.yaml", &scenario).go();
    assert_eq!(made.code, Some(0), "{made}");
    let folder = tempfile::tempdir().unwrap();
    for (file, from, to) in [("rules.yml", "", ""), ("prometheus.yml", "localhost:9464", place)] {
        let text = made.read(&format!("out/{file}")).replace("host.docker.internal", "127.0.0.1");
        assert!(text.contains(from), "{text}");
        let text = if from.is_empty() { text } else { text.replace(from, to) };
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let prometheus = Prometheus::with_config(folder, crate::prometheus::free_address());
    let fires = |number: usize| {
        let of = format!("ALERTS{{alertstate=\"firing\",threshold=\"{number}\"}}");
        format!("last_over_time({of}[10m])")
    };
    // By PromQL, and by Manada's own judgement.
    for number in [1, 4] {
        assert!(prometheus.value(&fires(number)) > 0.0);
    }
    let recorded = prometheus.value("last_over_time(instance:manada_calls:rate1m[10m])");
    assert!(recorded > 0.0, "{recorded}");
    for number in [2, 3] {
        let quiet = format!("count({}) or vector(0)", fires(number));
        assert!(prometheus.value(&quiet) < 1.0, "{number}");
    }
    run.wait().report(4);
}

#[test]
fn compose_file_is_valid_and_listens_on_loopback_alone() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compose/compose-spec.json");
    let schema = std::fs::read_to_string(file).expect(
        "this test needs the schema of Compose: scripts/compose-schema target/compose, or run \
         scripts/test, which does",
    );
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for (name, ..) in SCENARIOS {
        let text = std::fs::read_to_string(root().join(name).join("compose.yml")).unwrap();
        let mut compose: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<String> = schema.iter_errors(&compose).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let services = compose["services"].as_object().unwrap();
        assert_eq!(services.len(), 4);
        for (service, body) in services {
            for port in body["ports"].as_array().unwrap() {
                assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{service}: {port}");
            }
            let (image, tag) = body["image"].as_str().unwrap().split_once(':').unwrap();
            assert!(tag != "latest" && tag.contains('.'), "{image}:{tag}");
            // Files that a container reads are there, and it cannot write them.
            for volume in body["volumes"].as_array().unwrap_or(&Vec::new()) {
                let volume = volume.as_str().unwrap();
                let Some(file) = volume.strip_prefix("./") else { continue };
                assert!(file.ends_with(":ro"), "{volume}");
                let file = file.split(':').next().unwrap();
                assert!(root().join(name).join(file).exists(), "{volume}");
            }
        }
        assert!(!text.to_lowercase().contains("password"), "{text}");
        compose["services"]["grafana"]["ports"] = Value::from(3000);
        assert!(!schema.is_valid(&compose), "the schema refuses what is wrong");
    }
}

/// What Grafana needs of a dashboard: ids of its own for each panel, places in the grid that do
/// not overlap, queries to the chosen data source, variables that exist.
#[test]
fn dashboard_has_places_ids_and_variables_that_fit_together() {
    for (name, ..) in SCENARIOS {
        let text = std::fs::read_to_string(root().join(name).join("grafana-dashboard.json"));
        let dashboard: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let mut known: BTreeSet<&str> =
            variables.iter().map(|one| one["name"].as_str().unwrap()).collect();
        known.insert("__rate_interval");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        let mut queries = 0;
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel:#}");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{panel:#}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{panel:#}");
                }
            }
            for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
                queries += 1;
                assert_eq!(target["datasource"]["uid"], "${datasource}");
                let expr = target["expr"].as_str().unwrap();
                for part in expr.split('$').skip(1) {
                    let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    let word = &part[..end.unwrap_or(part.len())];
                    assert!(word.is_empty() || known.contains(word), "{expr}");
                }
                assert!(!expr.contains("[["), "{expr}");
            }
        }
        assert!(queries > 40, "{queries}");
        let has = |title: &str| {
            let panels = dashboard["panels"].as_array().unwrap().iter();
            panels.filter(|one| one["title"] == title).count() == 1
        };
        let is_chat = name == "chat-native";
        assert_eq!((has("Streams"), has("Circuit breakers")), (is_chat, is_chat), "{name}");
        assert!(has("Thresholds") && has("response.p95 < 250ms"));
    }
}

/// Prometheus parses each query of the dashboard, as a rule whose variables have values.
#[test]
fn queries_of_the_dashboard_are_valid_promql() {
    for (name, ..) in SCENARIOS {
        let text = std::fs::read_to_string(root().join(name).join("grafana-dashboard.json"));
        let dashboard: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
        let rules: Vec<Value> = targets
            .enumerate()
            .map(|(index, target)| {
                let expr = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
                serde_json::json!({ "record": format!("query:{index}"), "expr": expr })
            })
            .collect();
        let file = serde_json::json!({ "groups": [{ "name": "queries", "rules": rules }] });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queries.yml");
        // JSON is YAML.
        std::fs::write(&path, file.to_string()).unwrap();
        promtool(&["check", "rules"], &path);
    }
}

#[test]
fn wrong_scenarios_and_folders_are_refused() {
    let text = std::fs::read_to_string(root().join("shop.yaml")).unwrap();
    let words = ["dashboards", "s.yaml", "-o", "out"];
    let wrong = text.replace("errors < 5%", "errrors < 5%");
    let done = Manada::new(&words).file("s.yaml", wrong).go();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("unknown metric `errrors`"), "{done}");
    assert!(!done.path("out").exists(), "{done}");
    let taken = || Manada::new(&words).file("s.yaml", &text).file("out/compose.yml", "mine");
    let done = taken().go();
    assert_eq!(done.code, Some(2), "{done}");
    assert!(done.stderr.contains("out/compose.yml exists; `--force`"), "{done}");
    assert_eq!(done.read("out/compose.yml"), "mine");
    assert!(!done.path("out/rules.yml").exists(), "{done}");
    let done = taken().words(&["--force"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.read("out/compose.yml").contains("prom/prometheus"));
    let done = Manada::new(&words).file("s.yaml", &text).file("out", "a file").go();
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("cannot write to out"), "{done}");
}
