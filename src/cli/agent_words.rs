//! The command line of a coordinator as its agents get it.
//!
//! A run on several machines calls it: agents compile the same command line, and get it over a bus.
//! Invariant: what leaves this machine has no credential of the command line, neither of the target
//! nor of the bus; options that only the coordinator obeys stay here.

use std::ffi::OsString;

use clap::{ArgAction, CommandFactory, Parser};

use super::commands::{Cli, CliCommand};
use super::spellings;
use crate::redact::{Redactor, SensitiveNames};

/// Options that only the coordinator obeys, and that do not change the plan.
const OF_COORDINATOR: &[&str] = &[
    "agents",
    "bus",
    "bus-ca",
    "bus-cert",
    "bus-key",
    "cost",
    "elasticsearch",
    "env-may-differ",
    "force",
    "history",
    "influx",
    "insecure-bus",
    "join-timeout",
    "json",
    "metrics",
    "monitor",
    "no-control",
    "no-history",
    "on-loss",
    "otlp",
    "otlp-protocol",
    "otlp-signals",
    "out",
    "processes",
    "remote-write",
    "remote-write-histograms",
    "report",
    "run",
    "shards",
    "sign-key",
    "statsd",
    "statsd-tags",
    "stay",
    "tag",
    "trace-url",
    "ui",
    "web",
];

/// Why a command line is not sent to agents.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsRefused {
    /// An option contains a credential.
    #[error(
        "`{0}` contains a credential, which is not sent to agents; write it in a scenario as \
         `{{{{ secret(\"NAME\") }}}}`: each agent reads the variable NAME of its own environment"
    )]
    Credential(&'static str),
    /// The command line is not one of a run.
    #[error("expected `manada run` or `manada hit`: {0}")]
    NoRun(String),
}

/// Returns the words of a command line that agents compile.
///
/// # Errors
/// If an option contains a credential, or the words are no run.
pub fn words_for_agents(words: &[OsString]) -> Result<Vec<OsString>, WordsRefused> {
    let (words, _) = spellings::rewrite(words.iter().cloned());
    let parsed = Cli::try_parse_from(&words);
    let parsed = parsed.map_err(|error| WordsRefused::NoRun(error.kind().to_string()))?;
    let names = SensitiveNames::default();
    let redactor = Redactor::new(&names);
    let credential = match parsed.command {
        CliCommand::Run(args) => args.credential(&redactor),
        CliCommand::Shift(args) => args.into_run().credential(&redactor),
        CliCommand::Hit(args) => args.credential(&redactor),
        _ => return Err(WordsRefused::NoRun("another command".to_owned())),
    };
    match credential {
        Some(option) => Err(WordsRefused::Credential(option)),
        None => Ok(without_options_of_coordinator(words)),
    }
}

