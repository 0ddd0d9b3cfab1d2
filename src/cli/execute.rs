//! Executes a plan: starts the sinks, runs it, prints the summary.
//!
//! `run` and `hit` both call it, so there is one path.
//! Invariant: whatever can fail before the load fails before it.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::args::{CommonArgs, OutputArgs};
use super::call_args::CallFiles;
#[cfg(feature = "history")]
use super::history_writer::HistoryWriter;
use super::load_generators::LoadGenerators;
use super::metrics::MetricsReceivers;
use super::output::{fail, finish, print_error, print_remark};
use super::output_folder::{OutputFolder, unwritable};
use super::prepare::PreparedRun;
use super::screen::ScreenHandle;
use super::shown_command::shown_command;
use crate::control::{ControlHandles, socket};
use crate::event::control_request::ControlClient;
use crate::event::{Report, record};
use crate::exit::ExitStatus;
use crate::plan::Plan;
use crate::redact;
use crate::report::layout::{self, PeerLayout};
use crate::report::{json, summary};
use crate::run::agents::keep_journal;
use crate::run::{self, ControlGuards, RunError, RunOptions};
use crate::sinks::disk_budget::{DiskBudget, OutputKind};
use crate::sinks::exports::{ExportTarget, Exports, StreamExports};
use crate::sinks::files::RunFiles;
use crate::sinks::folder::RunFolder;
#[cfg(feature = "web")]
use crate::sinks::web;
use crate::sinks::{SinkSet, SinkSummary, WhenFull};
use crate::units::counted;

/// What a finished run prints, and its files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResultOutput<'a> {
    /// The folder that was written.
    pub(super) folder: Option<&'a Path>,
    /// Printed after the summary if no file was written.
    pub(super) note: &'a str,
    /// The layout of another tool, in place of the summary.
    pub(super) layout: Option<PeerLayout>,
}

/// What leaves a run beside its reports.
struct SideOutputs {
    metrics: MetricsReceivers,
    calls: CallFiles,
}

impl SideOutputs {
    /// Waits for receivers of metrics, and prints what was lost or left out.
    fn finish(self, hurry: &AtomicBool) {
        self.metrics.finish(hurry);
        self.calls.finish();
    }
}

/// Executes a plan; `layout` replaces the summary.
pub(super) fn execute_plan(
    plan: Plan,
    common: &CommonArgs,
    folder_use: OutputFolder,
    layout: Option<PeerLayout>,
    mut generators: LoadGenerators,
) -> ExitStatus {
    let scenario = plan.scenario.clone();
    // Every failure replaces the report of an earlier run.
    let fail = |why: &dyn Display, status| fail(&common.output.report, &scenario, why, status);
    if let Err(status) = common.check_destinations(&scenario) {
        return status;
    }
    let prices = match common.cost.prices() {
        Ok(prices) => prices,
        Err(status) => return status,
    };
    let prepared = match PreparedRun::new(&plan, common, folder_use, &generators) {
        Ok(prepared) => prepared,
        Err((why, status)) => return fail(&why, status),
    };
    let (folder, signals) = (prepared.folder.clone(), prepared.signals.clone());
    let mut sinks = SinkSet::default();
    sinks.set_hurry(signals.hurry());
    sinks.set_disk(DiskBudget::new(plan.safety.ceilings.disk()));
    let disk = sinks.disk().clone();
    // Without live control no sink gets a client.
    let client = (!common.no_control).then(ControlClient::default);
    let added = add_sinks(&mut sinks, &plan, common, folder.as_ref(), client.as_ref());
    let (screen, streams, side) = match added {
        Ok(added) => added,
        Err(error) => {
            let _ = sinks.join();
            folder.as_deref().map(RunFolder::sweep);
            return fail(&error, status_of(&error));
        }
    };
    #[cfg(feature = "history")]
    let history = {
        let is_default = folder_use == OutputFolder::Always;
        let commit = prepared.commit.clone();
        HistoryWriter::begin(&plan, commit, &common.history, is_default, &mut sinks)
    };
    if let (Some(agents), Some(folder)) = (&mut generators.agents, &folder) {
        keep_journal(agents, folder.path());
    }
    let options = RunOptions { prices, ..run_options(&plan, generators, prepared) };
    let open = |handles| control(handles, common, &screen, client.as_ref());
    let listen = |listener| signals.pass_to(listener);
    let report = match run::run(plan, &options, &mut sinks, listen, open) {
        Ok(report) => report,
        Err(trouble) => {
            // The dashboard gives the terminal back before anything is printed on it.
            let _ = sinks.join();
            // The folder keeps what was measured.
            folder.as_deref().map(RunFolder::sweep);
            side.calls.log_failure(&trouble.to_string(), trouble.ending());
            return if streams.has_report() {
                end_without_report(&streams, &trouble)
            } else {
                fail(&trouble, trouble.ending())
            };
        }
    };
    let folder = folder.as_ref().map(|folder| folder.path());
    let note = (folder_use == OutputFolder::IfGiven).then(summary::nothing_kept);
    let result = ResultOutput { folder, note: note.as_deref().unwrap_or_default(), layout };
    let summary = sinks.join();
    screen.wait_until_left(&signals.hurry());
    side.finish(&signals.hurry());
    if disk.take_ended().contains(&OutputKind::Final) {
        print_remark(&format_args!("{}", disk.missing_reports()));
    }
    let status = finish_report(summary, &streams, Arc::clone(&report), &common.output, &result);
    #[cfg(feature = "history")]
    history.write(&report);
    if let Some(folder) = folder.filter(|_| status != ExitStatus::Broken) {
        // The run is over: no other coordinator goes on with it. There may be none.
        drop(fs::remove_file(folder.join(record::FLEET_JOURNAL)));
    }
    status
}

