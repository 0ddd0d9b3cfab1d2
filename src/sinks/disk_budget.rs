//! The bytes that all outputs of a run write to files, and their limit.
//!
//! `cli` sets the limit, the files of a run count what they write and ask before they write more,
//! `run` reads the sum for the report.
//! Invariant: what can be spared ends first, in the order of [`OutputKind`], and once it has ended
//! it stays so: no file has a hole. `summary.json` is written in any case.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{self, RunOffset, Time};
use crate::stats::run_usage::{LeftOut, RunUsage};
use crate::units::show_bytes;

/// The part of the limit that is kept for what is written after the load, and the most of it,
/// bytes: a page has half a megabyte of tables at most.
const FINAL_SHARE: u64 = 4;
const MAX_FINAL: u64 = 4 << 20;

/// Kinds of output, in the order in which they end as the limit comes near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputKind {
    /// `--samples`.
    Samples,
    /// `--log` to a file.
    Log,
    /// The rows of each second: `timeline.csv`, `latency.hlog`, `health.csv` and their like.
    Series,
    /// `run.record`.
    Record,
    /// What is written after the load: `report.html`, `steps.csv`, `events.jsonl`, `--report`.
    Final,
}

impl OutputKind {
    /// Its name in reports and notes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Log => "log",
            Self::Series => "rows of each second",
            Self::Record => "record",
            Self::Final => "reports",
        }
    }

    /// The share of what may be written during the load, per cent, up to which it is written.
    fn share(self) -> u64 {
        match self {
            Self::Samples => 60,
            Self::Log => 70,
            Self::Series => 80,
            Self::Record | Self::Final => 100,
        }
    }
}

/// The bytes that a run writes; clones share them.
#[derive(Clone, Debug, Default)]
pub struct DiskBudget(Arc<SharedBudget>);

#[derive(Debug, Default)]
struct SharedBudget {
    limit: Option<u64>,
    written: AtomicU64,
    ended: Mutex<Vec<EndedOutput>>,
}

#[derive(Clone, Copy, Debug)]
struct EndedOutput {
    kind: OutputKind,
    at: Time,
    is_told: bool,
}

impl DiskBudget {
    /// A budget in bytes; `None`: without a limit.
    pub fn new(limit: Option<u64>) -> Self {
        Self(Arc::new(SharedBudget { limit, ..SharedBudget::default() }))
    }

    /// Adds bytes that were written.
    pub fn add(&self, bytes: u64) {
        self.0.written.fetch_add(bytes, Relaxed);
    }

    /// The bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.0.written.load(Relaxed)
    }

    /// Whether `bytes` more of a kind may be written. Once the answer is no, it stays so during the
    /// load; afterwards a smaller report may still fit.
    pub fn admits(&self, kind: OutputKind, bytes: u64) -> bool {
        let Some(limit) = self.0.limit else { return true };
        let mut ended = self.ended();
        if kind != OutputKind::Final && ended.iter().any(|one| one.kind == kind) {
            return false;
        }
        let reserve = (limit / FINAL_SHARE).min(MAX_FINAL);
        let most = match kind {
            OutputKind::Final => limit,
            _ => (u128::from(limit - reserve) * u128::from(kind.share()) / 100) as u64,
        };
        if self.written().saturating_add(bytes) <= most {
            return true;
        }
        if !ended.iter().any(|one| one.kind == kind) {
            ended.push(EndedOutput { kind, at: clock::now(), is_told: false });
        }
        false
    }

    /// Writes bytes of a kind by `write`, and counts them.
    ///
    /// # Errors
    /// If the limit is near, or `write` fails.
    pub fn write(
        &self,
        kind: OutputKind,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.admits(kind, bytes.len() as u64) {
            let most = self.0.limit.map_or(String::new(), show_bytes);
            let text = format!("`max_disk` ({most}) was near");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        write(bytes)?;
        self.add(bytes.len() as u64);
        Ok(())
    }

    /// The kinds that have ended since the last call.
    pub fn take_ended(&self) -> Vec<OutputKind> {
        let mut ended = self.ended();
        let new = |one: &mut EndedOutput| {
            (!std::mem::replace(&mut one.is_told, true)).then_some(one.kind)
        };
        ended.iter_mut().filter_map(new).collect()
    }

    /// What is printed if there was no room for all reports.
    pub fn missing_reports(&self) -> String {
        let most = self.0.limit.map_or(String::new(), show_bytes);
        format!(
            "not all of report.html, steps.csv and events.jsonl are written: `max_disk` is {most}; \
             summary.json is complete"
        )
    }

    /// What a run that began at `start` wrote so far, and what ended when.
    pub fn usage(&self, start: Time) -> RunUsage {
        let left_out = |one: &EndedOutput| LeftOut {
            output: one.kind.name().to_owned(),
            from: RunOffset::of(one.at, start),
        };
        RunUsage {
            cpu: None,
            cpu_before: None,
            written: Some(self.written()),
            max_disk: self.0.limit,
            left_out: self.ended().iter().map(left_out).collect(),
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<EndedOutput>> {
        self.0.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_all_is_written_and_counted() {
        let budget = DiskBudget::default();
        assert!(budget.admits(OutputKind::Samples, u64::MAX));
        budget.add(5);
        budget.clone().add(7);
        let usage = budget.usage(Time(0));
        assert_eq!((usage.written, usage.max_disk, usage.left_out.len()), (Some(12), None, 0));
    }

    #[test]
    fn kinds_end_in_order_and_stay_ended() {
        // 750 of 1,000 are for the load.
        let budget = DiskBudget::new(Some(1_000));
        let kinds = [OutputKind::Samples, OutputKind::Log, OutputKind::Series, OutputKind::Record];
        let admitted = || kinds.map(|kind| budget.admits(kind, 10));
        let mut seen = Vec::new();
        while budget.written() < 1_000 {
            let now = admitted();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            budget.add(10);
        }
        let order: Vec<usize> =
            seen.iter().map(|now| now.iter().filter(|on| **on).count()).collect();
        assert_eq!(order, [4, 3, 2, 1, 0]);
        assert!(seen.iter().all(|now| now.is_sorted()), "the earlier kinds end first: {seen:?}");
        assert_eq!(budget.take_ended(), kinds);
        assert!(budget.take_ended().is_empty(), "each is reported once");
        // Another file is smaller, but a hole would not be seen.
        assert!(!budget.admits(OutputKind::Samples, 0));
    }

    #[test]
    fn a_quarter_is_kept_for_the_reports() {
        let budget = DiskBudget::new(Some(1_000));
        budget.add(750);
        assert!(!budget.admits(OutputKind::Record, 1));
        assert!(!budget.admits(OutputKind::Final, 251) && budget.admits(OutputKind::Final, 250));
        let large = DiskBudget::new(Some(1 << 30));
        large.add((1 << 30) - (5 << 20));
        assert!(large.admits(OutputKind::Record, 1 << 20), "4 MiB are enough for the reports");
    }
}
