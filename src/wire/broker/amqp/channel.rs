//! What frames and commands change on the channels of a connection: one for all, one for questions.
//!
//! `session` feeds it the frames that it reads, and writes what it queues.
//! Invariant: each message that was published is answered once if its options say so, with the
//! time of the read that confirmed it; what a broker can make us send is bounded.

use std::collections::VecDeque;
use std::rc::Rc;

use super::confirms::UnconfirmedMessages;
use super::consumers::AmqpConsumers;
use super::content::{ContentOrigin, ContentReader};
use super::depth_questions::DepthQuestions;
use super::fault::AmqpFault;
use super::frames::{AmqpFrame, BODY, HEADER, HEARTBEAT, METHOD};
use super::limits::AmqpLimits;
use super::methods::{CloseReason, DeliveredMessage, ReturnedMessage, ServerMethod};
use super::publish::mark;
use super::queue_depths::QueueDepths;
use super::{encode, publish, reply_code};
use crate::clock::Time;
use crate::plan::broker::SubscribeOptions;
use crate::stats::FailureKind;
use crate::wire::broker::command::{
    BrokerDelivery, CommandAnswer, DeliverySettlement, PublishCommand,
};
use crate::wire::link::out_queue::OutQueue;
use crate::wire::message_stream::{Message, MessageKind, StreamEnd};

/// Answers that the broker demands are queued while less than this waits, bytes.
const MAX_DEMANDED: usize = 256 << 10;

/// Messages that may wait for their confirmation; more are held back.
const MAX_UNCONFIRMED: usize = 1 << 17;

/// The part of a reason that is kept, bytes.
const MAX_REASON: usize = 255;

/// The method that begins to consume.
const CONSUME: (u16, u16) = (60, 20);

/// The state of a channel and its connection.
#[derive(Debug)]
pub(super) struct ChannelState {
    pub(super) phase: ChannelPhase,
    pub(super) answers: VecDeque<CommandAnswer>,
    limits: AmqpLimits,
    /// The longest message accepted, bytes.
    max_message: u64,
    /// Whether confirm.select was answered.
    is_selected: bool,
    is_blocked: bool,
    is_flow_stopped: bool,
    unconfirmed: UnconfirmedMessages,
    consumers: AmqpConsumers,
    pub(super) questions: DepthQuestions,
    content: ContentReader,
}

/// What ends a channel, or is about to.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChannelPhase {
    Open,
    /// connection.close was queued then.
    Closing(Time),
    Ended(StreamEnd),
}

impl ChannelState {
    pub(super) fn new(limits: AmqpLimits, max_message: u64, depths: Rc<QueueDepths>) -> Self {
        Self {
            phase: ChannelPhase::Open,
            answers: VecDeque::new(),
            limits,
            max_message,
            is_selected: false,
            is_blocked: false,
            is_flow_stopped: false,
            unconfirmed: UnconfirmedMessages::new(),
            consumers: AmqpConsumers::default(),
            questions: DepthQuestions::new(depths, limits),
            content: ContentReader::new(),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, ChannelPhase::Open)
    }

