//! From a plan to an ending: seats the audience, carries the run out, prints the summary.
//!
//! `run` and `hit` both end here: there is one path.
//! Invariant: what can fail before the run fails before the run.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{CommonArgs, OutputArgs};
use super::output::{complain, fail, finish, remark};
use super::screen::ScreenHandle;
use super::signals::Signals;
use super::spellings::SEPARATOR;
use crate::clock;
use crate::control::{ControlHandles, socket};
use crate::event::Report;
use crate::event::control::ControlClient;
use crate::exit::ExitStatus;
use crate::plan::Plan;
use crate::redact::{self, MASK, Redactor, SensitiveNames};
use crate::report::{json, summary};
use crate::run::{self, ControlGuards, MonitorSource, RunOptions};
use crate::sinks::exports::{ExportTarget, Exports, StreamExports};
use crate::sinks::files::RunFiles;
use crate::sinks::folder::RunFolder;
#[cfg(feature = "web")]
use crate::sinks::web;
use crate::sinks::{SinkSet, WhenFull};

/// Whether a run leaves a folder behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputFolder {
    /// Always: the one asked for, or one named after scenario and time.
    Always,
    /// Only when one is asked for.
    IfAsked,
}

/// Carries a plan out.
pub(super) fn launch(plan: Plan, common: &CommonArgs, leaves: OutputFolder) -> ExitStatus {
    let scenario = plan.scenario.clone();
    // Each way not to carry it out replaces an earlier run's report.
    let fail = |why: &dyn Display, ending| fail(&common.output.report, &scenario, why, ending);
    if let Err(ending) = common.output.has_a_place_each(&scenario) {
        return ending;
    }
    let watch = match watched(&common.monitor) {
        Ok(watch) => watch,
        Err(why) => return fail(&why, ExitStatus::Usage),
    };
    let signals = match Signals::hear() {
        Ok(signals) => signals,
        Err(error) => {
            return fail(&format_args!("no thread for signals: {error}"), ExitStatus::Broken);
        }
    };
    let folder = match claim(&plan, common, leaves) {
        Ok(folder) => folder,
        Err(error) => return fail(&error, ExitStatus::Broken),
    };
    let mut audience = SinkSet::default();
    audience.set_hurry(signals.hurry());
    // Nobody who may not change the run has a way to it.
    let remote = (!common.no_control).then(ControlClient::default);
    let (screen, streams) = match add_sinks(&mut audience, common, folder.as_ref(), remote.as_ref())
    {
        Ok(seated) => seated,
        Err(error) => {
            let _ = audience.join();
            folder.as_deref().map(RunFolder::sweep);
            return fail(&error, ExitStatus::Broken);
        }
    };
    let beside = RunOptions {
        command: told(std::env::args_os(), &plan.safety.names),
        shards: common.shards.map(|shards| shards as usize),
        monitors: watch,
    };
    let open = |levers| control(levers, common, &screen, remote.as_ref());
    let listen = |listener| signals.pass_to(listener);
    let report = match run::run(plan, &beside, &mut audience, listen, open) {
        Ok(report) => report,
        Err(trouble) => {
            // What had the terminal gives it back before anything is said on it.
            let _ = audience.join();
            // What was measured stays.
            folder.as_deref().map(RunFolder::sweep);
            if !streams.has_report() {
                return fail(&trouble, trouble.ending());
            }
            let _ = streams.write(None);
            complain(&trouble);
            return trouble.ending();
        }
    };
    let folder = folder.as_ref().map(|folder| folder.path());
    let kept =
        if leaves == OutputFolder::IfAsked { summary::nothing_kept() } else { String::new() };
    tell(audience, &streams, report, &common.output, (folder, &kept))
}

/// What `--monitor` names: its words come joined, or in one word with blanks between them.
fn watched(values: &[String]) -> Result<Vec<MonitorSource>, String> {
    let words = |value: &String| -> Vec<String> {
        let split = if value.contains(SEPARATOR) { SEPARATOR } else { ' ' };
        value.splitn(3, split).map(str::to_owned).collect()
    };
    MonitorSource::parse(&values.iter().flat_map(words).collect::<Vec<String>>())
}

