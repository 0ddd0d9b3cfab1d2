//! What the loop of a run works with: inputs from outside, sinks, gauges.
//!
//! `execute` and simulations fill it in for `dispatch`.
//! Invariant: the loop reaches nothing outside the run but through these.

use tokio::sync::mpsc;

use super::aggregator::RunAggregator;
use super::health::HealthChange;
use crate::event::record::RecordEntry;
use crate::event::{ControlRequest, Interrupt, LossPolicy, WorkerEvent};
use crate::sinks::SinkSet;
use crate::stats::Delta;

/// What a former coordinator of the run merged and recorded, in order.
pub type FormerEntries = Box<dyn Iterator<Item = RecordEntry>>;

/// Inputs from outside during a run.
pub struct DispatchInputs {
    /// Signals that end it.
    pub interrupts: mpsc::Receiver<Interrupt>,
    /// Control commands.
    pub commands: mpsc::Receiver<ControlRequest>,
    /// Changes of the health of services.
    pub health: mpsc::Receiver<HealthChange>,
    /// What becomes of the load of a lost worker.
    pub on_loss: LossPolicy,
    /// What comes before anything else, if the run is resumed.
    pub former: FormerEntries,
}

/// What comes into the loop.
pub(super) enum LoopInput {
    Measured(Box<Delta>),
    Interrupted(Interrupt),
    Control(ControlRequest),
    Worker(WorkerEvent),
    Health(HealthChange),
}

impl DispatchInputs {
    /// The next input; `None` if none will come.
    pub(super) async fn next(&mut self) -> Option<LoopInput> {
        Some(tokio::select! {
            biased;
            Some(interrupt) = self.interrupts.recv() => LoopInput::Interrupted(interrupt),
            Some(request) = self.commands.recv() => LoopInput::Control(request),
            Some(change) = self.health.recv() => LoopInput::Health(change),
            else => return None,
        })
    }
}

/// What the loop works with.
pub struct DispatchIo<'a> {
    /// All numbers and rules.
    pub aggregator: &'a mut RunAggregator,
    /// The subscribers of its events.
    pub sinks: &'a mut SinkSet,
    /// Gauges of the process.
    pub process: ProcessGauges<'a>,
}

/// Gauges of the process, read once a second.
pub struct ProcessGauges<'a> {
    /// The memory that the process holds, bytes.
    pub rss: &'a mut dyn FnMut() -> Option<u64>,
    /// The memory that it may hold, bytes; `None` if there is no limit.
    pub limit: Option<u64>,
    /// The readings of the monitors, in the order of the run info.
    pub monitors: &'a mut dyn FnMut() -> Vec<Option<f64>>,
}
