//! Commands of live control on their way to the run, and its replies.
//!
//! Screens and the control socket send them, `run::dispatch` receives them.
//! Invariant: a client never waits for room in the queue while it draws.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use super::control::ControlCommand;
use super::control_error::ControlError;
use crate::stats::ControlOrigin;

/// The result of a command: what it did, as text, or why it did nothing.
pub type ControlReply = Result<String, ControlError>;

/// A command in transit to the run.
#[derive(Debug)]
pub struct ControlRequest {
    /// The command.
    pub command: ControlCommand,
    /// Where the command came from.
    pub origin: ControlOrigin,
    /// Receives the result; `None` if no client waits for it.
    pub reply: Option<oneshot::Sender<ControlReply>>,
}

/// Sends commands to a run. It exists before the run, because screens start before the load.
#[derive(Clone, Debug, Default)]
pub struct ControlClient(Arc<OnceLock<Sender<ControlRequest>>>);

impl ControlClient {
    /// Connects it to the run's command queue.
    pub fn connect(&self, commands: Sender<ControlRequest>) {
        // Only the first connection counts; a second run has its own client.
        let _ = self.0.set(commands);
    }

    /// Sends a command and returns the receiver of its result. `None` if the run has not started,
    /// is over, or its queue is full.
    pub fn send(
        &self,
        command: ControlCommand,
        origin: ControlOrigin,
    ) -> Option<oneshot::Receiver<ControlReply>> {
        let (reply, result) = oneshot::channel();
        let request = ControlRequest { command, origin, reply: Some(reply) };
        self.0.get()?.try_send(request).ok()?;
        Some(result)
    }
}

/// Capacity of the command queue: more than its clients can have in progress.
pub const MAX_PENDING: usize = 16;