/// Claims the folder that a run leaves behind, before anything else of it is done.
fn claim(
    plan: &Plan,
    common: &CommonArgs,
    leaves: OutputFolder,
) -> io::Result<Option<Arc<RunFolder>>> {
    match (&common.out, leaves) {
        (Some(path), _) => claim_folder(path, common.force).map(Some),
        (None, OutputFolder::Always) => {
            let first = default_folder(&plan.scenario);
            RunFolder::claim_free(&first).map(Some).map_err(|error| unwritable(&first, &error))
        }
        (None, OutputFolder::IfAsked) => Ok(None),
    }
}

/// Claims the folder at `path`.
///
/// # Errors
/// When another run has it, or it cannot be written; the text names it.
pub(super) fn claim_folder(path: &Path, force: bool) -> io::Result<Arc<RunFolder>> {
    RunFiles::claim(path, force).map_err(|error| unwritable(path, &error))
}

fn unwritable(folder: &Path, error: &io::Error) -> io::Error {
    let place = folder.display();
    io::Error::new(error.kind(), format!("cannot write the report to {place}: {error}"))
}

/// Waits for all sinks, writes what waited for them, and shows the summary, with `kept` at its end
/// if there is no file. What could not be written is said in all of it.
pub(super) fn tell(
    audience: SinkSet,
    streams: &StreamExports,
    mut report: Arc<Report>,
    output: &OutputArgs,
    (folder, kept): (Option<&Path>, &str),
) -> ExitStatus {
    let summary = audience.join();
    for (name, frames) in &summary.dropped_frames {
        remark(&format_args!(
            "the {name} was too slow for {frames} of its updates; the report is complete"
        ));
    }
    let failed = summary.error.map(|(name, error)| {
        let why = format!("the report ({name}) could not be written: {error}");
        complain(&why);
        report = Arc::new(report.unwritten(why.clone()));
        why
    });
    if let Err(error) = streams.write(failed) {
        complain(&format_args!("the report could not be written: {error}"));
        return ExitStatus::Broken;
    }
    // Files have their names only now.
    let paths = paths(folder, &output.report);
    finish(print(&report, output, &paths, kept), report.status)
}

/// All that a run wrote: its folder's files, then what else was asked for.
fn paths(folder: Option<&Path>, reports: &[ExportTarget]) -> Vec<PathBuf> {
    let mut paths = folder.map(RunFiles::paths).unwrap_or_default();
    paths.extend(reports.iter().filter_map(|export| export.path.clone()));
    paths
}

fn add_sinks(
    audience: &mut SinkSet,
    common: &CommonArgs,
    folder: Option<&Arc<RunFolder>>,
    remote: Option<&ControlClient>,
) -> io::Result<(ScreenHandle, StreamExports)> {
    add_files(audience, folder)?;
    let streams = add_exports(audience, &common.output.report)?;
    let told = dashboard(audience, common, remote)?;
    let screen = ScreenHandle::add(audience, common, remote)?;
    told.iter().for_each(|text| screen.say(text));
    Ok((screen, streams))
}

/// Opens the dashboard in the browser where one is asked for; what to say of it.
#[cfg(feature = "web")]
fn dashboard(
    audience: &mut SinkSet,
    common: &CommonArgs,
    remote: Option<&ControlClient>,
) -> io::Result<Vec<String>> {
    let Some(place) = common.web else { return Ok(Vec::new()) };
    let opened = web::open(place, remote.cloned()).map_err(|error| {
        let place = place.unwrap_or(web::PLACE);
        io::Error::new(error.kind(), format!("cannot open the dashboard at {place}: {error}"))
    })?;
    // Also where nothing else is shown: without it nobody finds it.
    let mut told = vec![format!("dashboard: {}", opened.url)];
    if opened.is_remote {
        told.push("the dashboard is not on loopback: whoever reaches it sees the run".to_owned());
    }
    audience.add("web", WhenFull::DropNewest, opened.sink)?;
    Ok(told)
}

#[cfg(not(feature = "web"))]
fn dashboard(
    _: &mut SinkSet,
    _: &CommonArgs,
    _: Option<&ControlClient>,
) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Seats what writes a folder.
///
/// # Errors
/// When it cannot be written.
pub(super) fn add_files(audience: &mut SinkSet, folder: Option<&Arc<RunFolder>>) -> io::Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    let files =
        RunFiles::open(Arc::clone(folder)).map_err(|error| unwritable(folder.path(), &error))?;
    audience.add("files", WhenFull::Block, files)
}

