//! The run second by second: which seconds are complete, and `timeline.csv`.
//!
//! `files` feeds it deltas of all shards; complete seconds come out in order.
//! Invariant: nothing is lost and nothing grows: a second is held open for a bound time, and what
//! comes later is a row of its own, marked `late`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use crate::plan::Plan;
use crate::stats::delta::StepWindow;
use crate::stats::{Delta, Latency, Window};

/// How many seconds are held open for calls that were intended in them and end later.
pub(super) const OPEN: u32 = 10;

/// Seconds that are not complete yet.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    open: BTreeMap<(u32, bool), Window>,
    newest: u32,
}

/// A second as it is written: complete, or what came too late for it.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) window: Window,
    pub(super) late: bool,
}

impl Seconds {
    /// Takes in a delta; the seconds that it completes, oldest first.
    pub(super) fn absorb(&mut self, delta: &Delta) -> Vec<Closed> {
        let mut closed = Vec::new();
        for window in &delta.windows {
            let key = (window.second, window.measured);
            if let Some(open) = self.open.get_mut(&key) {
                open.merge(window);
            } else if window.second + OPEN < self.newest {
                closed.push(Closed { window: window.clone(), late: true });
            } else {
                self.open.insert(key, window.clone());
            }
            self.newest = self.newest.max(window.second);
        }
        while let Some(oldest) = self.open.first_entry()
            && oldest.key().0 + OPEN < self.newest
        {
            closed.push(Closed { window: oldest.remove(), late: false });
        }
        closed
    }

    /// All that are left, at the end of the run.
    pub(super) fn finish(&mut self) -> Vec<Closed> {
        let all = std::mem::take(&mut self.open).into_values();
        all.map(|window| Closed { window, late: false }).collect()
    }
}

/// Writes `timeline.csv`.
pub(super) struct Timeline<W: Write> {
    csv: csv::Writer<W>,
    plan: Arc<Plan>,
}

const HEADER: [&str; 27] = [
    "second",
    "measured",
    "late",
    "workload",
    "archetype",
    "step",
    "due",
    "started",
    "lost",
    "calls",
    "ok",
    "failed",
    "timeout",
    "generator_errors",
    "unfinished",
    "censored",
    "response_p50_us",
    "response_p95_us",
    "response_p99_us",
    "response_max_us",
    "service_p50_us",
    "service_p95_us",
    "service_p99_us",
    "service_max_us",
    "at_least",
    "suppressed",
    "blocked_p95_us",
];

impl<W: Write> Timeline<W> {
    /// Begins the file.
    pub(super) fn new(out: W, plan: Arc<Plan>) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEADER)?;
        Ok(Self { csv, plan })
    }

    /// Writes one second: a row for each workload as a whole (its step is `*`), then one for each
    /// of its steps.
    pub(super) fn write(&mut self, closed: &Closed) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        for (at, load) in plan.workloads.iter().enumerate() {
            let own = |step: usize| plan.steps[step].workload == at;
            let whole = closed.window.of_workload(at, own);
            let counts = &closed.window.workloads[at];
            if counts.due + counts.started + whole.calls.made == 0 {
                continue;
            }
            let loads = [counts.due, counts.started, counts.lost].map(|n| n.to_string());
            let blocked = &counts.blocked;
            let blocked = (blocked.count() > 0).then(|| blocked.percentile_us(95.0).to_string());
            let own_row = (loads, blocked.unwrap_or_default());
            self.row(closed, [&load.name, "*", "*"], own_row, &whole)?;
            for (step, series) in plan.steps.iter().enumerate().filter(|(step, _)| own(*step)) {
                let Some(window) = &closed.window.steps[step] else { continue };
                let archetype = &plan.archetypes[series.archetype].name;
                let names = [load.name.as_str(), archetype, &series.name];
                self.row(closed, names, Default::default(), window)?;
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }

    fn row(
        &mut self,
        closed: &Closed,
        names: [&str; 3],
        (loads, blocked): ([String; 3], String),
        step: &StepWindow,
    ) -> io::Result<()> {
        let window = &closed.window;
        let mut row = vec![window.second.to_string()];
        row.push(u8::from(window.measured).to_string());
        row.push(u8::from(closed.late).to_string());
        row.extend(names.map(super::files::harmless));
        row.extend(loads);
        let calls = &step.calls;
        let counts = [
            calls.made,
            calls.ok,
            calls.failed,
            calls.timeout,
            calls.generator_errors,
            calls.unfinished,
            step.response.censored(),
        ];
        row.extend(counts.map(|n| n.to_string()));
        let mut at_least = Vec::new();
        for (kind, latency) in [("response", &step.response), ("service", &step.service)] {
            row.extend(percentiles(kind, latency, &mut at_least));
        }
        row.extend([at_least.join(" "), calls.suppressed.to_string(), blocked]);
        self.csv.write_record(&row)?;
        Ok(())
    }
}

fn percentiles(kind: &str, latency: &Latency, at_least: &mut Vec<String>) -> [String; 4] {
    let named = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];
    named.map(|(name, p)| {
        let quantile = if p < 1.0 { latency.quantile(p) } else { latency.longest() };
        let Some(quantile) = quantile else { return String::new() };
        if quantile.at_least {
            at_least.push(format!("{kind}_{name}"));
        }
        quantile.us.to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::stats::Recorder;
    use crate::stats::sample::Shape;

    const S: u64 = 1_000_000_000;

    #[test]
    fn seconds_close_in_order_and_latecomers_get_rows_of_their_own() {
        let shape = Shape { workloads: 1, checks: vec![0], groups: 0, pools: 0, warmup_ns: 0 };
        let mut recorder = Recorder::new(shape, 0, Time(0));
        let mut seconds = Seconds::default();
        let (mut written, mut starts) = (Vec::new(), 0);
        let mut keep = |closed: Vec<Closed>| {
            for closed in closed {
                starts += closed.window.workloads[0].started;
                written.push((closed.window.second, closed.late));
            }
        };
        for second in 0..30u64 {
            recorder.begin_iteration(0, second * S, 0);
            recorder.begin_iteration(0, second.saturating_sub(3) * S, 0);
            if second == 25 {
                recorder.begin_iteration(0, 2 * S, 0);
            }
            let delta = recorder.shed(crate::stats::Gauges::default(), Time((second + 1) * S));
            keep(seconds.absorb(&delta));
        }
        keep(seconds.finish());
        assert_eq!(starts, 61, "nothing is lost");
        let late: Vec<u32> = written.iter().filter(|row| row.1).map(|row| row.0).collect();
        assert_eq!(late, [2]);
        let in_time: Vec<u32> = written.iter().filter(|row| !row.1).map(|row| row.0).collect();
        assert_eq!(in_time, (0..30).collect::<Vec<_>>());
    }
}
