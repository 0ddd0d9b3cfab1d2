//! A listener: what takes messages of a stream in the background, and counts what it is due.
//!
//! `live_stream` hands it messages; `settle` ends it.
//! Invariant: each message that it takes is counted once; a reply is queued, never sent from here.

use std::sync::Arc;

use crate::clock::{RunOffset, Time};
use crate::delivery::order::MAX_PAIRS;
use crate::delivery::{
    Channel, DueLedger, FoundStamp, ListenerGroups, MessageArrival, PublisherOrder, Settled, Stamp,
};
use crate::engine::shard::Shard;
use crate::engine::streams::conditions::Conditions;
use crate::engine::streams::consumer::Consumer;
use crate::engine::streams::inbox::KeptMessage;
use crate::engine::streams::replies::ListenerReplies;
use crate::ids::StepId;
use crate::stats::MessageCounts;
use crate::wire::message_stream::Message;

/// A listener at work.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The subscription whose messages it takes; `None`: those of its stream.
    pub(crate) subscription: Option<u32>,
    /// What it has not received of what its broker has, as reported last.
    pub(crate) behind: Option<u64>,
    /// Acknowledges its messages; `None` if its protocol or step has no acknowledgements.
    pub(crate) consumer: Option<Box<Consumer>>,
    /// The series that its messages count in.
    pub(crate) step: StepId,
    /// Index of its step among the calls of the archetype.
    pub(crate) call: usize,
    pub(crate) conditions: Conditions,
    pub(crate) replies: ListenerReplies,
    /// What it is due; `None` if it reads no stamps, or has ended.
    pub(crate) due: Option<DueMessages>,
    /// Whether it has ended with what it was due settled: messages that still come are unexpected.
    is_settled: bool,
    /// When it got its last message; `NEVER` before the first.
    last: Time,
}

/// The ledger of a listener that reads stamps.
#[derive(Debug)]
pub(crate) struct DueMessages {
    pub(crate) channel: Arc<Channel>,
    pub(crate) ledger: DueLedger,
    order: PublisherOrder,
    /// Whether it is due what its own user sends.
    pub(crate) own: bool,
}

impl DueMessages {
    /// Begins: the listener is ready now. `group`: that of the listeners it shares messages with.
    pub(crate) fn begin(
        channel: Arc<Channel>,
        own: bool,
        group: Option<(&ListenerGroups, &str)>,
    ) -> Self {
        let ledger = DueLedger::begin(&channel, group);
        Self { channel, ledger, order: PublisherOrder::default(), own }
    }
}

impl Listener {
    /// A listener that has got no message.
    pub(crate) fn new(
        (step, call): (StepId, usize),
        conditions: Conditions,
        replies: ListenerReplies,
        due: Option<DueMessages>,
    ) -> Self {
        Self {
            subscription: None,
            behind: None,
            consumer: None,
            step,
            call,
            conditions,
            replies,
            due,
            is_settled: false,
            last: Time::NEVER,
        }
    }

    /// Whether it takes a message.
    pub(crate) fn takes(&self, message: &Message<'_>) -> bool {
        let of = message.delivery.and_then(|delivery| delivery.subscription);
        (self.subscription.is_none() || self.subscription == of) && self.conditions.hold(message)
    }

    /// Whether it takes a message that was kept.
    pub(crate) fn takes_kept(&self, kept: &KeptMessage) -> bool {
        let of = kept.place.and_then(|place| place.subscription);
        (self.subscription.is_none() || self.subscription == of) && self.conditions.hold_kept(kept)
    }