/// Seats what writes other forms; what of it waits for the end of all screens.
///
/// # Errors
/// When one of their files cannot be written.
pub(super) fn add_exports(
    audience: &mut SinkSet,
    reports: &[ExportTarget],
) -> io::Result<StreamExports> {
    if reports.is_empty() {
        return Ok(StreamExports::default());
    }
    let exports = Exports::open(reports)?;
    let streams = exports.streams();
    audience.add("reports", WhenFull::Block, exports)?;
    Ok(streams)
}

/// Opens the ways to change the run while it goes on. A run that cannot be controlled is a run all
/// the same.
fn control(
    levers: ControlHandles,
    common: &CommonArgs,
    screen: &ScreenHandle,
    remote: Option<&ControlClient>,
) -> ControlGuards {
    let mut kept = ControlGuards::new();
    if let Some(remote) = remote {
        remote.connect(levers.commands.clone());
        match socket::open(&levers.run, &levers.commands) {
            Ok(door) => kept.push(Box::new(door)),
            Err(error) if common.output.quiet == 0 => {
                screen.complain(&format!("no control socket: {error}"));
            }
            Err(_) => {}
        }
    }
    screen.open(levers, common, &mut kept);
    kept
}

/// The summary, with `kept` at its end if there is no file, or the document, unless something else
/// takes standard output.
fn print(report: &Report, output: &OutputArgs, paths: &[PathBuf], kept: &str) -> io::Result<()> {
    if output.report.iter().any(ExportTarget::takes_output) {
        return Ok(());
    }
    if output.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &json::document(report))?;
        return writeln!(out);
    }
    if output.quiet > 1 {
        return Ok(());
    }
    let mut text = summary::render(report, paths, output.verbose);
    if paths.is_empty() {
        text.push_str(kept);
    }
    anstream::stdout().write_all(redact::redact_secrets(&text).as_bytes())
}

/// The words of the command line as a report may show them: without the values of headers and
/// keys with sensitive names.
fn told(words: impl Iterator<Item = OsString>, names: &SensitiveNames) -> Vec<String> {
    let redactor = Redactor::new(names);
    let mut is_login = false;
    let hide = |word: OsString| {
        // A path may be no text.
        let word = word.to_string_lossy();
        let was_login = std::mem::replace(&mut is_login, word == "-u" || word == "--user");
        if was_login {
            return MASK.to_owned();
        }
        for flag in ["--user=", "-u"] {
            if word.len() > flag.len() && word.starts_with(flag) {
                return format!("{flag}{MASK}");
            }
        }
        let (name, _) = word.split_once(':').unwrap_or((&word, ""));
        let plain = name.trim_start_matches("--header=").trim_start_matches("-H");
        let is_header = plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_header && name.len() < word.len() && redactor.is_sensitive(plain) {
            return format!("{name}: {MASK}");
        }
        redactor.word(&word).into_owned()
    };
    words.map(hide).collect()
}

/// `reports/SCENARIO-TIME`, in UTC, so that names sort by time everywhere.
fn default_folder(scenario: &str) -> PathBuf {
    let name: String = scenario
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect();
    let name = name.trim_start_matches('.');
    let time = humantime::format_rfc3339_seconds(clock::wall()).to_string();
    let time = time.replace([':', '-'], "").replace('Z', "");
    PathBuf::from("reports").join(format!("{name}-{time}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_command_is_told_without_its_logins_whatever_its_bytes_are() {
        for (word, shown) in [
            (&b"--out"[..], "--out"),
            (b"reports/\xff", "reports/\u{fffd}"),
            (b"Cookie: a=b; c=d&e,f", "Cookie: ***"),
            (b"--header=Authorization: Basic a, b", "--header=Authorization: ***"),
            (b"-HX-Api-Key: a", "-HX-Api-Key: ***"),
            (b"http://u:p@127.0.0.1:9090", "http://***@127.0.0.1:9090"),
            (b"http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ] {
            let words = [OsString::from_vec(word.to_vec())];
            assert_eq!(told(words.into_iter(), &SensitiveNames::default()), [shown]);
        }
        let words = ["hit", "-u", "me:pw", "--user", "a:b", "--user=c:d", "-ue:f", "-U"];
        let told = told(words.into_iter().map(OsString::from), &SensitiveNames::default());
        assert_eq!(told, ["hit", "-u", "***", "--user", "***", "--user=***", "-u***", "-U"]);
    }
}