/// Leaves out the options that agents do not obey, with their values.
fn without_options_of_coordinator(words: Vec<OsString>) -> Vec<OsString> {
    let mut command = Cli::command();
    command.build();
    let name = words.get(1).and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let Some(command) = command.find_subcommand(&name) else { return words };
    let mut words = words.into_iter();
    let mut out: Vec<OsString> = words.by_ref().take(2).collect();
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default().to_owned();
        if text == "--" {
            out.push(word);
            out.extend(words);
            break;
        }
        let Some(option) = text.strip_prefix("--") else {
            out.push(word);
            continue;
        };
        let (name, is_whole) = match option.split_once('=') {
            Some((name, _)) => (name, true),
            None => (option, false),
        };
        let found = command.get_arguments().find(|argument| {
            let names = argument.get_long_and_visible_aliases().into_iter().flatten();
            let aliases = argument.get_all_aliases().into_iter().flatten();
            names.chain(aliases).any(|known| known == name)
        });
        let takes_word = !is_whole
            && found.is_some_and(|argument| {
                matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
                    && !argument.is_require_equals_set()
            });
        let value = takes_word.then(|| words.next()).flatten();
        let long = found.and_then(clap::Arg::get_long).unwrap_or(name);
        if !OF_COORDINATOR.contains(&long) {
            out.push(word);
            out.extend(value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::worker::compile_words;
    use super::*;
    use crate::event::link::manifest_hash;
    use crate::files::{BundleFile, FileRecorder, Files};
    use crate::plan::Plan;

    /// The words for agents, joined by blanks.
    fn for_agents(line: &str) -> Result<String, WordsRefused> {
        let words: Vec<OsString> =
            shlex::split(line).unwrap().into_iter().map(OsString::from).collect();
        let words = words_for_agents(&words)?;
        Ok(words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    /// Agents would get the credentials of a receiver that the list lacks.
    #[test]
    fn options_with_an_address_of_a_receiver_stay_here() {
        let mut command = Cli::command();
        command.build();
        for name in ["run", "hit"] {
            for argument in command.find_subcommand(name).unwrap().get_arguments() {
                let values = argument.get_value_names().unwrap_or_default();
                let has_address =
                    values.iter().any(|value| value.contains("URL") || value.contains("ADDR"));
                let Some(long) = argument.get_long().filter(|_| has_address) else { continue };
                let is_of_target = ["proxy", "target"].contains(&long);
                assert!(OF_COORDINATOR.contains(&long) || is_of_target, "--{long} of {name}");
            }
        }
    }

    #[test]
    fn credentials_stay_on_the_coordinator() {
        for (line, option) in [
            ("manada hit http://x/ -H 'Authorization: Bearer abc'", "--header"),
            ("manada hit http://x/ -kH'x-api-key: abc'", "--header"),
            ("manada hit http://x/ --user me:hunter2", "--user"),
            ("manada hit http://me:hunter2@x/", "URL"),
            ("manada hit 'http://x/?access_token=abcdef'", "URL"),
            ("manada hit http://x/ --proxy http://me:hunter2@p:3128", "--proxy"),
            ("manada hit http://x/ -b '{\"password\": \"hunter2\"}'", "--body"),
            ("manada run a.yaml --set services.shop.auth.basic.password=hunter2", "--set"),
            ("manada run a.yaml --set vars.url=http://me:hunter2@x/", "--set"),
        ] {
            assert_eq!(for_agents(line), Err(WordsRefused::Credential(option)), "{line}");
        }
        for line in [
            "manada hit http://x/ -H 'accept: text/html' -b @body.json",
            "manada run a.yaml -e staging --set safety.max_users=5 --users 7 --seed 3",
            "manada run a.yaml --set 'vars.password={{ secret(\"PASSWORD\") }}'",
        ] {
            assert_eq!(for_agents(line), Ok(shlex::split(line).unwrap().join(" ")));
        }
        assert!(matches!(for_agents("manada doctor"), Err(WordsRefused::NoRun(_))));
        assert!(matches!(for_agents("manada run"), Err(WordsRefused::NoRun(_))));
        let shown = WordsRefused::Credential("--header").to_string();
        assert!(shown.contains("{{ secret(\"NAME\") }}"), "{shown}");
    }

    #[test]
    fn options_of_the_coordinator_are_left_out_with_their_values() {
        let line = "manada run a.yaml --out o --report=r.json --ui none --force --users 5 \
                    --monitor prometheus http://me:pw@p q --watch pid 3 --json --processes 2 \
                    --set a.b=--out --no-control";
        assert_eq!(for_agents(line).unwrap(), "manada run a.yaml --users 5 --set a.b=--out");
        #[cfg(feature = "metrics")]
        assert_eq!(
            for_agents(
                "manada run a.yaml --influx http://me:pw@i/write --statsd=h:8125 --statsd-tags \
                 none --elasticsearch http://me:pw@e"
            )
            .unwrap(),
            "manada run a.yaml"
        );
        let hit = "manada hit --out o -n 5 -- http://x/";
        assert_eq!(for_agents(hit).unwrap(), "manada hit -n 5 -- http://x/");
    }

    #[test]
    fn agents_compile_the_plan_of_the_coordinator_from_words_and_bundle() {
        let place = tempfile::tempdir().unwrap();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = place.path().join("coordinator");
        std::fs::create_dir(&folder).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        std::fs::copy(root.join("scenarios/shop.yaml"), at("shop.yaml")).unwrap();
        std::fs::write(at("body.json"), "{\"id\":1}").unwrap();
        std::fs::write(at("urls.txt"), "http://127.0.0.1:1/a\nhttp://127.0.0.1:1/b\n").unwrap();
        let otlp = if cfg!(feature = "metrics") { "--otlp http://127.0.0.1:1" } else { "" };
        // Where spans go, and where they are shown, is no part of the plan of agents.
        let traces = format!("--trace-ratio 1% --trace-url http://h/{{trace_id}} {otlp}");
        for (line, files) in [
            (format!("manada run {} --seed 5 --out {}", at("shop.yaml"), at("out")), 1),
            (format!("manada run {} --seed 5 {}", at("shop.yaml"), traces.trim_end()), 1),
            (format!("manada hit --urls {} -b @{} --seed 5", at("urls.txt"), at("body.json")), 2),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let recorder = FileRecorder::default();
            let own = compile_words(&mut words.iter().cloned(), &recorder.files()).unwrap();
            let bundle = recorder.bundle(BTreeMap::new()).unwrap();
            // Archetypes of the working directory, and limits of this user, are files, too.
            let is_named = |file: &&BundleFile| file.path.starts_with(folder.to_str().unwrap());
            assert_eq!(bundle.manifest.files.iter().filter(is_named).count(), files, "{line}");
            let sent = words_for_agents(&words).unwrap();
            let away = place.path().join("away");
            std::fs::rename(&folder, &away).unwrap();
            let unpacked = Files::unpack(&bundle, &[]).unwrap();
            let mut plan = compile_words(&mut sent.into_iter(), &unpacked).unwrap();
            std::fs::rename(&away, &folder).unwrap();
            plan.run_id.clone_from(&own.run_id);
            assert_eq!(manifest_hash(&plan.manifest()), manifest_hash(&own.manifest()), "{line}");
            let flows = |plan: &Plan| format!("{:?}", plan.archetypes);
            assert_eq!(flows(&plan), flows(&own), "{line}");
        }
    }

    #[test]
    fn options_of_the_coordinator_exist() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        let known: Vec<&str> = run.get_arguments().filter_map(clap::Arg::get_long).collect();
        for name in OF_COORDINATOR {
            let has_all =
                cfg!(all(feature = "web", feature = "tui", feature = "redis", feature = "history"));
            assert!(known.contains(name) || !has_all, "{name}");
        }
    }
}