    /// Whether messages are to wait.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_blocked || self.is_flow_stopped || self.unconfirmed.len() >= MAX_UNCONFIRMED
    }

    /// Takes a frame that was read at `now`.
    pub(super) fn take(
        &mut self,
        now: Time,
        frame: &AmqpFrame<'_>,
        queue: &mut OutQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), AmqpFault> {
        if matches!(self.phase, ChannelPhase::Ended(_)) {
            return Ok(());
        }
        match (frame.kind, frame.channel) {
            (HEARTBEAT, 0) => Ok(()),
            (METHOD, 0) => self.take_connection_method(ServerMethod::read(frame.payload)?, queue),
            (METHOD, encode::CHANNEL) if self.content.is_idle() => {
                self.take_method(now, ServerMethod::read(frame.payload)?, queue)
            }
            // After connection.close nothing is sent.
            (METHOD, encode::QUESTION_CHANNEL) if !self.is_open() => Ok(()),
            (METHOD, encode::QUESTION_CHANNEL) => {
                let method = ServerMethod::read(frame.payload)?;
                if matches!(method, ServerMethod::Flow(_)) {
                    check_room(queue)?;
                }
                self.questions.take(method, &mut queue.bytes)
            }
            (HEADER, encode::CHANNEL) => {
                if self.content.take_header(frame.payload, self.max_message)? {
                    self.complete(now, &[], receive);
                }
                Ok(())
            }
            (BODY, encode::CHANNEL) => {
                if self.content.take_body(frame.payload)? {
                    self.complete(now, frame.payload, receive);
                }
                Ok(())
            }
            (_, 0 | encode::CHANNEL) => Err(AmqpFault::Unexpected),
            _ => Err(AmqpFault::Channel),
        }
    }

    fn take_connection_method(
        &mut self,
        method: ServerMethod<'_>,
        queue: &mut OutQueue,
    ) -> Result<(), AmqpFault> {
        match method {
            ServerMethod::Blocked => self.is_blocked = true,
            ServerMethod::Unblocked => self.is_blocked = false,
            ServerMethod::ConnectionClose(reason) => {
                encode::close_ok(&mut queue.bytes);
                self.end_by_target(reason.code);
            }
            ServerMethod::ConnectionCloseOk if !self.is_open() => {
                let end = StreamEnd { is_ours: true, code: None, failure: None };
                self.phase = ChannelPhase::Ended(end);
            }
            _ => return Err(AmqpFault::Unexpected),
        }
        Ok(())
    }

    fn take_method(
        &mut self,
        now: Time,
        method: ServerMethod<'_>,
        queue: &mut OutQueue,
    ) -> Result<(), AmqpFault> {
        if !self.is_selected && !matches!(method, ServerMethod::ChannelClose(_)) {
            self.is_selected = method == ServerMethod::SelectOk;
            return if self.is_selected { Ok(()) } else { Err(AmqpFault::Unexpected) };
        }
        match method {
            ServerMethod::Ack { tag, is_multiple } => {
                self.confirm(now, tag, is_multiple, reply_code::ok())?;
            }
            ServerMethod::Nack { tag, is_multiple } => {
                self.confirm(now, tag, is_multiple, reply_code::nack())?;
            }
            ServerMethod::Deliver(message) => self.begin_delivery(&message),
            ServerMethod::Return(ReturnedMessage { code, exchange, key }) => {
                let origin = ContentOrigin::Returned(reply_code::status_of(code));
                self.content.begin(origin, exchange, key);
            }
            ServerMethod::QosOk => {}
            ServerMethod::ConsumeOk(tag) => {
                let confirmed = self.consumers.confirm(tag)?;
                let number = confirmed.number;
                self.questions.add(now, confirmed.subscription, confirmed.queue);
                self.answer(now, number, reply_code::ok(), b"");
            }
            ServerMethod::Cancel { tag, has_answer } => {
                if has_answer {
                    check_room(queue)?;
                    encode::cancel_ok(&mut queue.bytes, tag).map_err(|()| AmqpFault::Syntax)?;
                }
                if let Some((number, subscription)) = self.consumers.cancel(tag) {
                    self.questions.remove(subscription);
                    self.answer(now, number, reply_code::cancelled(), b"");
                }
            }
            ServerMethod::Flow(is_active) => {
                check_room(queue)?;
                encode::flow_ok(&mut queue.bytes, encode::CHANNEL, is_active);
                self.is_flow_stopped = !is_active;
            }
            ServerMethod::ChannelClose(reason) => self.close_channel(now, &reason, queue),
            _ => return Err(AmqpFault::Unexpected),
        }
        Ok(())
    }

    /// Answers the publishes that a confirmation is for.
    fn confirm(
        &mut self,
        at: Time,
        tag: u64,
        is_multiple: bool,
        status: u16,
    ) -> Result<(), AmqpFault> {
        let is_taken = status == reply_code::ok();
        self.unconfirmed.settle(tag, is_multiple, |number, returned| {
            let status = if is_taken && returned != 0 { returned } else { status };
            let reason = Box::default();
            self.answers.push_back(CommandAnswer { number, at, status, reason, written: None });
        })
    }

    fn begin_delivery(&mut self, message: &DeliveredMessage<'_>) {
        let (subscription, tag) = self.consumers.note(message.consumer, message.tag);
        let is_redelivered = message.is_redelivered;
        let origin = ContentOrigin::Delivery { subscription, tag, is_redelivered };
        self.content.begin(origin, message.exchange, message.key);
    }

    /// Hands on a message that is complete with this part of its body, or notes its return.
    fn complete(&mut self, now: Time, last: &[u8], receive: &mut dyn FnMut(Time, Message<'_>)) {
        match self.content.origin {
            ContentOrigin::Delivery { subscription, tag, is_redelivered } => {
                let delivery = BrokerDelivery {
                    subscription,
                    delivery: tag,
                    is_redelivered,
                    topic: &self.content.topic,
                    headers: &self.content.lines,
                };
                let message = Message::new(MessageKind::Binary, self.content.body(last));
                receive(now, Message { delivery: Some(&delivery), ..message });
            }
            ContentOrigin::Returned(status) => {
                self.unconfirmed.note_returned(self.content.mark(), status);
            }
        }
        self.content.release();
    }

    /// Ends the session because the broker closed its channel; a consumer that was the reason is
    /// answered.
    fn close_channel(&mut self, at: Time, reason: &CloseReason<'_>, queue: &mut OutQueue) {
        encode::channel_close_ok(&mut queue.bytes, encode::CHANNEL);
        encode::close(&mut queue.bytes, 200, "the channel was closed");
        if reason.cause == CONSUME
            && let Some(number) = self.consumers.oldest_begun()
        {
            self.answer(at, number, reply_code::status_of(reason.code), reason.text);
        }
        self.end_by_target(reason.code);
    }

    fn answer(&mut self, at: Time, number: u64, status: u16, reason: &[u8]) {
        let reason = String::from_utf8_lossy(reason);
        let reason = reason[..reason.floor_char_boundary(MAX_REASON)].into();
        self.answers.push_back(CommandAnswer { number, at, status, reason, written: None });
    }

    fn end_by_target(&mut self, code: u16) {
        let code = Some(reply_code::status_of(code));
        self.phase = ChannelPhase::Ended(StreamEnd { is_ours: false, code, failure: None });
    }

    /// Ends the session because the broker broke a rule or a bound.
    #[cold]
    pub(super) fn fail(&mut self, fault: AmqpFault, queue: &mut OutQueue) {
        encode::close(&mut queue.bytes, fault.reply_code(), "");
        let failure = Some(fault.kind());
        self.phase = ChannelPhase::Ended(StreamEnd { is_ours: true, code: None, failure });
    }

    /// Ends the session for a failure of its connection, unless it has ended.
    pub(super) fn end_for(&mut self, kind: FailureKind) {
        let (is_ours, failure) = match self.phase {
            ChannelPhase::Ended(_) => return,
            // A broker may close the connection before its answer to our close.
            ChannelPhase::Closing(_) => (true, (kind == FailureKind::NoClose).then_some(kind)),
            ChannelPhase::Open => (kind == FailureKind::NoPong, Some(kind)),
        };
        self.phase = ChannelPhase::Ended(StreamEnd { is_ours, code: None, failure });
    }

    /// Queues a message.
    pub(super) fn publish(
        &mut self,
        number: u64,
        command: &PublishCommand<'_>,
        queue: &mut OutQueue,
    ) -> Result<(), FailureKind> {
        publish::publish(&mut queue.bytes, self.limits.frame_max, command)
            .map_err(|()| FailureKind::MessageTooLarge)?;
        let options = command.options;
        let mark = if options.is_mandatory {
            let names = (options.exchange.as_bytes(), command.destination.as_bytes());
            mark(names, command.payload.len() as u64, command.payload)
        } else {
            0
        };
        self.unconfirmed.push(options.is_confirmed.then_some(number), mark);
        Ok(())
    }

    /// Queues a subscription.
    pub(super) fn subscribe(
        &mut self,
        command: (u64, u32),
        source: &str,
        options: &SubscribeOptions,
        queue: &mut OutQueue,
    ) -> Result<(), FailureKind> {
        let begun = self.consumers.subscribe(command, source, options, &mut queue.bytes);
        begun.map_err(|()| FailureKind::MessageTooLarge)
    }

    /// Queues a settlement.
    pub(super) fn settle(&mut self, settlement: &DeliverySettlement, queue: &mut OutQueue) {
        self.consumers.settle(settlement, &mut queue.bytes);
    }
}

/// Checks that an answer that the broker demands has room.
fn check_room(queue: &OutQueue) -> Result<(), AmqpFault> {
    if queue.waiting() > MAX_DEMANDED { Err(AmqpFault::NoRoom) } else { Ok(()) }
}
