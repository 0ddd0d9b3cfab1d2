//! What a run and its audience say to each other: plain data, up and down.
//!
//! Shards send Deltas to `run`, `run` sends RunEvents to `sinks`, Commands go down to each shard.
//! Invariant: this is all they share; the engine does not know that a screen exists.

pub mod control;
pub mod record;
pub mod stop;

use std::sync::Arc;

use crate::exit::ExitStatus;
pub use crate::plan::policy::BreakerSwitch;
use crate::plan::policy::{DegradationLevel, Priority};
use crate::plan::{LoadOverride, RunManifest};
use crate::stats::{
    CompletedSecond, Delta, GaugeSample, Monitor, Snapshot, StateChange, StateChanges, Timeline,
};
use crate::units::per_second;
use crate::verdict::{Judgement, Trust};
pub use control::{ControlCommand, ControlReply, ControlRequest};
pub use stop::{Interrupt, StopCause};

/// What may be asked of running shards.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardCommand {
    /// Begin nothing new, let iterations finish within the grace.
    Drain,
    /// Cut everything now.
    Cancel,
    /// The client behaves otherwise from now on.
    Order(Order),
    /// Something else is asked of some workloads.
    ChangeSchedule(Vec<ScheduleChange>),
}

/// A change of what is asked. It holds from a moment that is still to come, so that all shards
/// change at the same point of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleChange {
    /// Index into `Plan::workloads`.
    pub workload: usize,
    /// From when on, ns after the run's start.
    pub at_ns: u64,
    /// What is asked from then on: all of it, so that each change stands by itself.
    pub load: LoadOverride,
}

/// How the client is to behave from now on. Each order may be given twice without harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// A breaker, by its place among those of the plan.
    Breaker(usize, BreakerSwitch),
    /// The calls of a series are not sent, or sent again.
    Mute(usize, bool),
    /// Calls below the level's priority are not sent.
    Level(DegradationLevel),
    /// Iterations of workloads below this priority do not begin.
    Admit(Priority),
    /// No user is let in beside those that are at work.
    PauseAdmission(bool),
    /// A pool's connections over the whole run from now on.
    Resize(usize, u64),
    /// Let go what memory can be spared.
    TrimMemory,
    /// Close a service's idle connections and look its name up again.
    Refresh(usize),
}

/// Deltas waiting for the dispatcher, over all shards; each may be megabytes. When it is full, a
/// shard keeps its delta and merges the next into it.
pub const DELTAS: usize = 16;

/// Commands waiting for a shard; more than a person can type.
pub const COMMANDS: usize = 64;

/// Where Deltas come from: threads, later processes and machines.
#[derive(Debug)]
pub struct DeltaSource {
    /// All shards' deltas.
    pub deltas: tokio::sync::mpsc::Receiver<Delta>,
    /// A way down to each shard.
    pub commands: Vec<tokio::sync::mpsc::Sender<ShardCommand>>,
}

impl DeltaSource {
    /// Tells every shard. A shard whose queue is full has been told often enough; one that is gone
    /// needs no telling.
    pub fn broadcast(&self, command: &ShardCommand) {
        for shard in &self.commands {
            let _ = shard.try_send(command.clone());
        }
    }

    /// Whether every shard that is still there has room for so many commands more: what is asked
    /// has to change on all of them or on none.
    pub fn has_room(&self, commands: usize) -> bool {
        self.commands.iter().all(|shard| shard.is_closed() || shard.capacity() >= commands)
    }
}

/// What the audience needs to know before the first number.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// The run.
    pub plan: Arc<RunManifest>,
    /// When it began, on the wall clock.
    pub started_at: std::time::SystemTime,
    /// Name of the tier, shards, and why.
    pub generator: GeneratorInfo,
    /// The words that began it, program first.
    pub command: Vec<String>,
    /// What the machine is, by name: cores, memory, kernel, our own version.
    pub machine: Vec<(String, String)>,
    /// What is read once a second beside the run.
    pub monitors: Vec<Monitor>,
}

/// Who makes the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorInfo {
    /// Name of the tier.
    pub tier: String,
    /// Shards in all.
    pub shards: usize,
    /// Why so many.
    pub reason: String,
    /// What a reader should know about this set-up, e.g. that target and generator share it.
    pub remarks: Vec<String>,
}

/// A run, complete: finished, or as it stands.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it is.
    pub info: Arc<RunInfo>,
    /// All numbers.
    pub snapshot: Arc<Snapshot>,
    /// Them over time.
    pub timeline: Timeline,
    /// Thresholds as they were judged.
    pub judgements: Vec<Judgement>,
    /// Whether the numbers can be believed.
    pub trust: Trust,
    /// What stopped it before its load was over, in words.
    pub stopped: Option<String>,
    /// Shards that failed, in words: what they had not shed is missing.
    pub broken: Vec<String>,
    /// It goes on: what was judged may change.
    pub goes_on: bool,
    /// How it ended, or would end now.
    pub status: ExitStatus,
    /// Why, where neither a rule nor what stopped it tells.
    pub why: Option<String>,
    /// The most memory the process held, bytes.
    pub rss_peak: Option<u64>,
}

