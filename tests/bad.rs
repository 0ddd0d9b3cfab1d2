//! Tests every mistake that a file can have, with its exact message.
//!
//! Loads `tests/bad/NAME.yaml` and compares its mistakes with `tests/bad/NAME.txt`;
//! `MANADA_BLESS=1` rewrites the latter.
//! Invariant: a newcomer can fix each file from its message alone.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use manada::grpc::reflection::ReflectedSets;
use manada::plan::ceilings::{Ceiling, Ceilings};
use manada::scenario::{ScenarioOverrides, load};
use manada::seed::Seed;
use manada::units::Rate;

fn message(path: &Path, overrides: &ScenarioOverrides) -> String {
    match load(path, overrides) {
        Ok((_, warnings)) if warnings.is_empty() => "no mistake\n".to_owned(),
        Ok((_, warnings)) => {
            let shown: Vec<String> = warnings.iter().map(|one| one.render(false)).collect();
            shown.join("\n\n") + "\n"
        }
        Err(mistakes) => mistakes.render(false) + "\n",
    }
}

/// Compares with the file of the expected message; returns the difference.
fn compare(expected: &Path, got: &str) -> Option<String> {
    if std::env::var_os("MANADA_BLESS").is_some() {
        fs::write(expected, got).unwrap();
        return None;
    }
    let want = fs::read_to_string(expected).unwrap_or_default();
    (want != got).then(|| {
        let mut diff = vec![format!("--- {}", expected.display())];
        let (want, got): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
        for line in 0..want.len().max(got.len()) {
            match (want.get(line), got.get(line)) {
                (Some(a), Some(b)) if a == b => diff.push(format!("  {a}")),
                (a, b) => {
                    diff.extend(a.map(|a| format!("- {a}")));
                    diff.extend(b.map(|b| format!("+ {b}")));
                }
            }
        }
        diff.join("\n")
    })
}

#[test]
fn each_bad_file_gets_its_exact_message() {
    let folder = Path::new("tests/bad");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 30, "the corpus is missing");
    let differences: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let got = message(path, &ScenarioOverrides::default());
            assert_ne!(got, "no mistake\n", "{} loads", path.display());
            compare(&path.with_extension("txt"), &got)
        })
        .collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[cfg(feature = "schedule")]
#[test]
fn each_bad_schedule_gets_its_exact_message() {
    let folder = Path::new("tests/bad/schedules");
    let mut differences = Vec::new();
    for name in ["file", "jobs", "lock", "empty", "times"] {
        let path = folder.join(name).with_extension("yaml");
        let context = manada::scenario::ScheduleContext::of_file_alone(0);
        let mistakes = manada::scenario::load_schedule(&path, context).unwrap_err();
        let got = mistakes.render(false) + "\n";
        differences.extend(compare(&path.with_extension("txt"), &got));
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn each_bad_file_of_prices_gets_its_exact_message() {
    let mut differences = Vec::new();
    for name in ["keys", "no-version", "values", "version"] {
        let path = Path::new("tests/bad/prices").join(name).with_extension("yaml");
        let mistakes = manada::scenario::prices::load_prices(&path).unwrap_err();
        let got = mistakes.render(false) + "\n";
        differences.extend(compare(&path.with_extension("txt"), &got));
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn flags_get_their_exact_message() {
    let overrides = ScenarioOverrides {
        reflected: ReflectedSets::new(),
        source: manada::files::Files::default(),
        safety: None,
        files: Vec::new(),
        once: false,
        authorised: vec!["a b".to_owned()],
        ceilings: Ceilings {
            memory: Some(Ceiling::new(1, "--max-memory")),
            disk: Some(Ceiling::new(1, "--max-disk")),
            ..Ceilings::default()
        },
        environment: None,
        set: Vec::new(),
        seed: Seed::new(1),
        thresholds: vec!["response.p95 > fast".to_owned()],
        users: vec![(None, 5), (Some("visitor".to_owned()), 5), (Some("buyers".to_owned()), 0)],
        rate: vec![(Some("buyers".to_owned()), Rate::per_s(0))],
        duration: Some(std::time::Duration::ZERO),
    };
    let got = message(Path::new("scenarios/quickstart.yaml"), &overrides);
    let difference = compare(Path::new("tests/bad/flags.txt"), &got);
    assert!(difference.is_none(), "\n{}", difference.unwrap_or_default());
}

#[test]
fn unreadable_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yaml");
    let mut file = fs::File::create(&path).unwrap();
    // Sparse: 100 MB that take no disk space.
    file.seek(SeekFrom::Start(100_000_000)).unwrap();
    file.write_all(b"\n").unwrap();
    let got = message(&path, &ScenarioOverrides::default());
    assert!(got.contains("too large for a scenario: 95.4 MiB"), "{got}");

    let got = message(folder.path(), &ScenarioOverrides::default());
    assert!(got.contains("this is a folder"), "{got}");
    let got = message(&folder.path().join("none.yaml"), &ScenarioOverrides::default());
    assert!(got.contains("file not found"), "{got}");

    fs::write(&path, b"scenario: x\nname: \xff\xfe\n").unwrap();
    let got = message(&path, &ScenarioOverrides::default());
    assert!(got.contains("not UTF-8") && got.contains("big.yaml:2:7"), "{got}");
}

#[test]
fn settings_get_their_exact_message() {
    let file = Path::new("tests/bad/laid-over.yaml.in");
    let set = [
        "workloads.api.arrivals.max_user=100",
        "workloads.api.arrivals.rate=fast",
        "worloads.api.start=1s",
        "services.shop.timeout=1s",
        "workloads.api.flow.3.get=/x",
        "workloads.api.flow.0.get=[",
        "seed",
        "=3",
    ];
    let overrides = ScenarioOverrides {
        environment: Some("broken".to_owned()),
        set: set.map(str::to_owned).to_vec(),
        ..ScenarioOverrides::default()
    };
    let got = message(file, &overrides);
    let unknown = ScenarioOverrides {
        environment: Some("stagin".to_owned()),
        ..ScenarioOverrides::default()
    };
    let got = got + "\n" + &message(file, &unknown);
    let difference = compare(Path::new("tests/bad/laid-over.txt"), &got);
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
}
