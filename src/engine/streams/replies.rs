//! The automatic answers of a listener.
//!
//! `step_end` prepares them when the listener begins, `live_stream` takes the answer to a message
//! and sends it.
//! Invariant: what a target does not read is bounded; an answer that cannot be rendered is a failed
//! check, and nothing is sent.

use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::streams::captured_values::CapturedValues;
use crate::engine::streams::conditions::{Conditions, view};
use crate::engine::streams::inbox::head_of;
use crate::extract::{self, ResponseRules};
use crate::ids::{ArchetypeId, StepId};
use crate::plan::listener::Reply;
use crate::seed::Rng;
use crate::template::{MAX_WORK, Value};
use crate::wire::message_stream::Message;

/// Maximum bytes of answers that wait for a target to read.
const MAX_WAITING: usize = 1 << 20;

/// The answers of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerReplies {
    /// Conditions, and the answer; `None` if it is rendered for each message.
    all: Vec<(Conditions, Option<Vec<u8>>)>,
    /// What templates read; `None` if no answer is rendered for each message.
    scope: Option<Box<ReplyScope>>,
}

/// What an answer can read besides its message: the user as the listener began.
#[derive(Debug)]
pub(crate) struct ReplyScope {
    pub(crate) variables: Vec<Option<Value>>,
    pub(crate) user: u64,
    pub(crate) iteration: u64,
}

/// Answers that are to be sent, and how many bytes of them may still wait for the target.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    answers: Vec<Vec<u8>>,
    /// Bytes since the last time that the kernel had taken all.
    waiting: usize,
}

impl ListenerReplies {
    /// Answers with their conditions, as they were rendered when the listener began; `None` for
    /// those that read a message. `scope` is for them.
    pub(crate) fn new(
        all: Vec<(Conditions, Option<Vec<u8>>)>,
        scope: Option<Box<ReplyScope>>,
    ) -> Self {
        Self { all, scope }
    }

    /// The answer to a message that the listener of the step `call` took at `at`; `None` if there
    /// is none. What its captures find goes to `captured`, too.
    pub(crate) fn answer(
        &mut self,
        shard: &Shard,
        (call, step): (usize, StepId),
        (at, message): (Time, &Message<'_>),
        (rng, captured): (&mut Rng, Option<&CapturedValues>),
    ) -> Option<Vec<u8>> {
        let index = self.all.iter().position(|(conditions, _)| conditions.hold(message))?;
        if let Some(text) = &self.all[index].1 {
            return Some(text.clone());
        }
        let archetype = shard.archetype_of(step);
        let prepared = &shard.flows[archetype].calls[call];
        let replies = prepared.call.replies();
        let scope = self.scope.as_mut()?;
        let reply = replies.get(index)?;
        let answer = scope.render(shard, (archetype, reply), (at, message), rng);
        for variable in reply.captures.iter().map(|capture| capture.variable) {
            if let Some(captured) = captured {
                captured.set(variable, scope.variables[variable].clone());
            }
        }
        // The checks of replies come after all others.
        let later = self.all[index..].iter().filter(|(_, text)| text.is_none()).count();
        let id = prepared.check_ids[prepared.check_ids.len() - later];
        let intended = RunOffset::of(at, shard.start);
        shard.recorder.borrow_mut().record_check(step, intended, id, answer.is_some());
        answer
    }
}

impl ReplyScope {
    /// Renders an answer; `None` if a capture finds nothing, or the template fails.
    fn render(
        &mut self,
        shard: &Shard,
        (archetype, reply): (ArchetypeId, &Reply),
        (at, message): (Time, &Message<'_>),
        rng: &mut Rng,
    ) -> Option<Vec<u8>> {
        let head = head_of(message);
        let view = view(message.payload, &head);
        let rules = ResponseRules { expects: &[], checks: &[], captures: &reply.captures };
        let mut has_all = true;
        extract::apply(rules, view, &mut self.variables, rng, |_, found| has_all &= found);
        if !has_all {
            return None;
        }
        let mut work = MAX_WORK;
        let numbers = (self.user, self.iteration);
        let mut scope = shard.scope((archetype, at), numbers, (&self.variables, rng, &mut work));
        let mut text = Vec::new();
        reply.text.render(&mut scope, &mut text).ok()?;
        Some(text)
    }
}

impl ReplyQueue {
    /// Queues an answer. Returns false if too much waits for the target already.
    pub(crate) fn push(&mut self, answer: Vec<u8>) -> bool {
        // An empty answer has a frame all the same.
        let bytes = answer.len().max(1);
        let has_room = self.waiting + bytes <= MAX_WAITING;
        if has_room {
            self.waiting += bytes;
            self.answers.push(answer);
        }
        has_room
    }

    /// Takes the answers, to hand them to the wire.
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.answers)
    }

    /// Notes that the kernel has taken all bytes that were handed over.
    pub(crate) fn mark_flushed(&mut self) {
        self.waiting = self.answers.iter().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_not_read_are_bounded() {
        let mut queue = ReplyQueue::default();
        let fits: Vec<bool> = (0..5).map(|_| queue.push(vec![0; MAX_WAITING / 4])).collect();
        assert_eq!(fits, [true, true, true, true, false]);
        assert_eq!(queue.take().len(), 4);
        assert!(!queue.push(Vec::new()));
        assert!(queue.take().is_empty(), "the kernel has not taken what was handed over");
        queue.mark_flushed();
        assert!(queue.push(vec![0; 1]));
        assert_eq!(queue.take().len(), 1);
    }
}
