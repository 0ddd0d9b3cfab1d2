//! Live control of a run from outside: the control socket, the registry of runs, terminal keys.
//!
//! `run` makes the handles, `cli` opens the socket and the keys; both send what they read as
//! [`crate::event::ControlRequest`]s.
//! Invariant: nothing here changes a run; `run::control` decides on each command.

pub mod keys;
pub mod registry;
pub mod socket;

use tokio::sync::mpsc;

use crate::event::{ControlRequest, Interrupt};

/// What somebody outside may do to a run under way.
#[derive(Debug)]
pub struct ControlHandles {
    /// Its scenario's name.
    pub run: String,
    /// Ends it.
    pub interrupts: mpsc::Sender<Interrupt>,
    /// Changes what it asks.
    pub commands: mpsc::Sender<ControlRequest>,
}