/// Writes the reports that wait for standard output, and prints why the run failed after them.
fn end_without_report(streams: &StreamExports, trouble: &RunError) -> ExitStatus {
    let _ = streams.write(None);
    print_error(trouble);
    trouble.ending()
}

/// The status for an option that is wrong, or for what the system refuses.
fn status_of(error: &io::Error) -> ExitStatus {
    match error.kind() {
        io::ErrorKind::InvalidInput => ExitStatus::Usage,
        _ => ExitStatus::Broken,
    }
}

/// What the run needs to know beside its plan.
fn run_options(plan: &Plan, generators: LoadGenerators, prepared: PreparedRun) -> RunOptions {
    let command = || shown_command(std::env::args_os(), &plan.safety.names);
    RunOptions {
        command: generators.command.unwrap_or_else(command),
        words: std::env::args_os().collect(),
        size: generators.size,
        on_loss: generators.on_loss,
        agents: generators.agents,
        monitors: prepared.monitors,
        sandbox: prepared.sandbox,
        prices: None,
        targets: prepared.targets,
    }
}

/// Writes the reports to standard output once all sinks have ended, and prints the result. All of
/// these name files that could not be written.
pub(super) fn finish_report(
    summary: SinkSummary,
    streams: &StreamExports,
    mut report: Arc<Report>,
    output: &OutputArgs,
    result: &ResultOutput<'_>,
) -> ExitStatus {
    for (name, frames) in &summary.dropped_frames {
        print_remark(&format_args!(
            "the {name} display skipped {}, since it was too slow; the report is complete",
            counted(*frames, "update")
        ));
    }
    let failed = summary.error.map(|(name, error)| {
        let why = format!("cannot write the report ({name}): {error}");
        print_error(&why);
        report = Arc::new(report.with_write_error(why.clone()));
        why
    });
    if let Err(error) = streams.write(failed) {
        print_error(&format_args!("cannot write the report: {error}"));
        return ExitStatus::Broken;
    }
    // Files have their final names only now.
    let paths = paths(result.folder, &output.report);
    finish(print(&report, output, &paths, result), report.status)
}

/// Returns all files of a run: those of its folder, then those of `--report`.
fn paths(folder: Option<&Path>, reports: &[ExportTarget]) -> Vec<PathBuf> {
    let mut paths = folder.map(RunFiles::paths).unwrap_or_default();
    paths.extend(reports.iter().filter_map(|export| export.path.clone()));
    paths
}

