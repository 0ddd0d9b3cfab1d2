//! Commands to a broker that wait for their answers.
//!
//! `publish` and `subscribe` begin them; `live_stream` brings each answer here.
//! Invariant: each confirmed message is counted once: confirmed, refused or unconfirmed.

use std::collections::VecDeque;

use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::ids::StepId;
use crate::protocol::status;
use crate::stats::MessageTime;
use crate::wire::broker::command::CommandAnswer;

/// The commands of one stream.
#[derive(Debug, Default)]
pub(crate) struct PendingAnswers {
    /// The number of the last command.
    last: u64,
    /// The command that a step waits for, and its answer when it has come.
    awaited: Option<(u64, Option<CommandAnswer>)>,
    /// Messages whose confirmation no step waits for, in the order of their numbers.
    messages: VecDeque<SentMessage>,
}

/// A message that waits for its confirmation.
#[derive(Clone, Copy, Debug)]
struct SentMessage {
    number: u64,
    step: StepId,
    intended: RunOffset,
    sent: Time,
}

impl PendingAnswers {
    /// The number of the next command.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Notes that a step waits for the answer to a command.
    pub(crate) fn begin_wait(&mut self, number: u64) {
        self.awaited = Some((number, None));
    }

    /// Whether a step waits for the answer to this command.
    pub(crate) fn awaits(&self, number: u64) -> bool {
        matches!(&self.awaited, Some((awaited, None)) if *awaited == number)
    }

    /// Whether the answer has come that a step waits for.
    pub(crate) fn has_answer(&self) -> bool {
        matches!(self.awaited, Some((_, Some(_))))
    }

    /// Ends the wait; returns the answer if it has come.
    pub(crate) fn end_wait(&mut self) -> Option<CommandAnswer> {
        self.awaited.take().and_then(|(_, answer)| answer)
    }

    /// Notes a message whose confirmation no step waits for.
    pub(crate) fn note(&mut self, number: u64, (step, intended): (StepId, RunOffset), sent: Time) {
        self.messages.push_back(SentMessage { number, step, intended, sent });
    }

    /// Messages that wait for their confirmation.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.messages.len()
    }

    /// Takes an answer. Returns whether it ends a wait: of a step, or for room.
    pub(crate) fn take(&mut self, shard: &Shard, answer: CommandAnswer) -> bool {
        if let Some((number, place)) = &mut self.awaited
            && *number == answer.number
        {
            *place = Some(answer);
            return true;
        }
        let found = self.messages.binary_search_by_key(&answer.number, |sent| sent.number);
        let Some(sent) = found.ok().and_then(|place| self.messages.remove(place)) else {
            // Its step has timed out, and counted it; or the broker ended a subscription.
            if status::is_error(answer.status) {
                shard.recorder.borrow_mut().record_status(answer.status);
            }
            return false;
        };
        count(shard, (sent.step, sent.intended), &answer, sent.sent);
        true
    }

    /// Counts the messages whose confirmation cannot come any more.
    pub(crate) fn give_up(&mut self, shard: &Shard) {
        let mut recorder = shard.recorder.borrow_mut();
        for sent in self.messages.drain(..) {
            recorder.messages(sent.step, sent.intended).counts.unconfirmed += 1;
        }
    }
}

/// Counts the confirmation of a message, with its time since `sent`.
pub(crate) fn count(
    shard: &Shard,
    (step, intended): (StepId, RunOffset),
    answer: &CommandAnswer,
    sent: Time,
) {
    let mut recorder = shard.recorder.borrow_mut();
    recorder.record_status(answer.status);
    let window = recorder.messages(step, intended);
    let is_refused = status::is_error(answer.status);
    window.counts.refused += u64::from(is_refused);
    window.counts.confirmed += u64::from(!is_refused);
    window.record(MessageTime::Confirm, answer.at.since(sent));
    if let Some(written) = answer.written {
        window.record(MessageTime::Linger, written.since(sent));
    }
}
