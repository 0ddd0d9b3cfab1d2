//! An entry of the history: an attempt of a run, or a slot that was skipped.
//!
//! Stores keep entries as JSON; `cli` shows them.
//! Invariant: no entry has a secret: words of a job, and what its run returned.

use serde::{Deserialize, Serialize};

use super::outcome::JobOutcome;
use crate::printable::printable;
use crate::timetable::{ScheduleZone, TimeSlot, parse_time, rfc3339, show_time};

/// The longest entry, bytes.
pub(super) const MAX_ENTRY: usize = 8 << 10;

/// Maximum entries of a job.
pub(super) const MAX_ENTRIES: usize = 1_000;

/// The longest reason, characters.
const MAX_REASON: usize = 300;

/// An entry of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The job.
    pub job: String,
    /// The slot, seconds since the epoch; `None`: triggered by hand.
    pub slot: Option<u64>,
    /// The slot as a text in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// When the attempt began, UTC.
    pub started: String,
    /// When it ended, UTC; `None`: it goes on.
    pub ended: Option<String>,
    /// The number of the attempt, from 1; 0: there was none.
    pub attempt: u32,
    /// The exit code of the run; `None`: there is none, or a signal ended it.
    pub exit: Option<u8>,
    /// How it ended; `None`: it goes on.
    pub outcome: Option<JobOutcome>,
    /// The report's word for the exit code.
    pub verdict: Option<String>,
    /// The machine and the process that ran it.
    pub machine: String,
    /// The fencing token of its lease.
    pub token: u64,
    /// The folder of its report.
    pub folder: Option<String>,
    /// A remark, such as why it could not start.
    pub why: Option<String>,
}

impl HistoryEntry {
    /// An entry that begins now.
    pub(super) fn new(job: &str, slot: Option<TimeSlot>, machine: &str, now_ms: u64) -> Self {
        Self {
            job: job.to_owned(),
            slot: slot.map(|slot| slot.0),
            due: slot.map(|slot| rfc3339(slot.0 * 1_000)),
            started: rfc3339(now_ms),
            ended: None,
            attempt: 0,
            exit: None,
            outcome: None,
            verdict: None,
            machine: machine.to_owned(),
            token: 0,
            folder: None,
            why: None,
        }
    }

    /// The entry with its end.
    pub(super) fn ended(mut self, outcome: JobOutcome, now_ms: u64) -> Self {
        self.ended = Some(rfc3339(now_ms));
        self.outcome = Some(outcome);
        self
    }

    /// The entry with a remark.
    pub(super) fn because(mut self, why: &str) -> Self {
        self.why = Some(printable(why).chars().take(MAX_REASON).collect());
        self
    }

    /// The entry as a text.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry; `None` if it is none, or too long.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        if text.len() > MAX_ENTRY {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

/// Entries as a JSON document.
pub fn entries_json(entries: &[HistoryEntry]) -> serde_json::Value {
    serde_json::json!({ "entries": entries })
}

/// Entries as a table, newest first.
pub fn entries_text(entries: &[HistoryEntry], zone: &ScheduleZone) -> String {
    let header =
        ["JOB", "SLOT", "STARTED", "ENDED", "ATTEMPT", "EXIT", "OUTCOME", "MACHINE", "TOKEN"];
    let mut rows = vec![header.map(str::to_owned)];
    let time = |text: &str| {
        let seconds = parse_time(text, zone);
        let shown = seconds.map_or_else(|| text.to_owned(), |seconds| show_time(seconds, zone));
        shown.get(..19).unwrap_or(&shown).to_owned()
    };
    for entry in entries {
        rows.push([
            printable(&entry.job),
            entry.slot.map_or_else(|| "by hand".to_owned(), |slot| show_time(slot, zone)),
            printable(&time(&entry.started)),
            entry.ended.as_deref().map_or_else(String::new, |text| printable(&time(text))),
            entry.attempt.to_string(),
            entry.exit.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            entry.outcome.map_or("running", JobOutcome::name).to_owned(),
            printable(&entry.machine),
            entry.token.to_string(),
        ]);
    }
    table(&rows)
}

/// Rows with columns of equal width.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let entry = HistoryEntry::new(
            "nightly",
            Some(TimeSlot(1_700_000_000)),
            "host:7",
            1_700_000_001_250,
        )
        .because("a\u{1b}[31m reason")
        .ended(JobOutcome::Failed, 1_700_000_002_000);
        assert_eq!(HistoryEntry::from_json(&entry.to_json()).as_ref(), Some(&entry));
        assert_eq!(entry.started, "2023-11-14T22:13:21.250Z");
        assert!(!entry.why.unwrap().contains('\u{1b}'));
        for wrong in ["", "{}", "[1]", &"x".repeat(MAX_ENTRY + 1)] {
            assert!(HistoryEntry::from_json(wrong).is_none());
        }
    }

    #[test]
    fn table_shows_each_entry_on_a_line() {
        let zone = ScheduleZone::parse("Europe/Lisbon").unwrap();
        let mut entry =
            HistoryEntry::new("a", Some(TimeSlot(1_690_000_000)), "h:1", 1_690_000_001_000);
        entry.token = 12;
        let text = entries_text(&[entry.clone(), HistoryEntry { slot: None, ..entry }], &zone);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("2023-07-22 05:26:40 +01:00  2023-07-22 05:26:41"), "{text}");
        assert!(text.contains("by hand") && text.contains("running"), "{text}");
    }
}
