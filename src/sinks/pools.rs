//! `pools.csv`: a row per second and shared pool.
//!
//! `files` passes it complete seconds.
//! Invariant: the counts of all rows add up to those of `summary.json`, and the gauges of a pool's
//! last row equal those there.

use std::io::{self, Write};
use std::sync::Arc;

use super::policy_timeseries::PolicySecond;
use crate::plan::RunManifest;
use crate::report::csv::harmless;
use crate::stats::PoolUse;

/// The name of the file.
pub(super) const FILE: &str = "pools.csv";

const HEADER: [&str; 13] = [
    "second",
    "pool",
    "size",
    "lent",
    "idle",
    "waiting",
    "leases",
    "gave_up",
    "failed",
    "utilisation",
    "wait_p50_us",
    "wait_p95_us",
    "wait_max_us",
];

/// Writes the file.
pub(super) struct PoolsFile<W: Write> {
    csv: csv::Writer<W>,
    plan: Arc<RunManifest>,
}

impl<W: Write> PoolsFile<W> {
    /// Whether a plan has shared pools.
    pub(super) fn wanted(plan: &RunManifest) -> bool {
        plan.client.pools.iter().any(|(_, shared)| *shared)
    }

    /// Writes the head of the file.
    pub(super) fn new(out: W, plan: Arc<RunManifest>) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEADER)?;
        Ok(Self { csv, plan })
    }

    /// Writes one second.
    pub(super) fn write(&mut self, second: u64, stand: &PolicySecond) -> io::Result<()> {
        for ((name, shared), used) in self.plan.client.pools.iter().zip(&stand.pools) {
            if *shared {
                self.csv.write_record(row(second, name, used))?;
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

fn row(second: u64, name: &str, used: &PoolUse) -> [String; 13] {
    let PoolUse { size, in_use, idle, waiting, leases, gave_up, failed, waits, .. } = used;
    // Without a wait the cell is empty, not zero.
    let wait = |us: u64| if waits.count() > 0 { us.to_string() } else { String::new() };
    [
        second.to_string(),
        harmless(name),
        size.to_string(),
        in_use.to_string(),
        idle.to_string(),
        waiting.to_string(),
        leases.to_string(),
        gave_up.to_string(),
        failed.to_string(),
        used.utilisation().map_or(String::new(), |share| format!("{share:.4}")),
        wait(waits.percentile_us(50.0)),
        wait(waits.percentile_us(95.0)),
        wait(waits.max_us()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_a_second_was() {
        let mut used = PoolUse { size: 4, in_use: 3, idle: 1, leases: 2, ..PoolUse::default() };
        (used.busy, used.room) = (1, 3);
        used.waits.record_ns(0);
        used.waits.record_ns(7_000);
        let cells = "9|'=p|4|3|1|0|2|0|0|0.3333|0|7|7";
        assert_eq!(row(9, "=p", &used).join("|"), cells);
        let nothing = "9|p|0|0|0|0|0|0|0||||";
        assert_eq!(row(9, "p", &PoolUse::default()).join("|"), nothing);
    }
}
