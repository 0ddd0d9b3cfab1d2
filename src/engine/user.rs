//! One virtual user walking its flow.
//!
//! A seat gives it an identity; it makes calls through `attempt`.
//! Invariant: what it plans follows from (seed, stream, its number) alone.

use std::cell::RefCell;
use std::rc::Rc;

use super::attempt::{self, Turn};
use super::prepared::Flow;
use super::shard::Shard;
use crate::clock::{self, Time};
use crate::curve::Distribution;
use crate::plan::template::Value;
use crate::seed::{Rng, Seed, Stream};
use crate::stats::Fate;
use crate::stats::sample::IterationEnd;
use crate::units::nanos;
use crate::wire::jar::Jar;
use crate::wire::{Line, Patience};

/// The shortest wait after a call that got no answer, and the longest it grows to.
const BACKOFF_NS: (u64, u64) = (100_000_000, 1_000_000_000);

/// A user: an identity for now, and the memory it reuses from earlier ones.
#[derive(Debug)]
pub(super) struct User {
    /// Its workload.
    pub(super) workload: usize,
    /// Index into `Plan::archetypes`.
    pub(super) archetype: usize,
    /// Number of the user (closed) or arrival (open).
    pub(super) number: u64,
    /// The iteration within its user.
    pub(super) iteration: u64,
    /// The number of its item over the whole run: user, arrival or count-bound iteration.
    pub(super) item: u64,
    /// What this iteration draws from.
    pub(super) rng: Rng,
    /// Its variables by slot.
    pub(super) variables: Vec<Option<Value>>,
    /// Its way to each service.
    pub(super) lines: Vec<Line>,
    /// Its cookies, from the first that it is given on; its branches share them.
    pub(super) jar: Option<Rc<RefCell<Jar>>>,
    /// What it waits with.
    pub(super) patience: Patience,
    first_step: usize,
    backoff_ns: u64,
}

/// An iteration that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// How it ended.
    pub(super) end: IterationEnd,
    /// When its last call was done.
    pub(super) done: Time,
    /// Its own thinks, ns.
    pub(super) thought_ns: u64,
    /// The think drawn after its last call; for the closed model.
    pub(super) think_ns: u64,
}

impl User {
    /// A user without an identity.
    pub(super) fn new(shard: &Shard) -> Self {
        Self {
            workload: 0,
            archetype: 0,
            number: 0,
            iteration: 0,
            item: 0,
            rng: NOBODY.rng(Stream::Content, 0, 0),
            variables: Vec::new(),
            lines: shard.plan.services.iter().map(|_| shard.wire.line()).collect(),
            jar: None,
            patience: Patience::new(shard.cut.clone()),
            first_step: 0,
            backoff_ns: 0,
        }
    }

    /// Becomes user or arrival `number` of a workload.
    pub(super) fn become_number(&mut self, shard: &Shard, workload: usize, number: u64) {
        let share = shard.plan.workloads[workload].share_of(shard.plan.seed, workload, number);
        self.workload = workload;
        self.archetype = share.archetype;
        self.first_step = share.first_step.0.into();
        self.number = number;
        self.backoff_ns = 0;
        self.jar = None;
        self.variables.clear();
        self.variables.resize(shard.plan.archetypes[share.archetype].variables.len(), None);
    }

    /// Begins an iteration: `part` and `index` name its item among all of its workload.
    pub(super) fn begin(&mut self, seed: Seed, iteration: u64, item: Item) {
        self.iteration = iteration;
        let (part, index) = match item {
            // The workload and the kind of numbering in the high bits: no two items share a key.
            Item::Iteration(number) => ((self.workload as u64) << 48 | 1 << 47, number),
            Item::Of(number) => ((self.workload as u64) << 48 | number, iteration),
        };
        self.item = match item {
            Item::Iteration(number) | Item::Of(number) => number,
        };
        self.rng = seed.rng(Stream::Content, part, index);
    }

    /// The index of a series of its archetype in `Plan::steps`.
    pub(super) fn step(&self, series: u16) -> usize {
        self.first_step + usize::from(series)
    }

    /// Walks the flow once. Each call but the first is ready when it is intended: at the end of the
    /// one before and the think after it.
    pub(super) async fn walk(&mut self, shard: &Shard, first: Turn) -> Walked {
        let flow: &Flow = &shard.flows[self.archetype];
        let mut turn = first;
        let mut walked = Walked {
            end: IterationEnd::Completed,
            done: first.picked_up,
            thought_ns: 0,
            think_ns: 0,
        };
        let last = flow.calls.len() - 1;
        for (index, prepared) in flow.calls.iter().enumerate() {
            let ended = attempt::call(shard, self, prepared, turn).await;
            walked.done = ended.done;
            let think = prepared.call.think.as_ref().or(flow.think.as_ref());
            let think_ns = self.draw(think);
            let wait_ns = think_ns.max(self.hold_after(ended.answered));
            if !ended.goes_on {
                walked.think_ns = think_ns;
                walked.end = match ended.fate {
                    Fate::Unfinished => IterationEnd::Interrupted,
                    _ => IterationEnd::Early,
                };
                return walked;
            }
            if index == last {
                walked.think_ns = think_ns;
                return walked;
            }
            let intended = ended.done.after(wait_ns);
            turn = Turn { intended, ready: intended, picked_up: ended.done };
            if wait_ns > 0 {
                if self.patience.pause_until(intended).await.is_err() {
                    walked.end = IterationEnd::Interrupted;
                    return walked;
                }
                walked.thought_ns += think_ns;
                turn.picked_up = clock::now();
            }
        }
        walked
    }

    /// The think after a call.
    fn draw(&mut self, think: Option<&Distribution>) -> u64 {
        think.map_or(0, |think| nanos(think.sample(&mut self.rng)))
    }

    /// How long to hold back after a call, so that a target that gives no answer is not hammered.
    /// It is no think of the user's: what it costs is part of the iteration.
    fn hold_after(&mut self, answered: bool) -> u64 {
        self.backoff_ns =
            if answered { 0 } else { (self.backoff_ns * 2).clamp(BACKOFF_NS.0, BACKOFF_NS.1) };
        self.backoff_ns
    }

    /// How long this user holds back after calls that got no answer; zero when all is well.
    pub(super) fn backoff_ns(&self) -> u64 {
        self.backoff_ns
    }
}

/// What an iteration is an item of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    /// Its user or arrival.
    Of(u64),
    /// The iterations of a workload that is bound by their count.
    Iteration(u64),
}

/// Draws nothing that is ever used.
const NOBODY: Seed = Seed::ZERO;
