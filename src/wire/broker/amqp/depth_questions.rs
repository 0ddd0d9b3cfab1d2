//! The questions of a session for the messages of the queues that it consumes.
//!
//! `channel` hands it consumers, and the methods of their channel; `session` keeps its deadline.
//! Invariant: one question waits for its answer at most; questions have a channel of their own,
//! since a broker closes the channel of one that it refuses: consumers are on another.

use std::collections::VecDeque;
use std::rc::Rc;

use super::encode::{self, QUESTION_CHANNEL};
use super::fault::AmqpFault;
use super::limits::AmqpLimits;
use super::methods::ServerMethod;
use super::queue_depths::QueueDepths;
use crate::clock::Time;

/// The wait between two questions for a queue, ns.
const ASK_NS: u64 = 1_000_000_000;

/// The wait before a session looks whether the one that asks has ended, ns.
const LOOK_NS: u64 = 5 * ASK_NS;

/// The questions of a session.
#[derive(Debug)]
pub(super) struct DepthQuestions {
    depths: Rc<QueueDepths>,
    consumed: Vec<ConsumedQueue>,
    phase: QuestionPhase,
    /// Queues to ask for in this round, the next one first.
    waiting: VecDeque<Box<str>>,
    /// The queue of the question that waits for its answer.
    asked: Option<Box<str>>,
    /// When the next round begins.
    next: Time,
}

/// A queue that consumers of this session consume.
#[derive(Debug)]
struct ConsumedQueue {
    name: Box<str>,
    subscriptions: Vec<u32>,
    /// Whether this session asks for it.
    is_asker: bool,
    /// Whether the broker refused a question.
    is_refused: bool,
}

/// The state of the channel of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuestionPhase {
    Closed,
    Opening,
    Open,
    /// The connection has one channel, or the broker closed this one without a question.
    Impossible,
}

impl DepthQuestions {
    pub(super) fn new(depths: Rc<QueueDepths>, limits: AmqpLimits) -> Self {
        let has_room = limits.channel_max == 0 || limits.channel_max >= QUESTION_CHANNEL;
        Self {
            depths,
            consumed: Vec::new(),
            phase: if has_room { QuestionPhase::Closed } else { QuestionPhase::Impossible },
            waiting: VecDeque::new(),
            asked: None,
            next: Time::NEVER,
        }
    }

    /// Notes that the broker confirmed a consumer.
    pub(super) fn add(&mut self, now: Time, subscription: u32, queue: &str) {
        // Without a name it is the queue that the channel declared last: its name is not known.
        if queue.is_empty() {
            return;
        }
        self.depths.join(queue);
        let mut known = self.consumed.iter_mut();
        if let Some(consumed) = known.find(|consumed| *consumed.name == *queue) {
            consumed.subscriptions.push(subscription);
            return;
        }
        self.consumed.push(ConsumedQueue {
            name: queue.into(),
            subscriptions: vec![subscription],
            is_asker: false,
            is_refused: false,
        });
        self.next = now;
    }

    /// Notes that the broker ended a consumer.
    pub(super) fn remove(&mut self, subscription: u32) {
        let Self { consumed, depths, .. } = self;
        consumed.retain_mut(|consumed| {
            let place = consumed.subscriptions.iter().position(|known| *known == subscription);
            let Some(place) = place else { return true };
            consumed.subscriptions.remove(place);
            let is_left = !consumed.subscriptions.is_empty();
            if !is_left && consumed.is_asker {
                depths.release(&consumed.name);
            }
            depths.leave(&consumed.name);
            is_left
        });
        if consumed.is_empty() {
            self.next = Time::NEVER;
        }
    }

    /// The listener's part of the messages that its queue has: that of the shard for the first
    /// listener of the session that asks, 0 for others. `None` if it is not known, or none asks.
    pub(super) fn behind(&self, subscription: u32) -> Option<u64> {
        let is_it = |consumed: &&ConsumedQueue| consumed.subscriptions.contains(&subscription);
        let consumed = self.consumed.iter().find(is_it)?;
        // Others need no answer: their sessions may be idle when it comes.
        if consumed.is_asker && consumed.subscriptions.first() == Some(&subscription) {
            self.depths.share(&consumed.name)
        } else {
            self.depths.is_asked(&consumed.name).then_some(0)
        }
    }

    /// When the next round begins.
    pub(super) const fn deadline(&self) -> Time {
        let is_asking = self.asked.is_some() || matches!(self.phase, QuestionPhase::Opening);
        if is_asking || matches!(self.phase, QuestionPhase::Impossible) {
            Time::NEVER
        } else {
            self.next
        }
    }

