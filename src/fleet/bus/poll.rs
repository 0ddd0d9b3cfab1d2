//! The poll of a coordinator: everything that it follows, at one moment, within a number of bytes.
//!
//! `client` carries it out.
//! Invariant: the protocol takes a heartbeat for the end of all that its member had appended
//! before, and an ordinal without heartbeat for a bus that has lost its state. So if a stream was
//! read in part, or the newest heartbeat is damaged, the ordinal has the heartbeat of its former
//! poll again, of which everything was read.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Cmd, Value};

use super::error::BusError;
use super::forms::BusPayload;
use super::limits::{self, BusLimits, MAX_CONTROL, MAX_HEARTBEAT};
use super::replies::{self, StreamEntry};
use super::scripts::POLL;
use super::values::BusValues;
use crate::fleet::protocol::{DeltaStream, Heartbeat, Member, Ordinal, PollReply};

/// What polls of one client have in common.
#[derive(Default)]
pub(super) struct Polls {
    /// The heartbeat of each ordinal in the last poll.
    delivered: BTreeMap<Ordinal, Heartbeat>,
    /// The instance of the bus that they are from.
    instance: u64,
    /// The number of polls: each begins with another stream, so that all get their turn.
    count: usize,
}

/// A stream, and the id after which entries are wanted.
type StreamCursor = (DeltaStream, u64);

impl Polls {
    /// The streams in the order in which this poll reads them.
    pub(super) fn order(&mut self, streams: &[StreamCursor]) -> Vec<StreamCursor> {
        self.count = self.count.wrapping_add(1);
        let mut order = streams.to_vec();
        if !order.is_empty() {
            let first = self.count % order.len();
            order.rotate_left(first);
        }
        order
    }

    /// Takes the heartbeats that a poll found; returns those that the coordinator may have.
    /// `found` has an id for each ordinal with an entry, and a heartbeat if it is not damaged.
    fn deliver(
        &mut self,
        instance: u64,
        found: BTreeMap<Ordinal, FoundBeat>,
        in_part: &BTreeSet<Member>,
    ) -> Vec<Heartbeat> {
        let former = std::mem::take(&mut self.delivered);
        let is_same = std::mem::replace(&mut self.instance, instance) == instance;
        for (ordinal, beat) in found {
            let whole = beat.heartbeat.filter(|beat| !in_part.contains(&beat.member));
            // A smaller id than before: the bus went back, and the former heartbeat with it.
            let former = former
                .get(&ordinal)
                .filter(|known| is_same && (known.member.incarnation.0, known.beat) <= beat.id);
            if let Some(delivered) = whole.or_else(|| former.cloned()) {
                self.delivered.insert(ordinal, delivered);
            }
        }
        self.delivered.values().cloned().collect()
    }
}

/// The newest entry of an ordinal.
struct FoundBeat {
    id: (u64, u64),
    heartbeat: Option<Heartbeat>,
}

/// The command of a poll.
pub(super) fn command<P: BusPayload>(
    values: &BusValues<P>,
    limits: &BusLimits,
    order: &[StreamCursor],
    ordinals: u16,
) -> Cmd {
    let keys = &values.keys;
    let mut command = redis::cmd("EVAL");
    command.arg(POLL).arg(1 + usize::from(ordinals) + 2 * order.len()).arg(keys.control());
    (0..ordinals).for_each(|ordinal| {
        command.arg(keys.beat(Ordinal(ordinal)));
    });
    for (stream, _) in order {
        command.arg(keys.delta(*stream)).arg(keys.last(stream.member));
    }
    let most = [
        usize::from(ordinals),
        limits::on_bus(MAX_CONTROL),
        limits::on_bus(MAX_HEARTBEAT),
        limits::on_bus(limits.frame()),
        limits::FRAMES_OF_A_STREAM,
        limits::BYTES_OF_A_POLL,
    ];
    command.arg(&most[..]);
    order.iter().for_each(|(_, after)| {
        command.arg(*after);
    });
    command
}

/// Reads the reply to a poll; `None` within if it has another form than the script gives it.
///
/// # Errors
/// If the control record is damaged.
pub(super) fn read<P: BusPayload>(
    values: &mut BusValues<P>,
    polls: &mut Polls,
    streams: &[StreamCursor],
    order: &[StreamCursor],
    reply: &Value,
) -> Result<Option<PollReply<P>>, BusError> {
    let Some([time, run_id, control, tops, read]) = replies::list(reply) else { return Ok(None) };
    let (Some(clock), Some(run_id)) = (replies::time(time), replies::bytes(run_id)) else {
        return Ok(None);
    };
    let instance = std::str::from_utf8(run_id).ok().and_then(replies::instance);
    let (Some(instance), Some(tops), Some(read)) =
        (instance, replies::list(tops), replies::list(read))
    else {
        return Ok(None);
    };
    let control = replies::bytes(control).map(|bytes| values.read_control(bytes)).transpose()?;
    let found = heartbeats(values, tops);
    let mut parts: BTreeMap<DeltaStream, &Value> =
        order.iter().zip(read).map(|((stream, _), part)| (*stream, part)).collect();
    let (mut frames, mut finals, mut in_part) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (stream, _) in streams {
        let part = parts.remove(stream).and_then(replies::list);
        let Some([is_part, entries, last]) = part else { continue };
        let Some(entries) = replies::list(entries) else { return Ok(None) };
        if *is_part != Value::Int(0) {
            in_part.insert(stream.member);
        }
        for pair in entries.chunks_exact(2) {
            let id = replies::bytes(&pair[0]).and_then(replies::stream_id);
            let (Some(id), Some(bytes)) = (id, replies::bytes(&pair[1])) else { return Ok(None) };
            frames.extend(values.frame_or_count(*stream, id, bytes).map(|frame| (*stream, frame)));
        }
        let last = replies::bytes(last);
        let last = last.and_then(|bytes| values.final_or_count(stream.member, bytes));
        finals.extend(last.map(|state| (stream.member, state)));
    }
    let heartbeats = polls.deliver(instance, found, &in_part);
    Ok(Some(PollReply { instance, clock, control, heartbeats, frames, finals }))
}

fn heartbeats<P: BusPayload>(
    values: &mut BusValues<P>,
    tops: &[Value],
) -> BTreeMap<Ordinal, FoundBeat> {
    let mut found = BTreeMap::new();
    for (ordinal, top) in (0..).map(Ordinal).zip(tops) {
        if let Some(entry) = StreamEntry::of(top) {
            let heartbeat = values.heartbeat_or_count(ordinal, &entry);
            found.insert(ordinal, FoundBeat { id: entry.id, heartbeat });
        }
    }
    found
}
