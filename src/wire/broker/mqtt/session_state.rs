//! What the packets of a session change: its phase, its commands, its subscriptions.
//!
//! `session` feeds it packets, and hands it commands.
//! Invariant: a packet identifier is in use by one command at a time; a message of quality of
//! service 2 is handed on once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::connack::{Connack, SessionLimits};
use super::packet::{MqttPacket, PacketFields};
use super::properties::{self, MqttProperty};
use super::publish::DeliveredPublish;
use super::{encode, filter, reason};
use crate::clock::{self, Time};
use crate::plan::broker::{MqttSettings, MqttVersion};
use crate::stats::FailureKind;
use crate::wire::broker::command::{BrokerDelivery, CommandAnswer, PublishCommand};
use crate::wire::link::out_queue::OutQueue;
use crate::wire::message_stream::{Message, MessageKind, StreamEnd};

/// Acknowledgements are queued while less than this waits, bytes: a broker that does not read gets
/// none, and ends the session.
const MAX_ACKNOWLEDGEMENTS: usize = 256 << 10;

/// Messages of quality of service 2 that are between PUBREC and PUBREL. A client takes no more than
/// it announced (§4.9), which is all identifiers here.
const MAX_UNRELEASED: usize = 65_535;

/// What packets change.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) settings: MqttSettings,
    pub(super) limits: Option<SessionLimits>,
    pub(super) phase: SessionPhase,
    /// The identifier given last.
    last_id: u16,
    /// Commands that wait for an answer, by packet identifier.
    pending: BTreeMap<u16, PendingCommand>,
    /// Publishes among them.
    publishing: u16,
    pub(super) answers: VecDeque<CommandAnswer>,
    /// Filters by the number of their subscription.
    filters: Vec<(u32, Box<str>)>,
    /// Messages of quality of service 2 that were handed on, and not yet released.
    unreleased: BTreeSet<u16>,
    /// When the last packet was queued.
    pub(super) last_sent: Time,
}

