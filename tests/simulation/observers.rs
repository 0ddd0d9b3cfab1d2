//! Who looks on in a world, and who meddles: a sink that takes down what is said, and commands at
//! their times.
//!
//! Invariant: a command that is refused fails its world.

use std::sync::{Arc, Mutex};

use manada::clock::{self, Time};
use manada::event::record::{RecordEnd, RecordEntry, RecordWriter};
use manada::event::{ControlCommand, ControlRequest, Report, RunEvent, RunInfo};
use manada::run::control::OVERRIDE_LEAD_NS;
use manada::run::replay::replay;
use manada::sinks::{Sink, SinkSet};
use manada::stats::{ChangeKind, Snapshot};
use manada::verdict::Threshold;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::script::ns;

/// Takes down what is said.
pub struct Listener(pub Arc<Mutex<Vec<String>>>);

impl Sink for Listener {
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

/// Keeps the record of a run, as its folder would.
pub struct Recorded(pub Arc<Mutex<Vec<RecordEntry>>>);

impl Sink for Recorded {
    fn wants(event: &RunEvent) -> bool {
        RecordEntry::from_event(event).is_some()
    }

    fn take(&mut self, event: &RunEvent) -> std::io::Result<()> {
        self.0.lock().unwrap().extend(RecordEntry::from_event(event));
        Ok(())
    }
}

/// The report that a record gives.
pub fn again(
    opening: &Arc<RunInfo>,
    entries: &[RecordEntry],
    rules: Option<Vec<Threshold>>,
) -> Report {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    let (began, end) =
        (RecordEntry::Started(Arc::clone(opening)), RecordEntry::Ended(RecordEnd::default()));
    let all = [&began].into_iter().chain(entries).chain([&end]);
    all.for_each(|entry| writer.write(entry).unwrap());
    drop(writer);
    let report = replay(bytes.as_slice(), rules, &mut SinkSet::default()).unwrap();
    Arc::unwrap_or_clone(report)
}

/// A control command of a world.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedCommand {
    /// When it is to hold.
    at: String,
    /// In words.
    r#do: String,
}

/// Commands everything at its time.
pub fn send_commands(
    commands: &[TimedCommand],
    start: Time,
    control: mpsc::Sender<ControlRequest>,
) {
    let commands = commands.to_vec();
    tokio::task::spawn_local(async move {
        for TimedCommand { at, r#do: words } in commands {
            clock::sleep_until(start.after(ns(&at) - OVERRIDE_LEAD_NS)).await;
            let (reply, answer) = oneshot::channel();
            let command = ControlCommand::parse(&words).unwrap();
            control
                .send(ControlRequest { command, origin: "world", reply: Some(reply) })
                .await
                .unwrap();
            let answer = answer.await.unwrap();
            assert!(answer.is_ok(), "{words}: {answer:?}");
        }
    });
}

/// All that was changed, as a world says it.
pub fn changes(snapshot: &Snapshot) -> Vec<String> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let notices = snapshot.changes.list.iter().filter(|one| one.kind == ChangeKind::Control);
    notices.map(|one| format!("{} {}: {}", seconds(one.at_ns), one.subject, one.change)).collect()
}
