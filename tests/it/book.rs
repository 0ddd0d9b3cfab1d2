//! The examples of the book, in the order of their page: scenarios are checked, commands run
//! against `manada target`, with short loads.
//!
//! Invariant: an example with an unknown flag or key fails; no test depends on the speed of the
//! machine.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use regex::Regex;
use tempfile::TempDir;

use crate::book_pages::{Block, Role, blocks, folder, framed, names};
use crate::builtin::Builtin;
use crate::harness::{LIMIT, MANADA, Manada, Running};

/// The address that the book uses for the target; the test takes a free port.
const ADDRESS: &str = "127.0.0.1:8080";

/// What an example has too much of for a test.
const SMALLER: [(&str, &str); 4] = [
    (r"ramp: 10000\b", "ramp: 200"),
    (r"-c (\d{2})\d+", "-c $1"),
    (r"-n \d+k?\b", "-n 50"),
    (r"(--duration|-d|-z) [0-9hms.]+", "$1 100ms"),
];

/// Programs that are not needed to test Manada; where they are missing, a stand-in reads its input.
const STAND_INS: [&str; 3] = ["curl", "jq", "socat"];

/// Variables that examples read from the environment.
const ENVIRONMENT: [(&str, &str); 3] =
    [("SHOP_PASSWORD", "analytical-1"), ("API_KEY", "secret-key"), ("TOKEN", "0123456789abcdef")];

/// A page on its way: its folder with files, and what its commands have started.
struct Walk {
    page: String,
    folder: TempDir,
    /// Files of the page as they are written there: name and text.
    files: Vec<(String, String)>,
    target: Builtin,
    runs: Vec<Running>,
}

