//! Typed values as they are stored on the bus, and what is damaged among them.
//!
//! `client` and `poll` write and read all values of the protocol here.
//! Invariant: what a script compares stands next to the frame, as digits of fixed width, and equals
//! what is in the frame; a value whose digits, key or id differ from its frame is damaged.

use std::sync::Arc;

use redis::Cmd;

use super::envelope::{EnvelopeError, Envelopes, FrameKind};
use super::error::BusError;
use super::forms::BusPayload;
use super::keys::BusKeys;
use super::limits::{BusLimits, MAX_DAMAGES};
use super::replies::StreamEntry;
use crate::event::packed::Packed;
use crate::fleet::protocol::{
    ControlRecord, DeltaFrame, DeltaStream, FinalState, FleetSnapshot, Heartbeat, Member, Ordinal,
    Revision,
};

/// The field of a stream's entry that has the frame.
pub(super) const FRAME_FIELD: &str = "f";
/// The field of a heartbeat that has its horizon.
pub(super) const HORIZON_FIELD: &str = "h";
/// The field of a heartbeat that has its previous horizon.
pub(super) const PREVIOUS_FIELD: &str = "p";

/// Digits of a number that scripts compare.
const DIGITS: usize = 20;

/// A number with fixed width: texts then compare as the numbers do, of any size.
pub(super) fn digits(number: u64) -> String {
    format!("{number:020}")
}

/// The revision at the beginning of a control record; empty for none.
pub(super) fn revision_digits(revision: Option<Revision>) -> String {
    revision.map_or(String::new(), |Revision { token, number }| digits(token) + &digits(number))
}

/// Writes and reads values of one run.
pub(super) struct BusValues<P> {
    run: String,
    pub(super) keys: BusKeys,
    envelopes: Envelopes<P>,
    /// The control record that was read last, and its bytes: most reads find the same.
    control: Option<(Vec<u8>, Arc<ControlRecord>)>,
    /// How many values were left out because they are damaged.
    pub(super) damaged: u64,
    /// Why the latest of them were, at most [`MAX_DAMAGES`] that were not taken.
    pub(super) damages: Vec<BusError>,
}

impl<P: BusPayload> BusValues<P> {
    /// The values of a run.
    ///
    /// # Errors
    /// If its id is not valid.
    pub(super) fn new(run: &str, limits: &BusLimits) -> Result<Self, BusError> {
        Ok(Self {
            run: run.to_owned(),
            keys: BusKeys::of(run)?,
            envelopes: Envelopes::new(limits.frame()),
            control: None,
            damaged: 0,
            damages: Vec::new(),
        })
    }

    fn write(
        &mut self,
        prefix: &str,
        kind: FrameKind,
        what: &str,
        value: &impl Packed,
    ) -> Result<Vec<u8>, BusError> {
        let mut out = prefix.as_bytes().to_vec();
        let too_large = |(bytes, most)| BusError::TooLarge {
            what: what.to_owned(),
            bytes,
            most,
            cure: "use fewer series, groups or agents",
        };
        self.envelopes.write(&mut out, kind, value).map_err(too_large)?;
        Ok(out)
    }

    fn read<T: Packed>(&mut self, kind: FrameKind, key: &str, bytes: &[u8]) -> Result<T, BusError> {
        self.envelopes.read(kind, bytes).map_err(|error| match error {
            EnvelopeError::OtherBuild => BusError::OtherBuild { key: key.to_owned() },
            EnvelopeError::Damaged(why) => BusError::Damaged { key: key.to_owned(), why },
        })
    }

    /// Leaves a damaged value out, and counts it.
    fn or_count<T>(&mut self, read: Result<T, BusError>) -> Option<T> {
        read.inspect_err(|error| {
            self.damaged += 1;
            if self.damages.len() < MAX_DAMAGES {
                self.damages.push(error.clone());
            }
        })
        .ok()
    }

    pub(super) fn write_control(&mut self, record: &ControlRecord) -> Result<Vec<u8>, BusError> {
        if record.run != self.run {
            return Err(BusError::InvalidRun { run: super::error::one_line(&record.run) });
        }
        let prefix = revision_digits(Some(record.revision));
        self.write(&prefix, FrameKind::Control, "the control record", record)
    }

    /// Reads a control record.
    ///
    /// # Errors
    /// If it is damaged: without it, nothing can be done.
    pub(super) fn read_control(&mut self, bytes: &[u8]) -> Result<Arc<ControlRecord>, BusError> {
        if let Some((_, record)) = self.control.as_ref().filter(|(known, _)| known == bytes) {
            return Ok(Arc::clone(record));
        }
        let key = self.keys.control();
        let (prefix, frame) = bytes.split_at_checked(2 * DIGITS).unwrap_or((bytes, &[]));
        let record: ControlRecord = self.read(FrameKind::Control, &key, frame)?;
        let has_prefix = prefix == revision_digits(Some(record.revision)).as_bytes();
        if !has_prefix || record.run != self.run {
            return Err(BusError::Damaged { key, why: "a record of another run or revision" });
        }
        let record = Arc::new(record);
        self.control = Some((bytes.to_vec(), Arc::clone(&record)));
        Ok(record)
    }

