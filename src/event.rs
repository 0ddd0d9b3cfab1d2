//! Messages between a run, its shards and its sinks: plain data.
//!
//! Shards send Deltas to `run`, `run` sends RunEvents to `sinks` and ShardCommands to each shard.
//! Invariant: these messages are the only coupling; the engine does not depend on any sink.

pub mod control;
pub mod control_error;
pub mod control_request;
pub mod link;
pub mod packed;
pub mod record;
mod source;
pub mod stop;
pub mod workers;

use std::sync::Arc;

use crate::clock::RunOffset;
use crate::exit::ExitStatus;
use crate::ids::{BreakerId, PoolId, ServiceId, StepId, WorkloadId};
pub use crate::plan::policy::BreakerSwitch;
use crate::plan::policy::{DegradationLevel, Priority};
use crate::plan::prices::Prices;
use crate::plan::{LoadOverride, RunManifest};
use crate::sandbox::SandboxInfo;
use crate::stats::run_usage::RunUsage;
use crate::stats::shift::ShiftReport;
use crate::stats::{
    CompletedSecond, Delta, GaugeSample, Monitor, Snapshot, StateChange, StateChanges, Timeline,
};
use crate::units::{counted, per_second};
use crate::verdict::{Judgement, Trust};
pub use control::ControlCommand;
pub use control_error::ControlError;
pub use control_request::{ControlClient, ControlReply, ControlRequest};
pub use source::{AgentsStatus, COMMAND_LEAD_NS, COMMAND_QUEUE, DELTA_QUEUE, DeltaSource};
pub use stop::{Interrupt, StopCause};
pub use workers::{
    Adoption, AgentAccount, AgentUse, LoadLease, LossPolicy, WorkerEvent, WorkerLoss, WorkerUse,
};

/// A command to a running shard.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardCommand {
    /// Start nothing new; let iterations finish within the grace period.
    Drain,
    /// Cancel everything now.
    Cancel,
    /// Change the client's behaviour.
    Order(Order),
    /// Change the scheduled load of workloads.
    ChangeSchedule(Vec<ScheduleChange>),
    /// Serve slots of lost shards; a shard ignores those of others.
    Adopt(Adoption),
    /// Begin load under this lease; a shard of a fleet begins nothing without one.
    Lease(LoadLease),
    /// Serve nothing that is due from then on: other processes have all slots of this one.
    Release(RunOffset),
}

/// A change of scheduled load. It takes effect at a time in the future, so that all shards change
/// at the same point of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleChange {
    /// The workload.
    pub workload: WorkloadId,
    /// When the schedule change takes effect.
    pub at: RunOffset,
    /// The load from then on. It is complete, so that a change does not depend on earlier ones.
    pub load: LoadOverride,
}

/// A change of the client's behaviour. Every order is idempotent.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Switches a breaker.
    Breaker(BreakerId, BreakerSwitch),
    /// Mutes (`true`) or unmutes the calls of a series.
    Mute(StepId, bool),
    /// Suppresses calls below the level's priority.
    Level(DegradationLevel),
    /// Holds back new iterations of workloads below this priority.
    Admit(Priority),
    /// Admits no new users (`true`), or admits them again.
    PauseAdmission(bool),
    /// Sets the size of a pool over the whole run.
    Resize(PoolId, u64),
    /// Release memory that is not needed.
    TrimMemory,
    /// Close a service's idle connections and look up its name again.
    Refresh(ServiceId),
    /// Takes a backend of a service, by its number, out (`false`) or in again.
    BackendHealth(ServiceId, usize, bool),
    /// Sets the weight of a backend of a service, in thousandths.
    BackendWeight(ServiceId, usize, u64),
}

/// Everything that sinks need to know before the first number.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// The manifest of the run.
    pub plan: Arc<RunManifest>,
    /// When the run started, on the wall clock.
    pub started_at: std::time::SystemTime,
    /// The load generator.
    pub generator: GeneratorInfo,
    /// The command line, program first.
    pub command: Vec<String>,
    /// The machine, by name: cores, memory, kernel, our version.
    pub machine: Vec<(String, String)>,
    /// Monitors that are read once a second during the run.
    pub monitors: Vec<Monitor>,
}

