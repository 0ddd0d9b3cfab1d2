//! The house rules that a compiler does not know, checked over the repository itself.
//!
//! Each finding reads `file:line: what, and what to do`. HOUSE's floors stand in [`FLOORS`].
//! Invariant: rules look at code, with comments and the insides of strings blanked out.

#[path = "tidy/book.rs"]
mod book;
#[path = "tidy/cycles.rs"]
mod cycles;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeMap;

use manada::exit::ExitStatus;
use source::{below, root, rust};

/// Which module stands on which floor; it may name only modules on lower ones.
const FLOORS: [&[&str]; 12] = [
    &[
        "units",
        "clock",
        "ids",
        "seed",
        "host",
        "exit",
        "redact",
        "sandbox",
        "printable",
        "protocol",
        "suggest",
        "foreign",
        "hex",
        "trace",
    ],
    &["stats", "curve", "store", "files"],
    &["verdict", "template", "grpc"],
    &["extract"],
    &["plan"],
    &[
        "pace",
        "resilience",
        "wire",
        "event",
        "forecast",
        "delivery",
        "side_client",
        "timetable",
        "cache",
    ],
    &["scenario"],
    &["engine", "report", "testserver"],
    &["sinks", "control", "fleet", "kubernetes", "probe"],
    &["run", "history", "dashboards", "schedule"],
    &[],
    &["cli"],
];

/// Words that only some modules may say, and why.
const OWNED: [(&str, &[&str], &str); 6] = [
    ("clap", &["cli"], "only the command line knows clap"),
    ("serde_saphyr", &["scenario", "kubernetes", "dashboards"], "only `scenario` reads YAML"),
    (
        "TcpStream",
        &["wire", "testserver", "sinks"],
        "only `wire`, the test server and the dashboard have sockets",
    ),
    (
        "TcpListener",
        &["wire", "testserver", "sinks"],
        "only `wire`, the test server and the dashboard have sockets",
    ),
    ("Instant::now", &["clock"], "read time through `clock::now`"),
    ("SystemTime::now", &["clock"], "read the wall clock through `clock::wall`"),
];

/// Words that nobody may say.
const BANNED: [(&str, &str); 5] = [
    ("todo!(", "finish it or leave it out"),
    ("unimplemented!(", "finish it or leave it out"),
    ("dbg!(", "take it out"),
    ("#[ignore", "make the test run, or delete it"),
    ("thread::sleep", "wait through `clock`; tests wait for what they need, not for a time"),
];

const SHAPELESS: [&str; 5] = ["utils", "helpers", "common", "misc", "manager"];
const MAX_LINES: usize = 400;
const MAX_COLUMNS: usize = 100;

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn imports_point_down() {
    let mut findings = Vec::new();
    for file in rust(&["src"]) {
        let Some(own) = file.module() else { continue };
        let Some(height) = floor(own) else {
            findings.push(file.at(0, format_args!("`{own}` has no floor; give it one in FLOORS")));
            continue;
        };
        for (at, name) in file.names() {
            let what = match floor(&name) {
                _ if name == own => continue,
                Some(other) if other < height => continue,
                Some(other) => format!("`{own}` (floor {height}) names `{name}` (floor {other})"),
                None => format!("`{own}` names `{name}`, which has no floor"),
            };
            findings.push(file.at(at, what + "; move what both need to a floor below both"));
        }
    }
    none(&findings);
}

#[test]
fn files_have_a_head_and_a_size() {
    let mut findings = Vec::new();
    for file in rust(&["src", "tests", "benches", "fuzz/fuzz_targets"]) {
        let head: Vec<&str> =
            file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        if head.is_empty() {
            findings.push(file.at(0, "no `//!` at its head; say what it is and who reads it"));
        }
        let tests = file.path.ends_with("tests.rs");
        let keeps = head.iter().any(|line| line.contains("Invariant:"));
        if file.path.starts_with("src/") && !tests && !keeps {
            findings.push(file.at(0, "no `Invariant:` in its head; name the one it keeps"));
        }
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            findings.push(file.at(0, format_args!("{lines} lines; split it by noun")));
        }
        for (line, text) in file.text.lines().enumerate() {
            let columns = text.chars().count();
            if columns > MAX_COLUMNS {
                let place = format!("{}:{}", file.path, line + 1);
                findings.push(format!("{place}: {columns} columns; break it at {MAX_COLUMNS}"));
            }
        }
    }
    none(&findings);
}