    /// The command that writes a heartbeat.
    pub(super) fn write_heartbeat(&mut self, heartbeat: &Heartbeat) -> Result<Cmd, BusError> {
        let frame = self.write("", FrameKind::Heartbeat, "a heartbeat", heartbeat)?;
        let mut command = redis::cmd("XADD");
        command
            .arg(self.keys.beat(heartbeat.ordinal()))
            .arg(&["MAXLEN", "1"])
            .arg(format!("{}-{}", heartbeat.member.incarnation.0, heartbeat.beat))
            .arg(HORIZON_FIELD)
            .arg(digits(heartbeat.horizon.ns()))
            .arg(PREVIOUS_FIELD)
            .arg(digits(heartbeat.previous_horizon.ns()))
            .arg(FRAME_FIELD)
            .arg(frame);
        Ok(command)
    }

    /// Reads a heartbeat of an ordinal.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn read_heartbeat(
        &mut self,
        ordinal: Ordinal,
        entry: &StreamEntry<'_>,
    ) -> Result<Heartbeat, BusError> {
        let key = self.keys.beat(ordinal);
        let read: Heartbeat = self.read(FrameKind::Heartbeat, &key, entry.field(FRAME_FIELD))?;
        let is_same = |name: &str, ns: u64| entry.field(name) == digits(ns).as_bytes();
        let is_whole = read.ordinal() == ordinal
            && read.id() == entry.heartbeat()
            && is_same(HORIZON_FIELD, read.horizon.ns())
            && is_same(PREVIOUS_FIELD, read.previous_horizon.ns());
        if is_whole {
            return Ok(read);
        }
        Err(BusError::Damaged { key, why: "a heartbeat that differs from its entry" })
    }

    /// Reads a heartbeat; `None` if it is damaged, which is counted.
    pub(super) fn heartbeat_or_count(
        &mut self,
        ordinal: Ordinal,
        entry: &StreamEntry<'_>,
    ) -> Option<Heartbeat> {
        let read = self.read_heartbeat(ordinal, entry);
        self.or_count(read)
    }

    pub(super) fn write_frame(&mut self, frame: &DeltaFrame<P>) -> Result<Vec<u8>, BusError> {
        self.write("", FrameKind::Delta, "a delta", frame)
    }

    /// Reads a frame of a stream; `None` if it is damaged, which is counted.
    pub(super) fn frame_or_count(
        &mut self,
        stream: DeltaStream,
        id: (u64, u64),
        bytes: &[u8],
    ) -> Option<DeltaFrame<P>> {
        let key = self.keys.delta(stream);
        let read = self.read(FrameKind::Delta, &key, bytes).and_then(|frame: DeltaFrame<P>| {
            let is_whole = (frame.last, 0) == id && (1..=frame.last).contains(&frame.first);
            let why = "a frame that differs from its entry";
            if is_whole { Ok(frame) } else { Err(BusError::Damaged { key, why }) }
        });
        self.or_count(read)
    }

    pub(super) fn write_final(&mut self, state: &FinalState<P>) -> Result<Vec<u8>, BusError> {
        self.write("", FrameKind::Final, "a final state", state)
    }

    /// Reads a final state; `None` if it is damaged, which is counted.
    pub(super) fn final_or_count(&mut self, member: Member, bytes: &[u8]) -> Option<FinalState<P>> {
        let key = self.keys.last(member);
        let read = self.read(FrameKind::Final, &key, bytes);
        self.or_count(read)
    }

    pub(super) fn write_snapshot(
        &mut self,
        snapshot: &FleetSnapshot<P>,
    ) -> Result<Vec<u8>, BusError> {
        self.write(&digits(snapshot.number), FrameKind::Snapshot, "the snapshot", snapshot)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// If it is damaged: a coordinator that resumes must not begin without it.
    pub(super) fn read_snapshot(
        &mut self,
        bytes: &[u8],
    ) -> Result<Arc<FleetSnapshot<P>>, BusError> {
        let key = self.keys.snapshot();
        let (prefix, frame) = bytes.split_at_checked(DIGITS).unwrap_or((bytes, &[]));
        let snapshot: FleetSnapshot<P> = self.read(FrameKind::Snapshot, &key, frame)?;
        if prefix != digits(snapshot.number).as_bytes() {
            return Err(BusError::Damaged { key, why: "a snapshot of another number" });
        }
        Ok(Arc::new(snapshot))
    }
}
