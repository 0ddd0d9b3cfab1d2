//! Agents of a build without the feature `redis`: there are none.
//!
//! Invariant: the same names as in `agents`, so that nothing else depends on the feature.

use std::convert::Infallible;
use std::path::Path;

use tokio::sync::mpsc;

use super::dispatch_io::FormerEntries;
use super::error::RunError;
use crate::clock::Time;
use crate::engine::Variables;
use crate::engine::startup::tier::EngineTier;
use crate::event::{DeltaSource, Interrupt, RunInfo, WorkerUse};
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

    pub(super) fn join(self, _is_stuck: bool) -> (Vec<WorkerUse>, bool) {
        match self.0 {}
    }

    pub(super) fn globals(&mut self) -> Result<Option<Variables>, RunError> {
        match self.0 {}
    }
}

/// The folder in which the journal of what is merged is kept.
pub fn keep_journal(options: &mut AgentsOptions, _: &Path) {
    match *options {}
}

/// The port of the bus; there is none.
pub fn bus_port(options: &AgentsOptions) -> u16 {
    match *options {}
}

/// The addresses of a former coordinator; there is none.
pub fn former_addresses(options: &AgentsOptions) -> Option<Vec<Address>> {
    match *options {}
}

pub(super) fn former_info(options: &AgentsOptions) -> Option<&RunInfo> {
    match *options {}
}

pub(super) fn former_entries(
    options: &AgentsOptions,
    _: &Plan,
    _: &PendingAgents,
) -> Result<FormerEntries, RunError> {
    match *options {}
}

pub(super) fn count(options: &AgentsOptions) -> usize {
    match *options {}
}

pub(super) fn gather(
    options: &AgentsOptions,
    _: (&Plan, &[Address]),
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
