//! `manada control`: which runs there are, and what one of them is to do.
//!
//! Invariant: it changes nothing itself; the run answers, or refuses and says why.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use super::output::{complain, finish};
use crate::control::registry::{self, RegisteredRun};
use crate::event::ControlCommand;
use crate::event::control::MAX_LINE;
use crate::exit::ExitStatus;
use crate::suggest::nearest;

/// How long a run may take to answer; its dispatcher may be writing files.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where all runs are listed.
const LIST_PATIENCE: Duration = Duration::from_secs(1);

/// The longest answer that is read: a status of thousands of workloads.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  manada control                                     which runs can be controlled
  manada control shop-peak status                    how it stands, as JSON
  manada control - pause                             the only run there is
  manada control 4711 scale api 150%
  manada control shop-peak rate api 200/s
  manada control shop-peak breaker service shop open
  manada control shop-peak mute 'product page'
  manada control shop-peak mark cache is off now

Commands (W: a workload; left out: all that it fits):
  pause [W], resume [W], toggle [W], scale [W] 0.5|150%|+10%|-10%, rate [W] 200/s, users [W] 300,
  plan [W], breaker NAME open|close|reset, mute STEP, unmute STEP, mark TEXT, status, stop, help

Exit codes: 0 done, 1 no such run, or refused, 2 usage.")]
pub(super) struct Args {
    /// Which run: its scenario's name, its process's number, or - for the only one; left out: all
    /// are listed
    run: Option<String>,
    /// What it is to do, e.g. scale api 150%
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let folder = registry::folder();
    let found = match registry::secure(&folder) {
        Ok(()) => registry::all(&folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            complain(&format_args!("{}: {error}", folder.display()));
            return ExitStatus::Broken;
        }
    };
    let Some(wanted) = &args.run else { return list(&found) };
    let words = args.command.join(" ");
    if let Err(why) = ControlCommand::parse(&words) {
        complain(&why);
        return ExitStatus::Usage;
    }
    if words.len() > MAX_LINE || words.contains(['\n', '\r']) {
        complain(&format_args!("a command is one line of at most {MAX_LINE} bytes"));
        return ExitStatus::Usage;
    }
    let answer = choose(&found, wanted).and_then(|run| {
        let asked = ask(run, &words, PATIENCE);
        asked.map_err(|error| format!("{} ({}) does not answer: {error}", run.name, run.pid))?
    });
    match answer {
        Ok(text) => finish(writeln!(io::stdout(), "{text}"), ExitStatus::Pass),
        Err(why) => {
            complain(&why);
            ExitStatus::Broken
        }
    }
}

fn list(found: &[RegisteredRun]) -> ExitStatus {
    if found.is_empty() {
        complain(&"no run can be controlled: none goes on, or with `--no-control`");
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

/// Whether a run says that all its load is paused; one that does not answer in time does not say.
fn is_paused(run: &RegisteredRun) -> bool {
    let status = ask(run, "status", LIST_PATIENCE).ok().and_then(Result::ok);
    let status = status.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    status.is_some_and(|status| status["paused"] == true)
}

/// The run that is meant.
fn choose<'r>(found: &'r [RegisteredRun], wanted: &str) -> Result<&'r RegisteredRun, String> {
    let pid = wanted.parse::<u32>().ok();
    let is_meant =
        |run: &&RegisteredRun| wanted == "-" || run.name == wanted || pid == Some(run.pid);
    let meant: Vec<&RegisteredRun> = found.iter().filter(is_meant).collect();
    let names = found.iter().map(|run| run.name.as_str());
    match (meant.as_slice(), found) {
        ([only], _) => Ok(only),
        ([], []) => Err("no run can be controlled: none goes on, or with `--no-control`".into()),
        ([], _) => {
            let near = nearest(wanted, names.clone());
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let all: Vec<&str> = names.collect();
            Err(format!("there is no run `{wanted}`: expected one of {}{near}", all.join(", ")))
        }
        (several, _) => {
            let pids: Vec<String> =
                several.iter().map(|run| format!("{} ({})", run.pid, run.name)).collect();
            Err(format!(
                "several runs may be meant: expected the number of one: {}",
                pids.join(", ")
            ))
        }
    }
}

/// Sends a command and waits for the reply at most `patience`; the reply in words, or why it was
/// refused.
fn ask(run: &RegisteredRun, words: &str, patience: Duration) -> io::Result<Result<String, String>> {
    let mut stream = UnixStream::connect(&run.socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(format!("{words}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line)
        .map_err(|_| io::Error::other("it sent us away: too many ask at once"))?;
    Ok(match (&answer["ok"], &answer["error"]) {
        (Value::String(words), _) => Ok(words.clone()),
        (_, Value::String(why)) => Err(why.clone()),
        (data, _) => Ok(data.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_meant_by_name_by_number_or_alone() {
        let run = |name: &str, pid| RegisteredRun { name: name.into(), pid, socket: "/s".into() };
        let two = [run("shop", 7), run("api", 9)];
        let same = [run("shop", 7), run("shop", 8)];
        for (found, wanted, meant) in [
            (&two[..], "shop", Ok(7)),
            (&two[..], "9", Ok(9)),
            (&two[..1], "-", Ok(7)),
            (&two[..], "-", Err("expected the number of one: 7 (shop), 9 (api)")),
            (&same[..], "shop", Err("7 (shop), 8 (shop)")),
            (&same[..], "8", Ok(8)),
            (&two[..], "sohp", Err("did you mean `shop`?")),
            (&[], "shop", Err("no run can be controlled")),
        ] {
            match (choose(found, wanted), meant) {
                (Ok(run), Ok(pid)) => assert_eq!(run.pid, pid, "{wanted}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{wanted}: {why}"),
                (other, _) => panic!("{wanted}: {other:?}"),
            }
        }
    }
}