    /// Takes a message that was read at `at`; `shares_read`: in the same read as the one before.
    pub(crate) fn take(
        &mut self,
        shard: &Shard,
        at: Time,
        message: &Message<'_>,
        shares_read: bool,
    ) {
        let now = RunOffset::of(at, shard.start);
        let found = match &self.due {
            Some(_) => Stamp::find(message.payload, shard.shared.run_stamp),
            None => FoundStamp::Absent,
        };
        let mut recorder = shard.recorder.borrow_mut();
        // In the second of the intended send, if it is known and was: a target may bring any stamp.
        let (second, delivery) = match found {
            FoundStamp::Own(stamp) => {
                let intended = Time(stamp.intended_us.saturating_mul(1_000));
                (RunOffset::of(intended.min(at), shard.start), Some((stamp, intended)))
            }
            FoundStamp::Foreign | FoundStamp::Absent => (now, None),
        };
        let window = recorder.messages(self.step, second);
        window.counts.received += 1;
        window.counts.redelivered +=
            u64::from(message.delivery.is_some_and(|delivery| delivery.is_redelivered));
        window.counts.coalesced += u64::from(shares_read);
        if self.last != Time::NEVER {
            window.gap.record_ns(at.since(self.last));
        }
        self.last = at;
        let Some(due) = &mut self.due else {
            window.counts.unexpected += u64::from(self.is_settled);
            return;
        };
        let Some((stamp, intended)) = delivery else {
            let is_foreign = found == FoundStamp::Foreign;
            window.counts.foreign += u64::from(is_foreign);
            window.counts.unstamped += u64::from(!is_foreign);
            return;
        };
        let sent = Time(stamp.sent_us().saturating_mul(1_000));
        // Stamps count whole µs: a delivery within the same one is not ahead.
        window.counts.ahead += u64::from(at.0 / 1_000 < stamp.sent_us());
        window.delivery.record_response(at.since(intended));
        window.transit.record_ns(at.since(sent));
        if stamp.channel != due.channel.number() {
            window.counts.unexpected += 1;
            return;
        }
        let (arrival, settled) = due.ledger.arrive(stamp.index, &due.channel);
        count_arrival(&mut window.counts, arrival);
        add_settled(&mut window.counts, settled);
        if matches!(arrival, MessageArrival::Duplicated) {
            return;
        }
        let tracked = &shard.tracked_pairs;
        let mut is_untracked = false;
        let is_late = due.order.is_late(stamp.publisher, stamp.sequence, || {
            let may = tracked.get() < MAX_PAIRS;
            tracked.set(tracked.get() + u64::from(may));
            is_untracked = !may;
            may
        });
        window.counts.reordered += u64::from(is_late);
        if is_untracked {
            recorder.streams().untracked_pairs += 1;
        }
    }

    /// Ends the listener: settles what it is due. `is_final`: no publisher is left.
    pub(crate) fn end(&mut self, shard: &Shard, now: Time, is_final: bool) {
        let Some(due) = &mut self.due else { return };
        let settled = due.ledger.end(&due.channel, is_final);
        let tracked = &shard.tracked_pairs;
        tracked.set(tracked.get().saturating_sub(due.order.tracked()));
        let mut recorder = shard.recorder.borrow_mut();
        let at = RunOffset::of(now, shard.start);
        add_settled(&mut recorder.messages(self.step, at).counts, settled);
        (self.due, self.is_settled) = (None, true);
    }
}

fn count_arrival(counts: &mut MessageCounts, arrival: MessageArrival) {
    match arrival {
        MessageArrival::Delivered => counts.delivered += 1,
        MessageArrival::Late => {
            counts.delivered += 1;
            counts.late += 1;
        }
        MessageArrival::Replayed => {
            counts.delivered += 1;
            counts.replayed += 1;
        }
        MessageArrival::Duplicated => counts.duplicated += 1,
        MessageArrival::Unexpected => counts.unexpected += 1,
    }
}

/// Adds what a ledger settled.
pub(crate) fn add_settled(counts: &mut MessageCounts, settled: Settled) {
    counts.due += settled.due;
    counts.lost += settled.lost;
    counts.missed += settled.missed;
    counts.unsent += settled.unsent;
    counts.open += settled.open;
}