impl Report {
    /// Connections open in the last whole second of the load, at most; `None` if it was shorter.
    pub fn connections_at_load_end(&self) -> Option<u64> {
        let seconds = self.snapshot.until_ns / 1_000_000_000;
        let moments = self.timeline.gauges.iter().rev();
        moments
            .into_iter()
            .find(|moment| u64::from(moment.second) < seconds)
            .map(|one| one.connections)
    }

    /// Calls of step `step` per second of the time in which its workload's load was measured. Calls
    /// of the drain are left out: nothing asked for them any more. `None` if no time was measured.
    pub fn calls_per_s(&self, step: usize) -> Option<f64> {
        let (plan, snapshot) = (&self.info.plan, &self.snapshot);
        let ns = plan.measured_ns(plan.steps[step].workload, snapshot.until_ns);
        let made = snapshot.measured.steps[step].as_ref().map_or(0, |step| step.in_load());
        per_second(made, ns)
    }

    /// Calls of all steps per second of the time in which load was measured, the drain left out;
    /// `None` if no time was measured.
    pub fn all_calls_per_s(&self) -> Option<f64> {
        let steps = self.snapshot.measured.steps.iter().flatten();
        let made: u64 = steps.map(|step| step.in_load()).sum();
        per_second(made, self.snapshot.measured_ns)
    }

    /// Measured calls that were due in the drain: they are in every figure but the rates.
    pub fn calls_in_drain(&self) -> u64 {
        self.snapshot.measured.steps.iter().flatten().map(|step| step.in_drain).sum()
    }

    /// The same run, whose report could not be written for this reason.
    #[must_use]
    pub fn unwritten(&self, why: String) -> Self {
        let mut broken = self.broken.clone();
        broken.push(why);
        Self { broken, status: ExitStatus::Broken, ..self.clone() }
    }

    /// The line for a shell that does the same again, with the same seed.
    pub fn command_line(&self) -> String {
        let (words, seed) = (&self.info.command, self.info.plan.seed.value().to_string());
        let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
        if !all.iter().any(|word| *word == "--seed" || word.starts_with("--seed=")) {
            all.extend(["--seed", &seed]);
        }
        all.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A word for a shell: what is not harmless in any of them stands in single quotes.
fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What happens in a run.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// It begins.
    Started(Arc<RunInfo>),
    /// A shard's delta of about a second.
    Delta(Arc<Delta>),
    /// Seconds that are complete, over all shards.
    SecondsCompleted(Arc<Vec<CompletedSecond>>),
    /// How things stand at the end of a second.
    Gauges(Arc<GaugeSample>),
    /// The run so far, once a second.
    Tick(Arc<Report>),
    /// Something a person should know now.
    Note(String),
    /// What changed, on one shard or by what the run itself saw.
    StateChanges(Arc<StateChanges>),
    /// What is no shard's was written down among the changes.
    EventLogged(Arc<StateChange>),
    /// Something stops it before its load is over, so many ns after its start.
    Stopped(StopCause, u64),
    /// What users' `log` steps said, and how many lines more there were.
    LogLines(Vec<String>, u64),
    /// It is over.
    Ended(Arc<Report>),
}

/// A walk of one user, as `check --once` shows it.
#[derive(Clone, Debug)]
pub struct DryRunTrace {
    /// `setup`, an archetype, or `teardown`.
    pub kind: String,
    /// Which walk of it, from 1: an archetype with choices is walked more than once.
    pub number: usize,
    /// What happened, in order.
    pub events: Vec<TraceEvent>,
    /// What happened beyond what is kept.
    pub more: u64,
    /// Why it did not go through, in words.
    pub failure: Option<String>,
    /// Steps of its archetype that no walk came to, and why.
    pub unreached: Vec<(String, String)>,
}

/// Something that happened on a walk. Secrets and logins are hidden in all of it.
#[derive(Clone, Debug)]
pub enum TraceEvent {
    /// A call came to its end.
    Call(Box<TracedCall>),
    /// A call or another step could not be made: its name, and why.
    Fault(Option<String>, String),
    /// A `log` step said it.
    Said(String),
}

/// A call that came to its end.
#[derive(Clone, Debug)]
pub struct TracedCall {
    /// Its name.
    pub step: String,
    /// The request line, then the headers.
    pub request: Vec<String>,
    /// The length of the body that was sent, and its beginning.
    pub body: Option<(usize, String)>,
    /// The redirects that were followed: status, and where to.
    pub redirects: Vec<(u16, String)>,
    /// The status of the answer, or `outcome::error_index`.
    pub answer: Result<u16, usize>,
    /// How long it took, from the first act outside, ns.
    pub service_ns: u64,
    /// Bytes read in its last attempt.
    pub bytes: u64,
    /// The head of the response, a line each.
    pub response: Vec<String>,
    /// The length of the response's body as it was kept, and its beginning.
    pub response_body: Option<(usize, String)>,
    /// Names of checks and expects, whether they held, and what was found instead.
    pub checks: Vec<(String, bool, Option<String>)>,
    /// Variables that were captured, and their values; none: unset.
    pub captures: Vec<(String, Option<String>)>,
    /// It was wanted as it came.
    pub ok: bool,
}

/// Most of what is kept of a walk.
pub const MAX_TRACE_EVENTS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_same_words() {
        for (word, wanted) in [
            ("run", "run"),
            ("", "''"),
            ("errors < 1%", "'errors < 1%'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("--seed=7", "--seed=7"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }
}