impl Walk {
    fn new(page: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["scenarios", "archetypes"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
            for entry in std::fs::read_dir(root.join(part)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), folder.path().join(part).join(entry.file_name()))
                    .unwrap();
            }
        }
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).unwrap().cert;
        std::fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(MANADA, folder.path().join("bin/manada")).unwrap();
        let target = Builtin::start(&["--latency", "1ms"]);
        let (page, files, runs) = (page.to_owned(), Vec::new(), Vec::new());
        Self { page, folder, files, target, runs }
    }

    fn block(&mut self, block: &Block) {
        let place = format!("docs/{}:{}", self.page, block.line);
        match (block.language.as_str(), &block.role) {
            ("sh", role) => self.commands(&place, &lines(&block.text), role),
            (_, Role::File(name)) => self.write(&place, name, block.text.clone()),
            ("yaml", Role::Append(name)) => {
                let file = self.files.iter().find(|(known, _)| known == name).expect(name);
                self.write(&place, name, format!("{}\n{}", file.1, block.text));
            }
            ("yaml", Role::In(frame)) => {
                self.write(&place, "part.yaml", framed(frame, &block.text));
            }
            ("yaml", Role::Plain) => self.write(&place, "example.yaml", block.text.clone()),
            ("yaml", Role::Job) => self.commands(&place, &job(&block.text), &Role::Job),
            ("text" | "json" | "js" | "python" | "csv", Role::Plain) => {}
            (language, role) => panic!("{place}: {language} as {role:?}"),
        }
    }

    /// Writes a file, and checks it if it is a scenario.
    fn write(&mut self, place: &str, name: &str, text: String) {
        self.files.retain(|(known, _)| known != name);
        self.files.push((name.to_owned(), text));
        self.write_files();
        // A file of prices is read by the command that names it.
        let is_scenario =
            !self.files.iter().any(|(own, text)| own == name && text.starts_with("prices:"));
        if is_scenario && Path::new(name).extension().is_some_and(|ending| ending == "yaml") {
            self.shell(place, &format!("manada check {name}"), &[0]);
        }
    }

    /// Writes the files with the address of the target that runs.
    fn write_files(&self) {
        for (name, text) in &self.files {
            let path = self.folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, self.adapted(text)).unwrap();
        }
    }

    /// Returns a text with the target's address and a small load.
    fn adapted(&self, text: &str) -> String {
        let text = text.replace(ADDRESS, self.target.address());
        // A process whose figures can be read.
        let text = text.replace("4711", &std::process::id().to_string());
        SMALLER.iter().fold(text, |text, (pattern, smaller)| {
            Regex::new(pattern).unwrap().replace_all(&text, *smaller).into_owned()
        })
    }

    fn commands(&mut self, place: &str, lines: &[String], role: &Role) {
        for line in lines {
            let line = line.as_str();
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_parsed = *role == Role::Parsed;
            if is_parsed || (*role == Role::Job && line.starts_with("manada target")) {
                let command = line.split(" | ").next().unwrap().trim_end_matches('&').trim();
                if command.starts_with("manada ") {
                    self.shell(place, &format!("{command} --help"), &[0]);
                }
            } else if let Some(words) = words.strip_prefix(&["manada", "target"]) {
                self.target = Builtin::start(words);
                self.write_files();
            } else if words.last() == Some(&"&") {
                self.start(&words[1..words.len() - 1]);
            } else {
                self.run(place, line, role);
            }
        }
    }

    /// Runs a command; a load lasts 100 ms, and no iteration goes on after it.
    fn run(&self, place: &str, line: &str, role: &Role) {
        let mut line = self.adapted(line).replace("jq ", "jq -e ");
        let starts_load = ["manada run ", "manada hit "].iter().any(|part| line.contains(part));
        let is_judged = starts_load || line.contains("manada report ");
        // A count ends a load on any machine; what comes of it may be read afterwards.
        let is_counted = self.files.iter().any(|(name, text)| {
            line.contains(&format!(" {name} ")) && text.contains(", iterations: ")
        });
        if !is_counted {
            if !line.contains("--duration ") {
                line = line.replace("manada run ", "manada run --duration 100ms ");
            }
            line = line.replace("manada run ", "manada run --set grace=0s ");
        }
        if *role == Role::Job {
            // Jobs of several tools write to one folder.
            line = line.replace("manada run ", "manada run --force ");
        }
        let has_end = ["-d ", "-z ", "-n "].iter().any(|flag| line.contains(flag));
        if !has_end {
            line = line.replace("manada hit ", "manada hit -d 100ms ");
        }
        let codes: &[i32] = match role {
            // On a busy machine a run is inconclusive.
            Role::Exit(code) => &[*code, 5],
            _ if is_judged => &[0, 4, 5],
            _ => &[0],
        };
        self.shell(place, &line, codes);
    }

    /// Starts a run in the background, and waits until it can be controlled.
    fn start(&mut self, words: &[&str]) {
        let folder = self.folder.path();
        let path = folder.join(words[1]);
        let words_first = ["run", path.to_str().unwrap(), "--ui", "plain", "-v"];
        let runtime = folder.join("runtime");
        std::fs::create_dir_all(&runtime).unwrap();
        let run =
            Manada::new(&words_first).words(&words[2..]).env("XDG_RUNTIME_DIR", runtime).start();
        // The socket exists after the first second.
        run.hear(" | ");
        self.runs.push(run);
    }

    fn shell(&self, place: &str, line: &str, codes: &[i32]) {
        let done = shell(self.folder.path(), line);
        let code = done.status.code().unwrap();
        let said =
            [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(codes.contains(&code), "{place}: `{line}` ended with {code}\n{}", said.join("\n"));
    }
}