/// A command that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct PendingCommand {
    number: u64,
    step: PendingStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingStep {
    /// PUBACK.
    Acknowledgement,
    /// PUBREC.
    Receipt,
    /// PUBCOMP.
    Completion,
    /// SUBACK.
    Subscription,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum SessionPhase {
    Open,
    /// PINGREQ, which was sent then, waits for PINGRESP.
    Pinged(Time),
    /// DISCONNECT was queued.
    Closing,
    Ended(StreamEnd),
}

impl SessionState {
    /// The state of a session that begins with its CONNACK.
    pub(super) fn new(settings: &MqttSettings) -> Self {
        Self {
            settings: *settings,
            limits: None,
            phase: SessionPhase::Open,
            last_id: 0,
            pending: BTreeMap::new(),
            publishing: 0,
            answers: VecDeque::new(),
            filters: Vec::new(),
            unreleased: BTreeSet::new(),
            last_sent: clock::now(),
        }
    }

    /// How long the session may be silent: less than the keep-alive by a quarter, ns.
    pub(super) fn keep_alive_ns(&self) -> Option<u64> {
        let demanded = self.limits.and_then(|limits| limits.keep_alive).map(u64::from);
        let s = demanded.unwrap_or(self.settings.keep_alive.as_secs());
        (s > 0).then(|| s * 750_000_000)
    }

    /// Takes a packet that was read at `now`.
    pub(super) fn take(
        &mut self,
        now: Time,
        packet: &MqttPacket<'_>,
        queue: &mut OutQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        if matches!(self.phase, SessionPhase::Ended(_)) {
            return Ok(());
        }
        let version = self.settings.version;
        if self.limits.is_none() {
            self.limits = Some(Connack::read(packet, version)?.limits);
            return Ok(());
        }
        match packet.kind() {
            3 => {
                let publish = DeliveredPublish::read(packet, version)?;
                self.deliver(now, &publish, queue, receive)?;
            }
            4 => self.answer(now, packet, PendingStep::Acknowledgement)?,
            5 => self.received(now, packet, queue)?,
            6 => {
                let id = PacketFields(packet.body).number()?;
                self.unreleased.remove(&id);
                self.acknowledge(encode::PUBCOMP, id, queue)?;
            }
            7 => self.answer(now, packet, PendingStep::Completion)?,
            9 => self.answer(now, packet, PendingStep::Subscription)?,
            13 => {
                if matches!(self.phase, SessionPhase::Pinged(_)) {
                    self.phase = SessionPhase::Open;
                }
            }
            14 => {
                let code = PacketFields(packet.body).byte().unwrap_or(0);
                let code = Some(reason::status_of(code));
                self.phase = SessionPhase::Ended(StreamEnd { is_ours: false, code, failure: None });
            }
            _ => return Err(FailureKind::BadReply),
        }
        Ok(())
    }

    /// Hands a message on, and acknowledges it.
    fn deliver(
        &mut self,
        now: Time,
        publish: &DeliveredPublish<'_>,
        queue: &mut OutQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        match publish.qos {
            1 => self.acknowledge(encode::PUBACK, publish.id, queue)?,
            2 => {
                if self.unreleased.len() >= MAX_UNRELEASED {
                    return Err(FailureKind::BadReply);
                }
                self.acknowledge(encode::PUBREC, publish.id, queue)?;
                if !self.unreleased.insert(publish.id) {
                    return Ok(());
                }
            }
            _ => {}
        }
        let matching = || {
            let found = self.filters.iter().find(|(_, own)| filter::matches(own, publish.topic));
            found.map(|(subscription, _)| *subscription)
        };
        let delivery = BrokerDelivery {
            subscription: publish.subscription.or_else(matching),
            delivery: 0,
            is_redelivered: publish.is_redelivered,
            topic: publish.topic,
            headers: &publish.headers,
        };
        let kind = MessageKind::Binary;
        let message = Message { delivery: Some(&delivery), ..Message::new(kind, publish.payload) };
        receive(now, message);
        Ok(())
    }

    fn acknowledge(&mut self, first: u8, id: u16, queue: &mut OutQueue) -> Result<(), FailureKind> {
        if queue.waiting() > MAX_ACKNOWLEDGEMENTS {
            return Err(FailureKind::NoRoomForMessage);
        }
        encode::acknowledgement(&mut queue.bytes, first, id);
        self.last_sent = clock::now();
        Ok(())
    }

    /// Takes PUBREC: the message is released, or was refused.
    fn received(
        &mut self,
        now: Time,
        packet: &MqttPacket<'_>,
        queue: &mut OutQueue,
    ) -> Result<(), FailureKind> {
        let mut fields = PacketFields(packet.body);
        let id = fields.number()?;
        let is_refused = fields.byte().is_ok_and(|code| code >= 0x80);
        match self.pending.get_mut(&id) {
            Some(pending) if pending.step == PendingStep::Receipt => {
                pending.step = PendingStep::Completion;
                if is_refused {
                    return self.answer(now, packet, PendingStep::Completion);
                }
                self.acknowledge(encode::PUBREL, id, queue)
            }
            _ => Err(FailureKind::BadReply),
        }
    }

    /// Takes the answer to a command that waits at this step.
    fn answer(
        &mut self,
        now: Time,
        packet: &MqttPacket<'_>,
        step: PendingStep,
    ) -> Result<(), FailureKind> {
        let mut fields = PacketFields(packet.body);
        let id = fields.number()?;
        let pending = self.pending.get(&id).filter(|pending| pending.step == step);
        let number = pending.ok_or(FailureKind::BadReply)?.number;
        let (mut code, mut why) = (0, "");
        if step == PendingStep::Subscription {
            if self.settings.version == MqttVersion::V5 {
                properties::read(&mut fields, |_| {})?;
            }
            code = fields.byte()?;
        } else {
            self.publishing = self.publishing.saturating_sub(1);
            if let Some((first, rest)) = fields.0.split_first() {
                code = *first;
                if !rest.is_empty() {
                    let mut fields = PacketFields(packet.body.get(3..).unwrap_or_default());
                    properties::read(&mut fields, |property| {
                        if let MqttProperty::Reason(text) = property {
                            why = truncated(text);
                        }
                    })?;
                }
            }
        }
        self.pending.remove(&id);
        let status = reason::status_of(code);
        let reason = why.into();
        self.answers.push_back(CommandAnswer { number, at: now, status, reason, written: None });
        Ok(())
    }

    /// Ends the session because the broker broke a rule or a limit.
    #[cold]
    pub(super) fn fail(&mut self, kind: FailureKind, queue: &mut OutQueue) {
        let code = match kind {
            FailureKind::MessageTooLarge => 0x95,
            FailureKind::NoRoomForMessage => 0x97,
            FailureKind::InvalidUtf8 => 0x81,
            _ => 0x82,
        };
        encode::disconnect(&mut queue.bytes, self.settings.version, code);
        let end = StreamEnd { is_ours: true, code: None, failure: Some(kind) };
        self.phase = SessionPhase::Ended(end);
    }

    /// Ends the session for a failure, unless it has ended.
    pub(super) fn end_for(&mut self, kind: FailureKind) {
        let (is_ours, failure) = match self.phase {
            SessionPhase::Ended(_) => return,
            // Brokers close the connection after DISCONNECT.
            SessionPhase::Closing => (true, None),
            _ => (kind == FailureKind::NoPong, Some(kind)),
        };
        self.phase = SessionPhase::Ended(StreamEnd { is_ours, code: None, failure });
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, SessionPhase::Open | SessionPhase::Pinged(_))
    }

    /// An identifier that is in use by no command; `None` if there is none.
    fn free_id(&mut self) -> Option<u16> {
        for _ in 0..u16::MAX {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.pending.contains_key(&self.last_id) {
                return Some(self.last_id);
            }
        }
        None
    }

    /// Whether the broker takes another confirmed message.
    pub(super) fn has_room(&self) -> bool {
        self.publishing < self.limits.map_or(1, |limits| limits.receive_maximum)
    }

    pub(super) fn publish(
        &mut self,
        number: u64,
        command: &PublishCommand<'_>,
        queue: &mut OutQueue,
    ) -> Result<(), FailureKind> {
        let before = queue.bytes.len();
        let qos = command.options.qos;
        let id = if qos == 0 { Some(0) } else { self.free_id() };
        let id = id.ok_or(FailureKind::Closed)?;
        let written = encode::publish(&mut queue.bytes, self.settings.version, id, command);
        let most = self.limits.map_or(usize::MAX, |limits| limits.max_packet);
        if written.is_err() || queue.bytes.len() - before > most {
            queue.bytes.truncate(before);
            return Err(FailureKind::MessageTooLarge);
        }
        if qos > 0 {
            let step = match qos {
                1 => PendingStep::Acknowledgement,
                _ => PendingStep::Receipt,
            };
            self.publishing += 1;
            self.pending.insert(id, PendingCommand { number, step });
        }
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        number: u64,
        (source, qos): (&str, u8),
        subscription: u32,
        queue: &mut OutQueue,
    ) -> Result<(), FailureKind> {
        let id = self.free_id().ok_or(FailureKind::Closed)?;
        let identified = self.limits.is_some_and(|limits| limits.has_identifiers);
        let identifier = (identified && subscription > 0).then_some(subscription);
        let version = self.settings.version;
        let into = &mut queue.bytes;
        encode::subscribe(into, version, id, (source, qos), identifier)
            .map_err(|()| FailureKind::MessageTooLarge)?;
        self.filters.retain(|(_, known)| **known != *source);
        self.filters.push((subscription, source.into()));
        self.pending.insert(id, PendingCommand { number, step: PendingStep::Subscription });
        Ok(())
    }
}

/// The part of a reason that is kept, bytes.
const MAX_REASON: usize = 256;

fn truncated(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_REASON)]
}
