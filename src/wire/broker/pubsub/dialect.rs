//! What differs between the servers whose channels a session uses.
//!
//! `session` calls it.
//! Invariant: a dialect knows nothing of sockets and time.

use super::command_queue::CommandQueue;
use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::broker::command::PublishCommand;
use crate::wire::message_stream::Message;

/// The words of a server.
pub(in crate::wire) trait PubSubDialect: std::fmt::Debug {
    /// Takes bytes that were read at `now`: answers go into `commands`, messages to `receive`.
    /// Returns the status with which the server ends the connection, if it says so.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn feed(
        &mut self,
        bytes: &[u8],
        now: Time,
        commands: &mut CommandQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<Option<u16>, FailureKind>;

    /// Appends what publishes a message; it is answered.
    ///
    /// # Errors
    /// `MessageTooLarge`.
    fn publish(
        &mut self,
        message: &PublishCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FailureKind>;

    /// Appends what subscribes to a channel; it is answered.
    ///
    /// # Errors
    /// `MessageTooLarge` if no such channel can be.
    fn subscribe(&mut self, source: &str, out: &mut Vec<u8>) -> Result<(), FailureKind>;

    /// Appends what tells the server that the session ends.
    fn end(&mut self, out: &mut Vec<u8>);
}
