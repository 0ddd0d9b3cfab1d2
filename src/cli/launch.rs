//! From a plan to an ending: seats the audience, carries the run out, prints the summary.
//!
//! `run` and `hit` both end here: there is one path.
//! Invariant: what can fail before the run fails before the run.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::door;
use super::output::{complain, finish};
use super::screen::Screen;
use super::signals::Signals;
use super::words::{Common, Output};
use crate::clock;
use crate::event::Report;
use crate::event::wish::Remote;
use crate::exit::Ending;
use crate::mask;
use crate::plan::Plan;
use crate::run::{self, Beside, Kept, Levers, Watched};
use crate::sinks::exports::{Export, Exports, Streams};
use crate::sinks::files::Files;
#[cfg(feature = "web")]
use crate::sinks::web;
use crate::sinks::{Audience, Full, json, summary};

/// Whether a run leaves a folder behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// Always: the one asked for, or one named after scenario and time.
    Always,
    /// Only when one is asked for.
    IfAsked,
}

/// Carries a plan out.
pub(super) fn launch(plan: Plan, common: &Common, folder: Folder) -> Ending {
    let folder = match (&common.out, folder) {
        (Some(folder), _) => Some(folder.clone()),
        (None, Folder::Always) => Some(free_folder(&plan.scenario)),
        (None, Folder::IfAsked) => None,
    };
    let watch = match Watched::parse(&common.watch) {
        Ok(watch) => watch,
        Err(why) => {
            complain(&why);
            return Ending::Usage;
        }
    };
    let signals = match Signals::hear() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format_args!("no thread for signals: {error}"));
            return Ending::Broken;
        }
    };
    let mut audience = Audience::default();
    audience.set_hurry(signals.hurry());
    // Nobody who may not change the run has a way to it.
    let remote = (!common.no_control).then(Remote::default);
    let (screen, streams) = match seat(&mut audience, common, folder.as_ref(), remote.as_ref()) {
        Ok(seated) => seated,
        Err(error) => {
            complain(&error);
            let _ = audience.leave();
            folder.as_deref().map(Files::sweep);
            return Ending::Broken;
        }
    };
    let beside = Beside {
        command: told(std::env::args_os()),
        shards: common.shards.map(|shards| shards as usize),
        watch,
    };
    let open = |levers| control(levers, common, &screen, remote.as_ref());
    let listen = |listener| signals.pass_to(listener);
    let report = match run::run(plan, &beside, &mut audience, listen, open) {
        Ok(report) => report,
        Err(trouble) => {
            // What had the terminal gives it back before anything is said on it.
            let _ = audience.leave();
            let _ = streams.write();
            complain(&trouble);
            // Files that were made but never written are no report; what was measured stays.
            folder.as_deref().map(Files::sweep);
            return trouble.ending();
        }
    };
    let written = leave(audience, &streams);
    let paths = paths(folder.as_deref(), &common.output.report);
    let ending = finish(print(&report, &common.output, &paths), report.ending);
    after(written, ending)
}

/// Waits for all sinks, then writes what waited for them.
pub(super) fn leave(
    audience: Audience,
    streams: &Streams,
) -> Result<(), (&'static str, io::Error)> {
    let written = audience.leave();
    written.and(streams.write().map_err(|error| ("reports", error)))
}

/// How the program ends once all sinks have left.
pub(super) fn after(written: Result<(), (&'static str, io::Error)>, ending: Ending) -> Ending {
    match written {
        Ok(()) => ending,
        Err((name, error)) => {
            complain(&format_args!("the report ({name}) could not be written: {error}"));
            Ending::Broken
        }
    }
}

/// All that a run wrote: its folder's files, then what else was asked for.
pub(super) fn paths(folder: Option<&Path>, reports: &[Export]) -> Vec<PathBuf> {
    let mut paths = folder.map(Files::paths).unwrap_or_default();
    paths.extend(reports.iter().filter_map(|export| export.path.clone()));
    paths
}

fn seat(
    audience: &mut Audience,
    common: &Common,
    folder: Option<&PathBuf>,
    remote: Option<&Remote>,
) -> io::Result<(Screen, Streams)> {
    seat_files(audience, folder.map(PathBuf::as_path), common.force)?;
    let streams = seat_exports(audience, &common.output.report)?;
    let told = dashboard(audience, common, remote)?;
    let screen = Screen::seat(audience, common, remote)?;
    told.iter().for_each(|text| screen.say(text));
    Ok((screen, streams))
}

/// Opens the dashboard in the browser where one is asked for; what to say of it.
#[cfg(feature = "web")]
fn dashboard(
    audience: &mut Audience,
    common: &Common,
    remote: Option<&Remote>,
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
    audience.seat("web", Full::Drop, opened.sink)?;
    Ok(told)
}

#[cfg(not(feature = "web"))]
fn dashboard(_: &mut Audience, _: &Common, _: Option<&Remote>) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Seats what writes a folder.
///
/// # Errors
/// When it cannot be written.
pub(super) fn seat_files(
    audience: &mut Audience,
    folder: Option<&Path>,
    force: bool,
) -> io::Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    let files = Files::open(folder, force).map_err(|error| {
        let place = folder.display();
        io::Error::new(error.kind(), format!("cannot write the report to {place}: {error}"))
    })?;
    audience.seat("files", Full::Wait, files)
}

/// Seats what writes other forms; what of it waits for the end of all screens.
///
/// # Errors
/// When one of their files cannot be written.
pub(super) fn seat_exports(audience: &mut Audience, reports: &[Export]) -> io::Result<Streams> {
    if reports.is_empty() {
        return Ok(Streams::default());
    }
    let exports = Exports::open(reports)?;
    let streams = exports.streams();
    audience.seat("reports", Full::Wait, exports)?;
    Ok(streams)
}

/// Opens the ways to change the run while it goes on. A run that cannot be controlled is a run all
/// the same.
fn control(levers: Levers, common: &Common, screen: &Screen, remote: Option<&Remote>) -> Kept {
    let mut kept = Kept::new();
    if let Some(remote) = remote {
        remote.connect(levers.wishes.clone());
        match door::open(&levers.run, &levers.wishes) {
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

/// The summary, or the document, unless something else takes standard output.
pub(super) fn print(report: &Report, output: &Output, paths: &[PathBuf]) -> io::Result<()> {
    if output.report.iter().any(Export::takes_output) {
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
    let text = summary::render(report, paths);
    anstream::stdout().write_all(mask::hide(&text).as_bytes())
}

/// The words of the command line as a report may show them: without what headers that carry logins
/// say, and what else names a login.
fn told(words: impl Iterator<Item = OsString>) -> Vec<String> {
    let hide = |word: OsString| {
        // A path may be no text.
        let word = word.to_string_lossy();
        let (name, _) = word.split_once(':').unwrap_or((&word, ""));
        let plain = name.trim_start_matches("--header=").trim_start_matches("-H");
        if mask::is_login(plain) {
            return format!("{name}: ***");
        }
        mask::hide_words(&word).into_owned()
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

/// The first folder of that name that does not exist yet: runs may begin in the same second.
fn free_folder(scenario: &str) -> PathBuf {
    let first = default_folder(scenario);
    let numbered = (2..).map(|n| PathBuf::from(format!("{}-{n}", first.display())));
    let all = std::iter::once(first.clone()).chain(numbered);
    all.into_iter().find(|folder| !folder.exists()).unwrap_or(first)
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
            assert_eq!(told([OsString::from_vec(word.to_vec())].into_iter()), [shown]);
        }
    }
}
