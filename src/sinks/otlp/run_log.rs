//! Events of a run as log records: its start and end, state changes, commands, notes, `log` steps,
//! failed calls.
//!
//! `cli` adds the sink; it pushes the records of each second at once.
//! Invariant: texts have no secrets; records that found no room are counted in one that follows.

use std::io;
use std::sync::Arc;

use super::exporter::OtlpIntake;
use super::failed_calls::FailedCalls;
use super::messages::{AttributeMessage, AttributeValue, LogSeverity, OtlpLogRecord};
use super::metrics::unix_ns;
use crate::clock::{self, RunOffset};
use crate::event::{Report, RunEvent, RunInfo, StopCause};
use crate::redact::redact_secrets;
use crate::sinks::Sink;
use crate::sinks::run_log::LogLevel;
use crate::stats::{Change, StateChange, TraceSelection};
use crate::verdict::trust::TrustLevel;

/// Maximum number of records that wait for the end of their second.
const MAX_WAITING: usize = 2_048;

/// The sink of a run's events.
#[derive(Debug)]
pub struct OtlpLogSink {
    intake: OtlpIntake,
    info: Option<Arc<RunInfo>>,
    /// Which calls have traces; `None` if the run has none.
    traces: Option<TraceSelection>,
    failed_calls: Option<FailedCalls>,
    waiting: Vec<OtlpLogRecord>,
    /// Records that found no room, and lines that the run did not keep.
    lost: u64,
}

impl OtlpLogSink {
    /// A sink of this exporter. `traces`: failed calls of this selection have records.
    pub fn new(intake: OtlpIntake, traces: Option<TraceSelection>) -> Self {
        Self { intake, info: None, traces, failed_calls: None, waiting: Vec::new(), lost: 0 }
    }

    /// Adds a record. `at`: when it happened; now if that is not known.
    fn add(
        &mut self,
        event: &str,
        at: Option<RunOffset>,
        severity: LogSeverity,
        text: &str,
        attributes: Vec<AttributeMessage>,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            self.lost += 1;
            return;
        }
        let observed = unix_ns(clock::wall());
        let start = self.info.as_ref().map(|info| unix_ns(info.started_at));
        let at = start.zip(at).map_or(observed, |(start, at)| start.saturating_add(at.ns()));
        self.waiting.push(OtlpLogRecord {
            at,
            severity: severity.into(),
            severity_text: severity.name().to_owned(),
            body: Some(AttributeValue::from(redact_secrets(text).into_owned())),
            attributes,
            observed,
            event_name: event.to_owned(),
            ..OtlpLogRecord::default()
        });
    }

    fn flush(&mut self) {
        let records = std::mem::take(&mut self.waiting);
        self.intake.push_logs(records);
        let left_out = self.failed_calls.as_mut().and_then(FailedCalls::left_out);
        self.intake.push_logs(left_out.into_iter().collect());
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let text = format!("{lost} more records were left out");
            let count = i64::try_from(lost).unwrap_or(i64::MAX);
            let attributes = vec![AttributeMessage::new("manada.left_out", count)];
            self.add("manada.left_out", None, LogSeverity::Warn, &text, attributes);
        }
    }

    fn started(&mut self, info: &Arc<RunInfo>) {
        self.info = Some(Arc::clone(info));
        self.failed_calls = self.traces.map(|traces| FailedCalls::new(info, traces));
        let text = format!("run of {} started: {}", info.plan.scenario, info.generator.size());
        let attributes = vec![
            AttributeMessage::new("manada.shards", info.generator.shards as i64),
            AttributeMessage::new("manada.processes", info.generator.processes as i64),
        ];
        self.add("manada.run.started", Some(RunOffset::ZERO), LogSeverity::Info, &text, attributes);
    }

    fn changed(&mut self, change: &StateChange) {
        let kind = change.kind().name();
        let mut attributes = vec![
            AttributeMessage::new("manada.change.kind", kind),
            AttributeMessage::new("manada.change.subject", text_of(&change.subject)),
            AttributeMessage::new("manada.change.cause", text_of(&change.cause)),
        ];
        let states = match &change.change {
            Change::Breaker { from, to } => Some((from.name(), to.name())),
            Change::Degradation { from, to } => Some((from.name(), to.name())),
            _ => None,
        };
        if let Some((from, to)) = states {
            attributes.push(AttributeMessage::new("manada.change.from", from));
            attributes.push(AttributeMessage::new("manada.change.to", to));
        }
        let (event, text) = (format!("manada.{kind}"), change.to_string());
        self.add(
            &event,
            Some(change.at),
            LogLevel::of_change(&change.change).into(),
            &text,
            attributes,
        );
    }

    fn stopped(&mut self, cause: &StopCause, at: RunOffset) {
        let severity = LogLevel::of_stop(cause).into();
        let text = format!("stopping before the load is over: {cause}");
        self.add("manada.run.stopped", Some(at), severity, &text, Vec::new());
    }

    fn ended(&mut self, report: &Report) {
        let severity = LogLevel::of_end(report.status).into();
        let verdict = report.status.verdict().unwrap_or("broken");
        let attributes = vec![
            AttributeMessage::new("manada.verdict", verdict),
            AttributeMessage::new("manada.exit_code", i64::from(report.status.code())),
            AttributeMessage::new("manada.trusted", report.trust.level == TrustLevel::Yes),
        ];
        for judgement in &report.judgements {
            let (rule, passed) = (&judgement.threshold.rule, judgement.passed);
            let severity = LogLevel::of_threshold(passed).into();
            let text =
                format!("threshold `{rule}` {}", if passed { "held" } else { "did not hold" });
            let attributes = vec![
                AttributeMessage::new("manada.rule", redact_secrets(rule).into_owned()),
                AttributeMessage::new("manada.passed", passed),
            ];
            self.add("manada.threshold", None, severity, &text, attributes);
        }
        let text = format!("run of {} ended: {verdict}", report.info.plan.scenario);
        self.add("manada.run.ended", None, severity, &text, attributes);
    }
}

