//! Records what happens on a dry run: the events of one user's iteration, and which steps it
//! reached.
//!
//! `run::dry_run` makes one for each archetype and reads it after each iteration; `call::trace` and
//! `iteration` write to it. A run has none, and a call pays one look at an `Option`.
//! Invariant: what it keeps is bounded.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{MAX_TRACE_EVENTS, TraceEvent};
use crate::plan::flow::Choice;

/// The events of an iteration.
#[derive(Debug, Default)]
pub(crate) struct RecordedTrace {
    pub(crate) events: Vec<TraceEvent>,
    /// How many events were dropped because `events` was full.
    pub(crate) more: u64,
    /// Redirects of calls that have not ended: status and target, by call.
    redirects: HashMap<CallKey, Vec<(u16, String)>>,
}

/// Identifies a call while it is under way: the address of its prepared step.
type CallKey = usize;

/// Which branches and steps the iterations of an archetype have reached.
#[derive(Debug, Default)]
struct BranchCoverage {
    /// How often each branch of a choice was taken, by the index of the choice's step.
    branches: HashMap<usize, Vec<u32>>,
    /// Iterations since the last one that took a branch for the first time.
    repeats: usize,
    /// The names of the steps that were made or tried.
    steps: HashSet<String>,
}

/// Records the iterations of one archetype. Clones share what they record.
#[derive(Clone, Debug)]
pub struct TraceRecorder {
    trace: Arc<Mutex<RecordedTrace>>,
    coverage: Arc<Mutex<BranchCoverage>>,
    /// At a choice the branch that was taken least often is taken, not the one that was drawn.
    takes_each_branch: bool,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TraceRecorder {
    /// A recorder whose iterations take the branches of each choice in turn, or those that are
    /// drawn.
    pub fn new(takes_each_branch: bool) -> Self {
        Self { trace: Arc::default(), coverage: Arc::default(), takes_each_branch }
    }

    /// Takes the events recorded so far.
    pub(crate) fn take(&self) -> RecordedTrace {
        std::mem::take(&mut *lock(&self.trace))
    }

    /// Whether another iteration may reach more steps: a branch was never taken, and the last
    /// iterations, as many as there are branches, did find new ones. Call it once per iteration.
    pub fn has_more(&self) -> bool {
        let mut coverage = lock(&self.coverage);
        let branches: usize = coverage.branches.values().map(Vec::len).sum();
        let is_open = coverage.branches.values().flatten().any(|taken| *taken == 0);
        let repeats = coverage.repeats;
        coverage.repeats += 1;
        self.takes_each_branch && is_open && repeats <= branches
    }

    /// Whether a step of this name was made or tried.
    pub fn has_reached(&self, step: &str) -> bool {
        lock(&self.coverage).steps.contains(step)
    }

    /// Returns the first step of the branch to take at the choice `at`: `drawn`, the branch drawn
    /// at random, or in a dry run the branch that was taken least often.
    #[cold]
    pub(crate) fn branch(&self, at: usize, choice: &Choice, drawn: usize) -> usize {
        if !self.takes_each_branch {
            return drawn;
        }
        let mut coverage = lock(&self.coverage);
        let taken = coverage.branches.entry(at).or_insert_with(|| vec![0; choice.options.len()]);
        let Some(least) = (0..taken.len()).min_by_key(|branch| taken[*branch]) else {
            return drawn;
        };
        taken[least] += 1;
        if taken[least] == 1 {
            coverage.repeats = 0;
        }
        choice.options[least].1
    }

    /// Records an event; beyond [`MAX_TRACE_EVENTS`] it is only counted.
    pub(crate) fn record(&self, event: TraceEvent) {
        let step = match &event {
            TraceEvent::Call(call) => Some(call.step.clone()),
            TraceEvent::Fault(step, _) => step.clone(),
            TraceEvent::Logged(_) => None,
        };
        lock(&self.coverage).steps.extend(step);
        let mut trace = lock(&self.trace);
        if trace.events.len() < MAX_TRACE_EVENTS {
            trace.events.push(event);
        } else {
            trace.more += 1;
        }
    }

    /// Records a redirect of a call that has not ended.
    pub(crate) fn record_redirect(&self, call: CallKey, status: u16, target: String) {
        lock(&self.trace).redirects.entry(call).or_default().push((status, target));
    }

    /// Takes the redirects of a call that has ended.
    pub(crate) fn take_redirects(&self, call: CallKey) -> Vec<(u16, String)> {
        lock(&self.trace).redirects.remove(&call).unwrap_or_default()
    }
}