    /// Begins a round if it is due.
    pub(super) fn ask_due(&mut self, now: Time, out: &mut Vec<u8>) {
        if self.deadline() > now {
            return;
        }
        let Self { consumed, depths, waiting, .. } = self;
        waiting.clear();
        for consumed in consumed.iter_mut().filter(|consumed| !consumed.is_refused) {
            consumed.is_asker = consumed.is_asker || depths.claim(&consumed.name);
            if consumed.is_asker {
                waiting.push_back(consumed.name.clone());
            }
        }
        self.next = now.after(if self.waiting.is_empty() { LOOK_NS } else { ASK_NS });
        self.ask_next(out);
    }

    /// Sends the next question, if one waits.
    fn ask_next(&mut self, out: &mut Vec<u8>) {
        if self.waiting.is_empty() {
            return;
        }
        match self.phase {
            QuestionPhase::Closed => {
                encode::channel_open(out, QUESTION_CHANNEL);
                self.phase = QuestionPhase::Opening;
            }
            QuestionPhase::Open => {
                self.asked = self.waiting.pop_front();
                // A name that is too long would have refused its consumer.
                let name = self.asked.as_deref().unwrap_or_default();
                let _ = encode::passive_declare(out, name);
            }
            QuestionPhase::Opening | QuestionPhase::Impossible => {}
        }
    }

    /// Takes a method of the channel of questions.
    pub(super) fn take(
        &mut self,
        method: ServerMethod<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), AmqpFault> {
        match (method, self.phase) {
            (ServerMethod::ChannelOpenOk, QuestionPhase::Opening) => {
                self.phase = QuestionPhase::Open;
            }
            (ServerMethod::QueueDeclareOk { messages, consumers, .. }, QuestionPhase::Open) => {
                let queue = self.asked.take().ok_or(AmqpFault::Unexpected)?;
                self.depths.note(&queue, messages, consumers);
            }
            (ServerMethod::ChannelClose(_), QuestionPhase::Open | QuestionPhase::Opening) => {
                encode::channel_close_ok(out, QUESTION_CHANNEL);
                self.close();
            }
            (ServerMethod::Flow(is_active), QuestionPhase::Open) => {
                encode::flow_ok(out, QUESTION_CHANNEL, is_active);
                return Ok(());
            }
            (_, QuestionPhase::Closed | QuestionPhase::Impossible) => {
                return Err(AmqpFault::Channel);
            }
            _ => return Err(AmqpFault::Unexpected),
        }
        self.ask_next(out);
        Ok(())
    }

    /// The broker closed the channel: the queue of the question is not asked for again.
    fn close(&mut self) {
        let Some(queue) = self.asked.take() else {
            self.phase = QuestionPhase::Impossible;
            self.waiting.clear();
            return self.give_up(|_| true);
        };
        self.phase = QuestionPhase::Closed;
        self.give_up(|name| *name == *queue);
        self.depths.refuse(&queue);
    }

    /// Asks no more for the queues that `is_it` selects.
    fn give_up(&mut self, is_it: impl Fn(&str) -> bool) {
        for consumed in self.consumed.iter_mut().filter(|consumed| is_it(&consumed.name)) {
            consumed.is_refused = true;
            if std::mem::take(&mut consumed.is_asker) {
                self.depths.release(&consumed.name);
            }
        }
    }
}