/// The load generator's setup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorInfo {
    /// Name of the tier.
    pub tier: String,
    /// The number of shards.
    pub shards: usize,
    /// The number of processes with shards: one is this process, several are its workers.
    pub processes: usize,
    /// Whether the processes are agents of a fleet.
    pub is_fleet: bool,
    /// Why these numbers.
    pub reason: String,
    /// Remarks on the setup for readers, such as a target on the same machine.
    pub remarks: Vec<String>,
    /// What the kernel enforces of `--sandbox`, if it was given.
    pub sandbox: Option<SandboxInfo>,
}

impl GeneratorInfo {
    /// Returns the size, such as "4 shards" or "4 shards on 2 agents".
    pub fn size(&self) -> String {
        let shards = counted(self.shards as u64, "shard");
        match self.processes {
            0 | 1 => shards,
            processes if self.is_fleet => format!("{shards} on {processes} agents"),
            processes => format!("{shards} in {processes} processes"),
        }
    }
}

/// The complete report of a run, finished or in progress.
#[derive(Clone, Debug)]
pub struct Report {
    /// The description of the run.
    pub info: Arc<RunInfo>,
    /// All figures.
    pub snapshot: Arc<Snapshot>,
    /// The figures over time.
    pub timeline: Timeline,
    /// The judgements of the thresholds.
    pub judgements: Vec<Judgement>,
    /// Whether the figures can be trusted.
    pub trust: Trust,
    /// What stopped the run before its load was over, as text.
    pub stopped: Option<String>,
    /// Errors of shards that failed, whose unsent data is missing, and of reports that were not
    /// written.
    pub broken: Vec<String>,
    /// Whether the run is in progress, so that judgements may still change.
    pub is_running: bool,
    /// The exit status, or the one if the run ended now.
    pub status: ExitStatus,
    /// The reason, if neither a threshold nor `stopped` tells it.
    pub why: Option<String>,
    /// Peak resident memory of all processes of the run, bytes.
    pub rss_peak: Option<u64>,
    /// The workers, if the run had any; none while it is running.
    pub workers: Vec<WorkerUse>,
    /// What became of the shift, if the run had one; `None` while it is running.
    pub shift: Option<ShiftReport>,
    /// What the run used; empty while it is running.
    pub usage: RunUsage,
    /// Mean resident memory of the processes of this machine during the load, bytes.
    pub memory_mean: Option<u64>,
    /// Prices, if the report tells what the run cost.
    pub prices: Option<Arc<Prices>>,
}

impl Report {
    /// Returns the open connections in the last whole second of the load; `None` if it was
    /// shorter.
    pub fn connections_at_load_end(&self) -> Option<u64> {
        let seconds = self.snapshot.until_ns / 1_000_000_000;
        let samples = self.timeline.gauges.iter().rev();
        samples
            .into_iter()
            .find(|sample| u64::from(sample.second) < seconds)
            .map(|one| one.connections)
    }

    /// Returns the calls of step `step` per second of its workload's measured load. Calls of the
    /// drain are left out, because the schedule did not ask for them. `None` if no time was
    /// measured.
    pub fn calls_per_s(&self, step: StepId) -> Option<f64> {
        let (plan, snapshot) = (&self.info.plan, &self.snapshot);
        let ns = plan.measured_ns(plan.steps[step].workload, snapshot.until_ns);
        let calls = snapshot.measured.steps[step.index()].as_ref().map_or(0, |step| step.in_load());
        per_second(calls, ns)
    }

    /// Returns the calls of all steps per second of measured load, without those of the drain;
    /// `None` if no time was measured.
    pub fn all_calls_per_s(&self) -> Option<f64> {
        let steps = self.snapshot.measured.steps.iter().flatten();
        let calls: u64 = steps.map(|step| step.in_load()).sum();
        per_second(calls, self.snapshot.measured_ns)
    }

    /// Returns the number of measured calls due in the drain: all figures but the rates include
    /// them.
    pub fn calls_in_drain(&self) -> u64 {
        self.snapshot.measured.steps.iter().flatten().map(|step| step.in_drain).sum()
    }