fn add_sinks(
    sinks: &mut SinkSet,
    plan: &Plan,
    common: &CommonArgs,
    folder: Option<&Arc<RunFolder>>,
    client: Option<&ControlClient>,
) -> io::Result<(ScreenHandle, StreamExports, SideOutputs)> {
    add_files(sinks, folder)?;
    let streams = add_exports(sinks, &common.output.report)?;
    let mut lines = dashboard(sinks, common, client)?;
    let (metrics, more) = common.metrics.open(plan, sinks)?;
    lines.extend(more);
    let calls = common.calls.open(plan, sinks)?;
    let screen = ScreenHandle::add(sinks, common, client)?;
    lines.iter().for_each(|text| screen.print_remark(text));
    Ok((screen, streams, SideOutputs { metrics, calls }))
}

/// Starts the dashboard in the browser, if requested; returns lines to print.
#[cfg(feature = "web")]
fn dashboard(
    sinks: &mut SinkSet,
    common: &CommonArgs,
    client: Option<&ControlClient>,
) -> io::Result<Vec<String>> {
    let Some(place) = common.web else { return Ok(Vec::new()) };
    let opened = web::open(place, client.cloned()).map_err(|error| {
        let place = place.unwrap_or(web::PLACE);
        io::Error::new(error.kind(), format!("cannot open the dashboard at {place}: {error}"))
    })?;
    // Printed even if nothing else is, because the URL cannot be guessed.
    let mut lines = vec![format!("dashboard: {}", opened.url)];
    if opened.is_remote {
        lines.push(
            "the dashboard is not on loopback: every machine that reaches it can see the run"
                .to_owned(),
        );
    }
    sinks.add("web", WhenFull::DropNewest, opened.sink)?;
    Ok(lines)
}

#[cfg(not(feature = "web"))]
fn dashboard(
    _: &mut SinkSet,
    _: &CommonArgs,
    _: Option<&ControlClient>,
) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Adds the sink that writes a folder.
///
/// # Errors
/// If it cannot be written.
pub(super) fn add_files(sinks: &mut SinkSet, folder: Option<&Arc<RunFolder>>) -> io::Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    folder.set_disk(sinks.disk().clone());
    let files =
        RunFiles::open(Arc::clone(folder)).map_err(|error| unwritable(folder.path(), &error))?;
    sinks.add("files", WhenFull::Block, files)
}

/// Adds the sink that writes reports in other formats; those for standard output wait until all
/// screens have ended.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn add_exports(
    sinks: &mut SinkSet,
    reports: &[ExportTarget],
) -> io::Result<StreamExports> {
    if reports.is_empty() {
        return Ok(StreamExports::default());
    }
    let mut exports = Exports::open(reports)?;
    exports.count_in(sinks.disk().clone());
    let streams = exports.streams();
    sinks.add("reports", WhenFull::Block, exports)?;
    Ok(streams)
}

/// Opens live control. A run without it is not an error.
fn control(
    handles: ControlHandles,
    common: &CommonArgs,
    screen: &ScreenHandle,
    client: Option<&ControlClient>,
) -> ControlGuards {
    let mut guards = ControlGuards::new();
    if let Some(client) = client {
        client.connect(handles.commands.clone());
        match socket::open(&handles.run, &handles.commands) {
            Ok(socket) => guards.push(Box::new(socket)),
            Err(error) if common.output.quiet == 0 => {
                screen.print_error(&format!("cannot open the control socket: {error}"));
            }
            Err(_) => {}
        }
    }
    screen.open(handles, common, &mut guards);
    guards
}

/// Prints the summary, or what stands in its place: the JSON document, or the layout of another
/// tool, whose notes go to standard error. A report that uses standard output replaces all.
fn print(
    report: &Report,
    output: &OutputArgs,
    paths: &[PathBuf],
    result: &ResultOutput<'_>,
) -> io::Result<()> {
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
    let mut text = if let Some(layout) = result.layout {
        layout::notes(report).iter().for_each(|note| print_error(note));
        layout::render(report, layout)
    } else {
        summary::render(report, paths, output.verbose)
    };
    if paths.is_empty() && result.layout.is_none() {
        text.push_str(result.note);
    }
    anstream::stdout().write_all(redact::redact_secrets(&text).as_bytes())
}
