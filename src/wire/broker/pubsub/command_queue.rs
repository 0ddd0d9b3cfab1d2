//! Commands that wait for their answers, in the order in which they were sent.
//!
//! `session` adds them, the dialects answer them.
//! Invariant: each command is answered once; an answer that no command waits for is an error.

use std::collections::VecDeque;

use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::broker::command::{BrokerDelivery, CommandAnswer};
use crate::wire::message_stream::{Message, MessageKind};

/// The commands of a session.
#[derive(Debug, Default)]
pub(in crate::wire) struct CommandQueue {
    waiting: VecDeque<WaitingCommand>,
    pub(super) answers: VecDeque<CommandAnswer>,
    /// Subscriptions that the server has confirmed, or is asked for.
    pub(super) subscriptions: Vec<ChannelSubscription>,
}

/// A command without an answer.
#[derive(Debug)]
pub(super) struct WaitingCommand {
    pub(super) number: u64,
    /// Whether it publishes.
    pub(super) publishes: bool,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct ChannelSubscription {
    pub(super) number: u32,
    /// Channel or pattern.
    pub(super) source: Box<str>,
}

impl CommandQueue {
    /// Notes a command that was queued.
    pub(super) fn add(&mut self, number: u64, publishes: bool) {
        self.waiting.push_back(WaitingCommand { number, publishes });
    }

    /// Whether the oldest command publishes; `None` if none waits.
    pub(super) fn oldest_publishes(&self) -> Option<bool> {
        self.waiting.front().map(|command| command.publishes)
    }

    /// Answers the oldest command.
    pub(super) fn answer(
        &mut self,
        at: Time,
        status: u16,
        reason: &str,
    ) -> Result<(), FailureKind> {
        let command = self.waiting.pop_front().ok_or(FailureKind::BadReply)?;
        let (number, reason) = (command.number, reason.into());
        self.answers.push_back(CommandAnswer { number, at, status, reason, written: None });
        Ok(())
    }

    /// Hands a message on: by the source that was subscribed to, its channel, and its payload.
    pub(super) fn deliver(
        &self,
        now: Time,
        (source, channel): (&[u8], &[u8]),
        (kind, payload): (MessageKind, &[u8]),
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) {
        let delivery = BrokerDelivery {
            subscription: self.subscription(source),
            delivery: 0,
            is_redelivered: false,
            topic: &String::from_utf8_lossy(channel),
            headers: b"",
        };
        let message = Message::new(kind, payload);
        receive(now, Message { delivery: Some(&delivery), ..message });
    }

    /// The number of the subscription to this channel or pattern.
    fn subscription(&self, source: &[u8]) -> Option<u32> {
        let is_it = |one: &&ChannelSubscription| one.source.as_bytes() == source;
        self.subscriptions.iter().find(is_it).map(|one| one.number)
    }
}
