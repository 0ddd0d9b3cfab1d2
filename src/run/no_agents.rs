//! Agents of a build without the feature `redis`: there are none.
//!
//! Invariant: the same names as in `agents`, so that nothing else depends on the feature.

use std::convert::Infallible;

use tokio::sync::mpsc;

use super::error::RunError;
use crate::clock::Time;
use crate::engine::Variables;
use crate::engine::startup::tier::EngineTier;
use crate::event::{DeltaSource, Interrupt, LossPolicy, WorkerUse};
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;

pub use std::convert::Infallible as AgentsOptions;
pub(super) use {NoAgents as PendingAgents, NoAgents as RunningAgents};

/// No agents.
pub(super) struct NoAgents(Infallible);

impl NoAgents {
    pub(super) fn start(&self) -> Option<Time> {
        match self.0 {}
    }

    pub(super) fn run(self) -> Result<(Self, DeltaSource), RunError> {
        match self.0 {}
    }

    pub(super) fn join(self, _is_stuck: bool) -> Vec<WorkerUse> {
        match self.0 {}
    }
}

pub(super) fn count(options: &AgentsOptions) -> usize {
    match *options {}
}

pub(super) fn gather(
    options: &AgentsOptions,
    _: (&Plan, &[Address]),
    _: (Option<usize>, LossPolicy),
    _: &mut SinkSet,
    _: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<PendingAgents, RunError> {
    match *options {}
}

pub(super) fn prepare(
    pending: PendingAgents,
    _: &Variables,
    _: &mut SinkSet,
    _: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<PendingAgents, RunError> {
    match pending.0 {}
}

pub(super) fn tier(pending: &PendingAgents, _: &EngineTier) -> EngineTier {
    match pending.0 {}
}