impl Sink for OtlpLogSink {
    fn wants(event: &RunEvent) -> bool {
        use RunEvent::{
            Delta, Ended, EventLogged, LogLines, Note, Started, StateChanges, Stopped, Tick,
        };
        matches!(
            event,
            Started(_)
                | Delta(_)
                | Tick(_)
                | Note(_)
                | StateChanges(_)
                | EventLogged(_)
                | Stopped(..)
                | LogLines(..)
                | Ended(_)
        )
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.started(info),
            RunEvent::Note(text) => {
                self.add("manada.note", None, LogSeverity::Info, text, Vec::new());
            }
            RunEvent::StateChanges(changes) => {
                changes.list.iter().for_each(|change| self.changed(change));
                self.lost += changes.lost;
            }
            RunEvent::EventLogged(change) => self.changed(change),
            RunEvent::Stopped(cause, at) => self.stopped(cause, *at),
            RunEvent::LogLines(lines, lost) => {
                for line in lines {
                    self.add("manada.log", None, LogSeverity::Info, line, Vec::new());
                }
                self.lost += lost;
            }
            RunEvent::Tick(_) => self.flush(),
            RunEvent::Ended(report) => {
                self.ended(report);
                self.flush();
                // What was left out in the last second.
                self.flush();
            }
            RunEvent::Delta(delta) => {
                // They have bounds of their own, so that they take no room from events.
                let records = self.failed_calls.as_mut().map(|calls| calls.records(&delta.kept));
                self.intake.push_logs(records.unwrap_or_default());
            }
            RunEvent::SecondsCompleted(_) | RunEvent::Gauges(_) => {}
        }
        Ok(())
    }
}

/// A text without secrets.
fn text_of(text: &impl std::fmt::Display) -> String {
    redact_secrets(&text.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::register_secret;

    fn text(record: &OtlpLogRecord) -> String {
        format!("{:?}", record.body)
    }

    #[test]
    fn records_without_room_are_counted_and_secrets_masked() {
        register_secret("otlp-s3cret-value").unwrap();
        let mut sink = OtlpLogSink::new(OtlpIntake::off(), None);
        let lines = vec!["token otlp-s3cret-value".to_owned(); MAX_WAITING + 5];
        sink.take(&RunEvent::LogLines(lines, 7)).unwrap();
        assert_eq!((sink.waiting.len(), sink.lost), (MAX_WAITING, 12));
        assert!(sink.waiting.iter().all(|record| !text(record).contains("s3cret")));
        sink.flush();
        let [record] = &*sink.waiting else { panic!("{:?}", sink.waiting) };
        assert!(text(record).contains("12 more records were left out"), "{record:?}");
        assert_eq!((record.severity(), &*record.severity_text), (LogSeverity::Warn, "WARN"));
        sink.flush();
        assert_eq!((sink.waiting.len(), sink.lost), (0, 0));
    }
}
