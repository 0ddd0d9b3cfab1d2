//! Live control of a run from outside: the control socket, the registry of runs, terminal keys.
//!
//! `run` makes the handles, `cli` opens the socket and the keys; both send
//! [`crate::event::ControlRequest`]s.
//! Invariant: nothing here changes a run; `run::control` decides on each command.

pub mod keys;
pub mod registry;
pub mod socket;

use tokio::sync::mpsc;

use crate::event::{ControlRequest, Interrupt};

/// Handles to control a run from outside.
#[derive(Debug)]
pub struct ControlHandles {
    /// The scenario's name.
    pub run: String,
    /// Ends the run.
    pub interrupts: mpsc::Sender<Interrupt>,
    /// Sends commands to the run.
    pub commands: mpsc::Sender<ControlRequest>,
}