#[test]
fn words_are_said_only_where_they_belong() {
    let mut findings = Vec::new();
    for file in rust(&["src", "tests"]) {
        for (word, why) in BANNED {
            let uses = file.uses(word);
            findings.extend(uses.map(|at| file.at(at, format_args!("`{word}`; {why}"))));
        }
        for name in SHAPELESS {
            let word = format!("mod {name}");
            let uses = file.uses(&word);
            findings.extend(uses.map(|at| file.at(at, format_args!("`{word}`; name the noun"))));
        }
        for (word, owners, why) in OWNED {
            if file.path.starts_with("src/") && !file.module().is_some_and(|m| owners.contains(&m))
            {
                let uses = file.uses(word);
                findings.extend(uses.map(|at| file.at(at, format_args!("`{word}`; {why}"))));
            }
        }
    }
    none(&findings);
}

#[test]
fn the_book_knows_every_scenario_and_every_exit_code() {
    let read = |page: &str| std::fs::read_to_string(root().join(page)).unwrap_or_default();
    let (scenarios, commands) = (read("docs/scenarios.md"), read("docs/command-line.md"));
    let mut findings = Vec::new();
    for path in below("scenarios", "yaml") {
        let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if !scenarios.contains(&path) {
            findings.push(format!("docs/scenarios.md:1: no {path}; say what it is for"));
        }
    }
    let cells = commands.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let codes: Vec<&str> =
        cells.flat_map(|cell| cell.split(',')).map(|code| code.trim_matches([' ', '`'])).collect();
    for ending in ExitStatus::ALL {
        let code = ending.code().to_string();
        if !codes.contains(&code.as_str()) {
            let row = format!("| {code} | … |");
            findings.push(format!("docs/command-line.md:1: no exit code {code}; add `{row}`"));
        }
    }
    none(&findings);
}

/// The paths in backticks of the pages for contributors.
#[test]
fn pages_for_contributors_name_files_that_exist() {
    let mut findings = Vec::new();
    let mut named = 0;
    for page in ["CONTRIBUTING.md", "SECURITY.md", "reports/README.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap_or_default();
        for word in text.split('`').skip(1).step_by(2) {
            let is_ours =
                ["src/", "tests/", "docs/", "scripts/"].iter().any(|at| word.starts_with(at));
            if is_ours && !word.contains(char::is_whitespace) {
                named += 1;
                if !root().join(word).exists() {
                    findings.push(format!("{page}:1: names {word}, which is not there"));
                }
            }
        }
    }
    none(&findings);
    assert!(named > 40, "{named}");
}

/// Names that several types may have, and why.
const SHARED_NAMES: [(&str, &str); 4] = [
    ("Args", "the arguments of a command, one in each file of `cli`"),
    ("MessageType", "a type of gRPC, and what stands in its place without that feature"),
    ("Schema", "descriptors of gRPC, and what stands in their place without that feature"),
    ("Query", "the monitor of Prometheus, and what stands in its place without that feature"),
];

#[test]
fn type_names_are_unique() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust(&["src"]) {
        for keyword in ["struct", "enum", "trait", "union", "type"] {
            for at in file.uses(keyword).filter(|at| !file.is_associated(*at)) {
                let name = file.code[at + keyword.len()..].trim_start();
                let name: String =
                    name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !name.is_empty() {
                    places.entry(name).or_default().push(file.at(at, keyword));
                }
            }
        }
    }
    let is_shared = |name: &String| SHARED_NAMES.iter().any(|(shared, _)| shared == name);
    let findings: Vec<String> = places
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !is_shared(name))
        .map(|(name, places)| {
            format!("{}: `{name}` is also {}; name each by what it holds", places[0], places[1])
        })
        .collect();
    none(&findings);
}

#[test]
fn files_of_a_module_form_no_cycle() {
    none(&cycles::cycles(&rust(&["src"])));
}
