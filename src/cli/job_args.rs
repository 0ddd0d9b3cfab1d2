//! The arguments of a schedule's job, checked as those of `manada run`.
//!
//! `main` gives it to `schedule` and `check`, for the reader of a schedule file.
//! Invariant: what it takes, the command line of a job takes.

use std::ffi::OsString;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::commands::Cli;
use super::{parse_error, spellings};
use crate::scenario::WrongArgument;

/// The words of a job's command line before its arguments.
const WORDS: [&str; 7] = ["manada", "run", "scenario.yaml", "--ui", "none", "--out", "folder"];

/// Checks that `manada run` takes these arguments of a job.
///
/// # Errors
/// The first argument that it does not take.
pub(super) fn check(args: &[String]) -> Result<(), WrongArgument> {
    let all = WORDS.iter().copied().chain(args.iter().map(String::as_str)).map(OsString::from);
    let (words, _) = spellings::rewrite(all);
    let Err(mut error) = Cli::try_parse_from(words) else { return Ok(()) };
    let index = index_of(&error, args);
    if !error.use_stderr() {
        return Err(WrongArgument {
            index: index.or_else(|| args.iter().position(|arg| is_request(arg))),
            message: "this argument prints a text, and runs nothing".to_owned(),
            help: Some("leave it out".to_owned()),
        });
    }
    parse_error::add_suggestions(&mut error, "run");
    let text = error.render().to_string();
    let text = parse_error::redacted(&text).unwrap_or(text);
    let parts = text.split("\n\n").map(|part| {
        let lines: Vec<&str> = part.lines().map(str::trim).collect();
        lines.join(" ")
    });
    let parts: Vec<String> = parts.collect();
    let message = parts[0].trim_start_matches("error:").trim().to_owned();
    let tip = parts.iter().find_map(|part| part.strip_prefix("tip:"));
    Err(WrongArgument { index, message, help: tip.map(|tip| tip.trim().to_owned()) })
}

/// Whether an argument asks for a text.
fn is_request(arg: &str) -> bool {
    ["-h", "--help", "-V", "--version"].contains(&arg)
}

/// The place of the argument that an error is about.
fn index_of(error: &clap::Error, args: &[String]) -> Option<usize> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    let name = text(ContextKind::InvalidArg)?;
    // Such as `--seed <N>`, or `-s, --seed <N>`.
    let options: Vec<&str> = name.split([' ', ',', '=']).filter(|word| !word.is_empty()).collect();
    let is_option = |arg: &String| {
        let written = arg.split('=').next().unwrap_or_default();
        options.contains(&written) || name == *arg
    };
    let at = args.iter().rposition(is_option);
    let value = text(ContextKind::InvalidValue).filter(|value| !value.is_empty());
    let is_of_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    match value.filter(|_| is_of_value) {
        Some(value) => {
            let next = at.map_or(0, |at| at + 1);
            let has_value = args.get(next).is_some_and(|arg| arg == value);
            if has_value { Some(next) } else { at.or_else(|| position(args, value)) }
        }
        None => at,
    }
}

fn position(args: &[String], value: &str) -> Option<usize> {
    args.iter().position(|arg| arg == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_a_run() {
        let checked = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            check(&args)
        };
        for args in [
            &[][..],
            &["--seed", "7"],
            &["--threshold", "errors < 1%", "--threshold=response.p95 < 1s"],
            &["--set", "workloads.w.users=3", "-e", "staging"],
            &["--monitor", "pid", "1"],
        ] {
            assert_eq!(checked(args), Ok(()), "{args:?}");
        }
        for (args, index, message) in [
            (&["--quiet", "--no-such-option"][..], 1, "unexpected argument '--no-such-option'"),
            (&["--seed", "7", "more"], 2, "unexpected argument 'more'"),
            (&["--seed", "seven"], 1, "invalid value 'seven' for '--seed <N>'"),
            (&["--quiet", "--seed=seven"], 1, "invalid value 'seven' for '--seed <N>'"),
            (&["--threshold", "nonsense"], 1, "invalid value 'nonsense' for '--threshold"),
            (&["--quiet", "--seed"], 1, "a value is required for '--seed <N>'"),
            (&["--help"], 0, "this argument prints a text"),
        ] {
            let wrong = checked(args).unwrap_err();
            assert!(wrong.message.starts_with(message), "{args:?}: {wrong:?}");
            assert_eq!(wrong.index, Some(index), "{args:?}: {wrong:?}");
            assert!(!wrong.message.contains(['\n', '\u{1b}']), "{wrong:?}");
        }
        let near = checked(&["--treshold", "errors < 1%"]).unwrap_err();
        assert!(near.help.is_some_and(|help| help.contains("--threshold")));
    }
}
