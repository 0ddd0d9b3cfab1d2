//! The worker processes of a run, or the agents of a fleet.
//!
//! Invariant: a run in one process has no rows.

use std::time::Duration;

use crate::event::{AgentAccount, AgentUse, Report, WorkerUse};
use crate::plan::slots::{SLOTS, ShardRange};
use crate::units::{show_bytes, show_duration, show_us};

/// A worker process, or an agent.
pub(crate) struct WorkerRow {
    /// Its name, such as `worker 1` or `agent 0`.
    pub(crate) name: String,
    /// Its shards, such as `0, 2, 4`, or `0, 2, … 14` if there are many.
    pub(crate) shards: String,
    /// Peak memory.
    pub(crate) memory: String,
    /// How it ended, or that it is at work.
    pub(crate) end: String,
    /// Whether that is a fault.
    pub(crate) is_fault: bool,
    /// The figures of an agent.
    pub(crate) agent: Option<AgentRow>,
}

/// The figures of an agent.
pub(crate) struct AgentRow {
    /// The name of its machine, and its cores.
    pub(crate) host: String,
    /// Its share of the slots.
    pub(crate) share: String,
    /// When it was heard last.
    pub(crate) heard: String,
    /// Whether that is too long ago.
    pub(crate) is_silent: bool,
    /// Its worst lateness: the p99 of a second.
    pub(crate) lag: String,
    /// The highest CPU use of its busiest shard.
    pub(crate) cpu: String,
    /// The largest error of its clock.
    pub(crate) clock: String,
    /// How late its first start was.
    pub(crate) first_lag: String,
}

/// Shards listed in full.
const MOST_LISTED: u64 = 4;

/// A silence that is worth a word, ns.
const SILENCE: u64 = 2_000_000_000;

fn show_shards(range: ShardRange) -> String {
    let listed = range.count().min(if range.count() > MOST_LISTED { 2 } else { MOST_LISTED });
    let shown: Vec<String> = (0..listed).map(|index| range.shard_at(index).to_string()).collect();
    let shown = shown.join(", ");
    if listed == range.count() {
        return shown;
    }
    format!("{shown}, … {}", range.shard_at(range.count() - 1))
}

fn agent_row(agent: &AgentUse) -> AgentRow {
    let silence = show_duration(Duration::from_nanos(agent.silent_ns));
    AgentRow {
        host: format!("{} ({} cores)", agent.host, agent.cores),
        share: format!("{:.1} %", agent.slots as f64 * 100.0 / SLOTS as f64),
        heard: if agent.silent_ns >= SILENCE { format!("{silence} ago") } else { "now".to_owned() },
        is_silent: agent.silent_ns >= SILENCE,
        lag: show_us(agent.lag_us),
        cpu: format!("{:.0} %", agent.cpu_permille as f64 / 10.0),
        clock: format!("± {}", show_us(agent.clock_error_ns / 1_000)),
        first_lag: agent
            .first_start
            .map_or_else(|| "-".to_owned(), |start| show_us(start.lag_ns / 1_000)),
    }
}

/// How a worker ended; what an agent does.
fn end_of(worker: &WorkerUse, is_running: bool) -> String {
    match &worker.agent {
        Some(agent) if agent.account == AgentAccount::Exact => "ended, sums agree".to_owned(),
        Some(agent) if is_running && agent.silent_ns >= SILENCE => "silent".to_owned(),
        Some(agent) if is_running && agent.slots == 0 => "without slots".to_owned(),
        Some(_) if is_running => "at work".to_owned(),
        _ => "ended with the run".to_owned(),
    }
}

/// The workers of a run, in order.
pub(crate) fn worker_rows(report: &Report) -> Vec<WorkerRow> {
    let row = |(index, worker): (usize, &WorkerUse)| {
        let lost = worker.loss.as_ref().map(|how| format!("lost: {how}"));
        let failed = worker.failed.as_ref().map(|why| format!("failed: {why}"));
        let name = match &worker.agent {
            Some(_) => format!("agent {index}"),
            None => format!("worker {}", index + 1),
        };
        WorkerRow {
            name,
            shards: show_shards(worker.range),
            memory: show_bytes(worker.rss_peak),
            is_fault: lost.is_some() || failed.is_some(),
            end: lost.or(failed).unwrap_or_else(|| end_of(worker, report.is_running)),
            agent: worker.agent.as_ref().map(agent_row),
        }
    };
    report.workers.iter().enumerate().map(row).collect()
}

/// How many workers there were, and the memory of each; `None` if there were none.
pub(crate) fn workers_in_all(report: &Report) -> Option<String> {
    let memory = || report.workers.iter().map(|worker| worker.rss_peak);
    let (least, most) = (memory().min()?, memory().max()?);
    let of = match (show_bytes(least), show_bytes(most)) {
        (least, most) if least == most => most,
        (least, most) => format!("{least} to {most}"),
    };
    Some(format!("{} of {of}", report.workers.len()))
}

/// How far apart agents began.
pub(crate) struct StartSkew {
    /// From the least to the largest lag of a first start; `None` if there was none.
    pub(crate) by_lag_ns: Option<u64>,
    /// What the errors of their clocks permit at most.
    pub(crate) by_clocks_ns: u64,
}

/// How far apart agents began; `None` if there are no agents.
pub(crate) fn start_skew(report: &Report) -> Option<StartSkew> {
    let agents = || report.workers.iter().filter_map(|worker| worker.agent.as_ref());
    let clock = agents().map(|agent| agent.clock_error_ns).max()?;
    let lags = || agents().filter_map(|agent| Some(agent.first_start?.lag_ns));
    let by_lag_ns = lags().max().zip(lags().min()).map(|(most, least)| most - least);
    Some(StartSkew { by_lag_ns, by_clocks_ns: 2 * clock })
}

/// Whether the deltas of the agents add up to what they measured; `None` if there are no agents.
pub(crate) fn aggregate(report: &Report) -> Option<String> {
    let agents = || report.workers.iter().filter_map(|worker| worker.agent.as_ref());
    let all = agents().count();
    let of = |account| agents().filter(|agent| agent.account == account).count();
    if all == 0 || report.is_running {
        return None;
    }
    let exact = of(AgentAccount::Exact);
    let differ = of(AgentAccount::Differs);
    let skew = start_skew(report)?;
    let by_lag = skew.by_lag_ns.map(|ns| format!(", {} by their lag", show_us(ns / 1_000)));
    let skew = format!(
        "starts of agents at most {} apart by their clocks{}",
        show_us(skew.by_clocks_ns / 1_000),
        by_lag.unwrap_or_default()
    );
    Some(if exact == all {
        format!("exact: deltas and final states of {all} agents agree; {skew}")
    } else if differ > 0 {
        format!("not exact: deltas and final states of {differ} of {all} agents differ; {skew}")
    } else {
        format!(
            "{exact} of {all} agents: deltas and final states agree; the others are lost; {skew}"
        )
    })
}