    /// Returns the report with an error: it could not be written.
    #[must_use]
    pub fn with_write_error(&self, why: String) -> Self {
        let mut broken = self.broken.clone();
        broken.push(why);
        Self { broken, status: ExitStatus::Broken, ..self.clone() }
    }

    /// Returns the shell command that repeats the run with the same seed, without its `--out`: that
    /// folder has this report.
    pub fn command_line(&self) -> String {
        let (words, seed) = (&self.info.command, self.info.plan.seed.value().to_string());
        let mut words = words.iter().map(String::as_str);
        let mut all = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "--out" => drop(words.next()),
                word if word.starts_with("--out=") => {}
                word => all.push(word),
            }
        }
        if !all.iter().any(|word| *word == "--seed" || word.starts_with("--seed=")) {
            all.extend(["--seed", &seed]);
        }
        all.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for a shell: single quotes unless all characters are safe in every shell.
fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// An event of a run, for sinks.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The run started.
    Started(Arc<RunInfo>),
    /// A shard's delta of about one second.
    Delta(Arc<Delta>),
    /// Seconds that are complete over all shards.
    SecondsCompleted(Arc<Vec<CompletedSecond>>),
    /// Gauges at the end of a second.
    Gauges(Arc<GaugeSample>),
    /// The report so far, once a second.
    Tick(Arc<Report>),
    /// A note for the user.
    Note(String),
    /// State changes on one shard, or seen by the run itself.
    StateChanges(Arc<StateChanges>),
    /// A state change that belongs to no shard was logged.
    EventLogged(Arc<StateChange>),
    /// The run is stopping before its load is over, and when.
    Stopped(StopCause, RunOffset),
    /// Output of `log` steps, and the number of further lines.
    LogLines(Vec<String>, u64),
    /// The run is over.
    Ended(Arc<Report>),
}

/// The trace of one dry-run iteration, as `check --once` shows it.
#[derive(Clone, Debug)]
pub struct DryRunTrace {
    /// `setup`, an archetype, or `teardown`.
    pub kind: String,
    /// Number of the iteration, from 1: an archetype with choices runs more than once.
    pub number: usize,
    /// The events in order.
    pub events: Vec<TraceEvent>,
    /// The number of events that were not kept.
    pub more: u64,
    /// Why the iteration did not complete, as text.
    pub failure: Option<String>,
    /// Steps that no iteration reached, and why.
    pub unreached: Vec<(String, String)>,
}

/// An event of a dry run. Secrets and credentials are redacted.
#[derive(Clone, Debug)]
pub enum TraceEvent {
    /// A call ended.
    Call(Box<TracedCall>),
    /// A call or another step failed in the generator: its name, and why.
    Fault(Option<String>, String),
    /// A `log` step wrote this.
    Logged(String),
}

/// A completed call.
#[derive(Clone, Debug)]
pub struct TracedCall {
    /// The step's name.
    pub step: String,
    /// The request line, then the headers.
    pub request: Vec<String>,
    /// Length of the request body, and its beginning.
    pub body: Option<(usize, String)>,
    /// Followed redirects: status and target.
    pub redirects: Vec<(u16, String)>,
    /// The status of the response, 0 for a step without one, or an index of
    /// `outcome::error_index`.
    pub status: Result<u16, usize>,
    /// Service time, ns: from the first network operation.
    pub service_ns: u64,
    /// Bytes read in the last attempt.
    pub bytes: u64,
    /// The head of the response, one entry per line.
    pub response: Vec<String>,
    /// Length of the response body as captured, and its beginning.
    pub response_body: Option<(usize, String)>,
    /// Names of checks and expects, whether they passed, and what was found instead.
    pub checks: Vec<(String, bool, Option<String>)>,
    /// Captured variables and their values; `None`: unset.
    pub captures: Vec<(String, Option<String>)>,
    /// Whether the call succeeded.
    pub is_ok: bool,
}

/// Maximum events kept of a trace.
pub const MAX_TRACE_EVENTS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_reads_quoted_words_unchanged() {
        for (word, quoted_word) in [
            ("run", "run"),
            ("", "''"),
            ("errors < 1%", "'errors < 1%'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("--seed=7", "--seed=7"),
        ] {
            assert_eq!(quoted(word), quoted_word);
        }
    }
}