/// Runs a line of shell in a folder whose `bin` has Manada.
fn shell(folder: &Path, line: &str) -> Output {
    let stand_in = |name| format!("command -v {name} > /dev/null || {name}() {{ cat; }}; ");
    let stand_ins: Vec<String> = STAND_INS.into_iter().map(stand_in).collect();
    let path = format!("{}/bin:{}", folder.display(), std::env::var("PATH").unwrap());
    let limit = LIMIT.as_secs().to_string();
    Command::new("timeout")
        .args([&limit, "sh", "-c", &format!("{}{line}", stand_ins.concat())])
        .current_dir(folder)
        .env("PATH", path)
        .env_remove("MANADA_SAFETY")
        .env("XDG_CONFIG_HOME", folder.join(".config"))
        .env("XDG_DATA_HOME", folder.join(".data"))
        .env_remove("MANADA_HISTORY")
        .env("XDG_RUNTIME_DIR", folder.join("runtime"))
        .envs(ENVIRONMENT)
        .env("GITHUB_STEP_SUMMARY", folder.join("summary"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Returns the commands of a block, without comments and with continued lines joined.
fn lines(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let code = joined.lines().map(|line| line.split("  #").next().unwrap().trim());
    code.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Returns the commands of Manada in a file of a CI system.
fn job(text: &str) -> Vec<String> {
    let starts = |line: &str| line.find("manada ").map(|at| line[at..].trim().to_owned());
    text.lines().filter_map(starts).collect()
}

/// Tests the examples of a page in their order.
fn walk(page: &str) {
    let mut walk = Walk::new(page);
    for block in blocks(page) {
        walk.block(&block);
    }
}

macro_rules! pages {
    ($($name:ident $page:literal;)+) => {
        $(#[test] fn $name() {
            walk($page);
        })+

        #[test]
        fn every_page_with_examples_is_walked() {
            let is_tested = |block: &Block| ["sh", "yaml"].contains(&block.language.as_str());
            let all = names().into_iter().chain(["../README.md".to_owned()]);
            let mut with: Vec<String> =
                all.filter(|page| blocks(page).iter().any(is_tested)).collect();
            let mut walked = vec![$($page),+];
            walked.sort_unstable();
            with.sort_unstable();
            assert_eq!(with, walked);
        }
    };
}

pages! {
    readme "../README.md";
    artillery "howto/from-artillery.md";
    cache "howto/cache.md";
    ci "howto/ci.md";
    coming_from "howto/coming-from.md";
    command_line "command-line.md";
    connections "howto/connections.md";
    control "control.md";
    cost "howto/cost.md";
    dashboard "dashboard.md";
    debugging "howto/debugging.md";
    introduction "introduction.md";
    isolation "isolation.md";
    jmeter "howto/from-jmeter.md";
    k6 "howto/from-k6.md";
    language "language.md";
    live_control "howto/live-control.md";
    locust "howto/from-locust.md";
    login "howto/login.md";
    planning "planning.md";
    probe_limits "probe-limits.md";
    fleet "fleet.md";
    history "history.md";
    kubernetes "kubernetes.md";
    metrics "metrics.md";
    opentelemetry "opentelemetry.md";
    exports "exports.md";
    logs "logs.md";
    alerts "alerts.md";
    rates "howto/rates.md";
    reading_the_report "howto/reading-the-report.md";
    report "report.md";
    backends "howto/backends.md";
    shift "howto/shift.md";
    resilient "howto/resilient.md";
    schedule "schedule.md";
    secrets "secrets.md";
    streams "streams.md";
    test_server "test-server.md";
    stores "howto/stores.md";
    brokers "howto/brokers.md";
    kafka "howto/kafka.md";
    grpc "howto/grpc.md";
    tls "howto/tls.md";
    tui "tui.md";
    tutorial "tutorial.md";
}

#[test]
fn an_example_with_an_unknown_flag_or_key_fails() {
    let mut walk = Walk::new("none");
    let scenario = framed("scenario", "scenario: x\n");
    walk.write("a scenario", "x.yaml", scenario.clone());
    let exit = |line: &str| shell(walk.folder.path(), line).status.code();
    assert_eq!(exit("manada check x.yaml"), Some(0));
    assert_eq!(exit("manada run x.yaml --no-such-flag --help"), Some(2));
    walk.files[0].1 = scenario.replace("users", "userz");
    walk.write_files();
    assert_eq!(exit("manada check x.yaml"), Some(3));
    assert_eq!(framed("request", "think: 1s\n").lines().last(), Some("        think: 1s"));
}

/// Set `MANADA_BLESS=1` to write the page.
#[test]
fn options_page_is_up_to_date() {
    let help = |words: &[&str]| Manada::new(words).words(&["--help"]).go().stdout;
    let main = help(&[]);
    let listed = main.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Further lines of a description are indented deeper.
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands = names.filter(|name| !name.is_empty() && *name != "help");
    let mut page =
        "# Options of all commands\n\nMade from `manada COMMAND --help`; a test keeps it \
                    up to date. [Command line](command-line.md) explains the commands.\n"
            .to_owned();
    for command in commands {
        let help = help(&[command]);
        page.extend(["\n## ", command, "\n\n```text\n", help.trim_end(), "\n```\n"]);
    }
    let file = folder().join("options.md");
    if std::env::var_os("MANADA_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/options.md is old: run this test with MANADA_BLESS=1");
}