impl Drop for DepthQuestions {
    fn drop(&mut self) {
        self.give_up(|_| true);
        for consumed in &self.consumed {
            consumed.subscriptions.iter().for_each(|_| self.depths.leave(&consumed.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::methods::CloseReason;
    use super::super::tests::{server_method, short};
    use super::*;

    const OPEN: (u16, u16) = (20, 10);

    /// The questions of a session whose broker allows this many channels.
    fn questions(depths: &Rc<QueueDepths>, channel_max: u16) -> DepthQuestions {
        DepthQuestions::new(Rc::clone(depths), AmqpLimits::agreed(channel_max, 0, 0))
    }

    fn open() -> Vec<u8> {
        server_method(QUESTION_CHANNEL, OPEN, &[&[0]])
    }

    fn question(queue: &str) -> Vec<u8> {
        let fields: [&[u8]; 3] = [&[0, 0], &short(queue), &[1, 0, 0, 0, 0]];
        server_method(QUESTION_CHANNEL, (50, 10), &fields)
    }

    /// What is sent when this moment comes.
    fn asked(questions: &mut DepthQuestions, now: u64) -> Vec<u8> {
        let mut out = Vec::new();
        questions.ask_due(Time(now), &mut out);
        out
    }

    fn answered(questions: &mut DepthQuestions, method: ServerMethod<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        questions.take(method, &mut out).unwrap();
        out
    }

    fn depth(queue: &str, messages: u32, consumers: u32) -> ServerMethod<'_> {
        ServerMethod::QueueDeclareOk { queue: queue.as_bytes(), messages, consumers }
    }

    fn not_found() -> ServerMethod<'static> {
        ServerMethod::ChannelClose(CloseReason { code: 404, text: b"", cause: (50, 10) })
    }

    #[test]
    fn queues_are_asked_for_one_after_the_other_once_a_second() {
        let depths = Rc::default();
        let mut questions = questions(&depths, 0);
        assert_eq!(questions.deadline(), Time::NEVER);
        for (subscription, queue) in [(1, "a"), (2, "b"), (3, "a"), (4, "")] {
            questions.add(Time(5), subscription, queue);
        }
        assert_eq!(questions.deadline(), Time(5));
        assert_eq!(asked(&mut questions, 5), open());
        assert_eq!(questions.deadline(), Time::NEVER, "an answer has to come first");
        assert_eq!(answered(&mut questions, ServerMethod::ChannelOpenOk), question("a"));
        assert_eq!(asked(&mut questions, 9 * ASK_NS), b"");
        assert_eq!(questions.behind(1), None);
        assert_eq!(answered(&mut questions, depth("a", 7, 2)), question("b"));
        assert_eq!(answered(&mut questions, depth("b", 9, 3)), b"");
        let behind = [1, 2, 3, 4].map(|subscription| questions.behind(subscription));
        assert_eq!(behind, [Some(7), Some(3), Some(0), None], "once for each queue");
        assert_eq!(questions.deadline(), Time(5 + ASK_NS));
        assert_eq!(asked(&mut questions, 5 + ASK_NS), question("a"));
        questions.remove(1);
        questions.remove(3);
        assert_eq!(answered(&mut questions, depth("a", 8, 2)), question("b"));
        assert_eq!(questions.behind(3), None);
        questions.remove(2);
        assert_eq!(answered(&mut questions, depth("b", 8, 2)), b"");
        assert_eq!(questions.deadline(), Time::NEVER, "it has no consumers");
    }

    #[test]
    fn a_refused_question_is_not_repeated_and_others_go_on() {
        let depths = Rc::default();
        let mut questions = questions(&depths, 2);
        questions.add(Time(0), 1, "gone");
        questions.add(Time(0), 2, "kept");
        assert_eq!(asked(&mut questions, 0), open());
        assert_eq!(answered(&mut questions, ServerMethod::ChannelOpenOk), question("gone"));
        let closed = server_method(QUESTION_CHANNEL, (20, 41), &[]);
        assert_eq!(answered(&mut questions, not_found()), [closed.clone(), open()].concat());
        assert_eq!(answered(&mut questions, ServerMethod::ChannelOpenOk), question("kept"));
        assert_eq!(answered(&mut questions, depth("kept", 1, 1)), b"");
        assert_eq!((questions.behind(1), questions.behind(2)), (None, Some(1)));
        assert_eq!(asked(&mut questions, ASK_NS), question("kept"));
        assert_eq!(answered(&mut questions, depth("kept", 2, 1)), b"");
        // An end that no question was the reason of.
        assert_eq!(answered(&mut questions, not_found()), closed);
        assert_eq!(questions.deadline(), Time::NEVER);
        assert_eq!(questions.behind(2), None);
    }

    #[test]
    fn one_session_asks_and_another_goes_on_after_its_end() {
        let depths = Rc::default();
        let (mut first, mut second) = (questions(&depths, 0), questions(&depths, 0));
        first.add(Time(0), 1, "q");
        second.add(Time(0), 1, "q");
        assert_eq!(asked(&mut first, 0), open());
        assert_eq!(asked(&mut second, 0), b"");
        assert_eq!(second.deadline(), Time(LOOK_NS));
        assert_eq!(answered(&mut first, ServerMethod::ChannelOpenOk), question("q"));
        assert_eq!(answered(&mut first, depth("q", 10, 2)), b"");
        assert_eq!((first.behind(1), second.behind(1)), (Some(10), Some(0)));
        second.add(Time(1), 2, "q");
        assert_eq!(second.behind(2), Some(0), "without an answer of its own");
        drop(first);
        assert_eq!(second.behind(1), None);
        assert_eq!(asked(&mut second, LOOK_NS), open());
    }

    #[test]
    fn what_nothing_waits_for_is_a_fault() {
        let depths = Rc::default();
        let mut all = questions(&depths, 0);
        let mut out = Vec::new();
        assert_eq!(all.take(ServerMethod::ChannelOpenOk, &mut out), Err(AmqpFault::Channel));
        all.add(Time(0), 1, "q");
        asked(&mut all, 0);
        assert_eq!(all.take(depth("q", 1, 1), &mut out), Err(AmqpFault::Unexpected));
        // A broker that allows one channel is asked nothing.
        let mut one = questions(&depths, 1);
        one.add(Time(0), 1, "q");
        assert_eq!(one.deadline(), Time::NEVER);
        assert_eq!(one.take(ServerMethod::ChannelOpenOk, &mut out), Err(AmqpFault::Channel));
        assert_eq!(out, b"");
    }
}
