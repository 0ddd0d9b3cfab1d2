//! From a plan to an ending: seats the audience, carries the run out, prints the summary.
//!
//! `run` and `hit` both end here: there is one path.
//! Invariant: what can fail before the run fails before the run.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[cfg(feature = "web")]
use super::output::remark;
use super::output::{complain, finish};
use super::words::{Common, Ui};
use super::{door, keys};
use crate::clock;
use crate::event::wish::Remote;
use crate::event::{Interrupt, Report};
use crate::exit::Ending;
use crate::mask;
use crate::plan::Plan;
use crate::run::{self, Kept, Levers};
use crate::sinks::files::Files;
use crate::sinks::progress::{Bars, Lines};
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
    let (mut audience, remote) = (Audience::default(), Remote::default());
    if let Err(error) = seat(&mut audience, common, folder.as_ref(), &remote) {
        complain(&error);
        return Ending::Broken;
    }
    let shards = common.shards.map(|shards| shards as usize);
    let control = |levers| control(levers, common, &remote);
    let report = match run::run(plan, shards, &mut audience, listen, control) {
        Ok(report) => report,
        Err(trouble) => {
            complain(&trouble);
            // Files that were made but never written are no report; what was measured stays.
            let _ = audience.leave();
            folder.as_deref().map(Files::sweep);
            return trouble.ending();
        }
    };
    let written = audience.leave();
    let paths = folder.as_deref().map(Files::paths).unwrap_or_default();
    let ending = finish(print(&report, common, &paths), report.ending);
    match written {
        Ok(()) => ending,
        Err((name, error)) => {
            complain(&format_args!("the report ({name}) could not be written: {error}"));
            Ending::Broken
        }
    }
}

fn seat(
    audience: &mut Audience,
    common: &Common,
    folder: Option<&PathBuf>,
    remote: &Remote,
) -> io::Result<()> {
    if let Some(folder) = folder {
        let files = Files::open(folder, common.force).map_err(|error| {
            let place = folder.display();
            io::Error::new(error.kind(), format!("cannot write the report to {place}: {error}"))
        })?;
        audience.seat("files", Full::Wait, files)?;
    }
    dashboard(audience, common, remote)?;
    match screen(common) {
        Ui::Bar => audience.seat("bar", Full::Drop, Bars::new()),
        Ui::Plain => audience.seat("plain", Full::Drop, Lines::new(common.verbose)),
        Ui::None | Ui::Auto => Ok(()),
    }
}

/// Opens the dashboard where one is asked for, and says where it is.
#[cfg(feature = "web")]
fn dashboard(audience: &mut Audience, common: &Common, remote: &Remote) -> io::Result<()> {
    let Some(place) = common.web else { return Ok(()) };
    let remote = (!common.no_control).then(|| remote.clone());
    let opened = web::open(place, remote).map_err(|error| {
        let place = place.unwrap_or(web::PLACE);
        io::Error::new(error.kind(), format!("cannot open the dashboard at {place}: {error}"))
    })?;
    if opened.is_remote {
        complain(&"the dashboard is not on loopback: whoever reaches it sees the run");
    }
    // Also where nothing else is shown: without it nobody finds it.
    remark(&format_args!("dashboard: {}", opened.url));
    audience.seat("web", Full::Drop, opened.sink)
}

#[cfg(not(feature = "web"))]
fn dashboard(_: &mut Audience, _: &Common, _: &Remote) -> io::Result<()> {
    Ok(())
}

/// What is shown.
fn screen(common: &Common) -> Ui {
    match common.ui {
        _ if common.quiet > 0 => Ui::None,
        Ui::Auto if io::stderr().is_terminal() && !common.verbose => Ui::Bar,
        Ui::Auto => Ui::Plain,
        asked => asked,
    }
}

/// Opens the ways to change the run while it goes on. A run that cannot be controlled is a run all
/// the same.
fn control(levers: Levers, common: &Common, remote: &Remote) -> Kept {
    let mut kept = Kept::new();
    if common.no_control {
        return kept;
    }
    remote.connect(levers.wishes.clone());
    match door::open(&levers.run, &levers.wishes) {
        Ok(door) => kept.push(Box::new(door)),
        Err(error) if common.quiet == 0 => complain(&format_args!("no control socket: {error}")),
        Err(_) => {}
    }
    if screen(common) == Ui::Bar && keys::there_are() {
        match keys::listen(levers) {
            Ok(keys) => kept.push(Box::new(keys)),
            Err(error) => complain(&format_args!("no keys: {error}")),
        }
    }
    kept
}

fn print(report: &Report, common: &Common, paths: &[PathBuf]) -> io::Result<()> {
    if common.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &json::document(report))?;
        return writeln!(out);
    }
    if common.quiet > 1 {
        return Ok(());
    }
    let text = summary::render(report, paths);
    anstream::stdout().write_all(mask::hide(&text).as_bytes())
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

/// Passes signals on for as long as the run lasts.
#[expect(clippy::needless_pass_by_value, reason = "each task keeps a clone of its own")]
fn listen(told: mpsc::Sender<Interrupt>) {
    for (kind, interrupt) in
        [(SignalKind::interrupt(), Interrupt::Int), (SignalKind::terminate(), Interrupt::Term)]
    {
        // Without a handler a signal ends the process at once, as it would have anyway.
        let Ok(mut signals) = signal(kind) else { continue };
        let told = told.clone();
        tokio::task::spawn_local(async move {
            while signals.recv().await.is_some() {
                if told.send(interrupt).await.is_err() {
                    return;
                }
            }
        });
    }
}
