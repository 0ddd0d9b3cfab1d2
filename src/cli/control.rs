//! `manada control`: lists runs, and sends a command to one of them.
//!
//! Invariant: it changes nothing itself; the run replies, or refuses and says why.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use super::output::{finish, print_error};
use crate::control::registry::{self, RegisteredRun};
use crate::event::ControlCommand;
use crate::event::control::MAX_LINE;
use crate::exit::ExitStatus;
use crate::suggest::did_you_mean;

/// Timeout for a run's reply, because its dispatcher may be writing files.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for each run while all are listed.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum reply, bytes: a status of thousands of workloads.
const MAX_REPLY: u64 = 16 << 20;

/// The examples of `--help`.
const EXAMPLES: &str = "\
Examples:
  manada control                                     list the runs that can be controlled
  manada control shop-peak status                    state of the run as JSON
  manada control - pause                             the only run
  manada control 4711 scale api 150%
  manada control shop-peak rate api 200/s
  manada control shop-peak breaker service shop open
  manada control shop-peak mute 'product page'
  manada control shop-peak mark cache is off now";

/// The exit codes of `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    no such run, or the run refused the command
  2    invalid command-line arguments";

/// All commands with their meanings, as a section of the help.
fn commands() -> String {
    let lines = ControlCommand::help();
    let lines: String = lines.lines().flat_map(|line| ["\n  ", line]).collect();
    format!("Commands (W: a workload; default: all that the command applies to):{lines}")
}

#[derive(Debug, clap::Args)]
#[command(after_help = commands())]
#[command(after_long_help = [EXAMPLES, &commands(), EXIT_CODES].join("\n\n"))]
pub(super) struct Args {
    /// Scenario name, process ID, or - for the only run
    ///
    /// Without it, the runs are listed.
    run: Option<String>,
    /// Command, e.g. pause or scale api 150%; see --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let folder = registry::folder();
    let found = match registry::ensure_private(&folder) {
        Ok(()) => registry::active_runs(&folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            print_error(&format_args!("{}: {error}", folder.display()));
            return ExitStatus::Broken;
        }
    };
    let Some(selector) = &args.run else { return list(&found) };
    let words = args.command.join(" ");
    if let Err(why) = ControlCommand::parse(&words) {
        print_error(&why);
        return ExitStatus::Usage;
    }
    if words.len() > MAX_LINE || words.contains(['\n', '\r']) {
        print_error(&format_args!("command too long: one line of at most {MAX_LINE} bytes"));
        return ExitStatus::Usage;
    }
    let reply = choose(&found, selector).and_then(|run| {
        let result = ask(run, &words, REPLY_TIMEOUT);
        result.map_err(|error| format!("{} ({}) does not reply: {error}", run.name, run.pid))?
    });
    match reply {
        Ok(text) => finish(writeln!(io::stdout(), "{text}"), ExitStatus::Pass),
        Err(why) => {
            print_error(&why);
            ExitStatus::Broken
        }
    }
}

fn list(found: &[RegisteredRun]) -> ExitStatus {
    if found.is_empty() {
        print_error(&"no run to control: none is running, or all have `--no-control`");
    }
    let widest = found.iter().map(|run| run.name.len()).max().unwrap_or(0);
    let mut out = io::stdout().lock();
    let mut lines = found.iter().map(|run| {
        let state = if is_paused(run) { "  paused" } else { "" };
        writeln!(out, "{:<widest$}  {}{state}", run.name, run.pid)
    });
    let written = lines.try_for_each(|line| line);
    drop(lines);
    finish(written, ExitStatus::Pass)
}

/// Whether a run reports that all its load is paused; `false` if it does not reply in time.
fn is_paused(run: &RegisteredRun) -> bool {
    let status = ask(run, "status", LIST_TIMEOUT).ok().and_then(Result::ok);
    let status = status.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    status.is_some_and(|status| status["paused"] == true)
}

/// Returns the run that the argument selects.
fn choose<'r>(found: &'r [RegisteredRun], selector: &str) -> Result<&'r RegisteredRun, String> {
    let pid = selector.parse::<u32>().ok();
    let is_selected =
        |run: &&RegisteredRun| selector == "-" || run.name == selector || pid == Some(run.pid);
    let selected: Vec<&RegisteredRun> = found.iter().filter(is_selected).collect();
    let names = found.iter().map(|run| run.name.as_str());
    match (selected.as_slice(), found) {
        ([only], _) => Ok(only),
        ([], []) => Err("no run to control: none is running, or all have `--no-control`".into()),
        ([], _) => {
            let suggestion = did_you_mean(selector, names.clone());
            let all: Vec<&str> = names.collect();
            Err(format!("unknown run `{selector}`; expected one of {}{suggestion}", all.join(", ")))
        }
        (several, _) => {
            let pids: Vec<String> =
                several.iter().map(|run| format!("{} ({})", run.pid, run.name)).collect();
            Err(format!("several runs match; select one by its process ID: {}", pids.join(", ")))
        }
    }
}

/// Sends a command and waits for the reply, at most `timeout`. Returns the reply, or why the
/// command was refused.
fn ask(run: &RegisteredRun, words: &str, timeout: Duration) -> io::Result<Result<String, String>> {
    let mut stream = UnixStream::connect(&run.socket)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(format!("{words}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REPLY)).read_line(&mut line)?;
    let reply: Value = serde_json::from_str(&line)
        .map_err(|_| io::Error::other("too many clients are connected; try again"))?;
    Ok(match (&reply["ok"], &reply["error"]) {
        (Value::String(words), _) => Ok(words.clone()),
        (_, Value::String(why)) => Err(why.clone()),
        (data, _) => Ok(data.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_selected_by_name_pid_or_alone() {
        let run = |name: &str, pid| RegisteredRun { name: name.into(), pid, socket: "/s".into() };
        let two = [run("shop", 7), run("api", 9)];
        let same = [run("shop", 7), run("shop", 8)];
        for (found, selector, selected) in [
            (&two[..], "shop", Ok(7)),
            (&two[..], "9", Ok(9)),
            (&two[..1], "-", Ok(7)),
            (&two[..], "-", Err("select one by its process ID: 7 (shop), 9 (api)")),
            (&same[..], "shop", Err("7 (shop), 8 (shop)")),
            (&same[..], "8", Ok(8)),
            (&two[..], "sohp", Err("did you mean `shop`?")),
            (&[], "shop", Err("no run to control")),
        ] {
            match (choose(found, selector), selected) {
                (Ok(run), Ok(pid)) => assert_eq!(run.pid, pid, "{selector}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{selector}: {why}"),
                (other, _) => panic!("{selector}: {other:?}"),
            }
        }
    }
}
