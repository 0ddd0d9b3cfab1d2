//! Sinks that record a world's output, and live-control commands at given times.
//!
//! Invariant: a refused command fails its world.

use std::sync::{Arc, Mutex};

use manada::clock::{self, Time};
use manada::event::COMMAND_LEAD_NS;
use manada::event::record::{RecordEnd, RecordEntry, RecordWriter};
use manada::event::{ControlCommand, ControlRequest, Report, RunEvent, RunInfo};
use manada::run::replay::{ReplayChanges, replay};
use manada::sinks::{Sink, SinkSet};
use manada::stats::{ChangeKind, ControlOrigin, Snapshot};
use manada::verdict::Threshold;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::script::ns;

/// Collects the lines of `log` steps.
pub struct LogCollector(pub Arc<Mutex<Vec<String>>>);

impl Sink for LogCollector {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::LogLines(..))
    }

    fn take(&mut self, event: &RunEvent) -> std::io::Result<()> {
        if let RunEvent::LogLines(lines, _) = event {
            self.0.lock().unwrap().extend(lines.iter().cloned());
        }
        Ok(())
    }
}

/// Collects the record of a run, as its folder would.
pub struct RecordCollector(pub Arc<Mutex<Vec<RecordEntry>>>);

impl Sink for RecordCollector {
    fn wants(event: &RunEvent) -> bool {
        RecordEntry::from_event(event).is_some()
    }

    fn take(&mut self, event: &RunEvent) -> std::io::Result<()> {
        self.0.lock().unwrap().extend(RecordEntry::from_event(event));
        Ok(())
    }
}

/// Replays a record and returns its report.
pub fn replay_record(
    info: &Arc<RunInfo>,
    entries: &[RecordEntry],
    rules: Option<Vec<Threshold>>,
) -> Report {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    let (started, end) =
        (RecordEntry::Started(Arc::clone(info)), RecordEntry::Ended(RecordEnd::default()));
    let all = [&started].into_iter().chain(entries).chain([&end]);
    all.for_each(|entry| writer.write(entry).unwrap());
    drop(writer);
    let changes = ReplayChanges { rules, ..ReplayChanges::default() };
    let report = replay(bytes.as_slice(), changes, &mut SinkSet::default()).unwrap();
    Arc::unwrap_or_clone(report)
}

/// A live-control command of a world.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedCommand {
    /// When it takes effect.
    at: String,
    /// The command as text.
    r#do: String,
}

/// Sends each command at its time.
pub fn send_commands(
    commands: &[TimedCommand],
    start: Time,
    control: mpsc::Sender<ControlRequest>,
) {
    let commands = commands.to_vec();
    tokio::task::spawn_local(async move {
        for TimedCommand { at, r#do: words } in commands {
            clock::sleep_until(start.after(ns(&at) - COMMAND_LEAD_NS)).await;
            let (reply, result) = oneshot::channel();
            let command = ControlCommand::parse(&words).unwrap();
            control
                .send(ControlRequest { command, origin: ControlOrigin::Socket, reply: Some(reply) })
                .await
                .unwrap();
            let result = result.await.unwrap();
            assert!(result.is_ok(), "{words}: {result:?}");
        }
    });
}

/// Returns all load changes in the form of a world's file.
pub fn changes(snapshot: &Snapshot) -> Vec<String> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let control_changes =
        snapshot.changes.list.iter().filter(|one| one.kind() == ChangeKind::Control);
    control_changes
        .map(|one| format!("{} {}: {}", seconds(one.at.ns()), one.subject, one.change))
        .collect()
}
