//! The bus as Redis guarantees it: single steps, compare and set by scripts, streams with rising
//! ids. It can forget, be another instance, and have its clock set.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use manada::clock::RunOffset;
use manada::fleet::protocol::{
    BusReply, BusRequest, BusTime, ControlRecord, DeltaFrame, DeltaStream, FinalState,
    FleetSnapshot, Heartbeat, HorizonLimit, Member, Ordinal, PollReply, Revision,
};

use super::faults::Broken;
use super::process::Sent;

/// A stream: its entries by id, and the last id that it ever had.
#[derive(Clone, Default)]
struct Stream {
    entries: BTreeMap<u64, DeltaFrame<Sent>>,
    last: u64,
}

/// All keys.
#[derive(Clone, Default)]
struct Keys {
    beats: BTreeMap<Ordinal, Heartbeat>,
    streams: HashMap<DeltaStream, Stream>,
    finals: HashMap<Member, FinalState<Sent>>,
    control: Option<Arc<ControlRecord>>,
    snapshot: Option<Arc<FleetSnapshot<Sent>>>,
}

pub struct ModelBus {
    broken: Broken,
    keys: Keys,
    /// Former states, by time.
    former: Vec<(u64, Keys)>,
    instance: u64,
    /// Added to the time of the world, ns.
    pub clock_ns: u64,
    pub down_until: u64,
    /// When the last heartbeat of a member was carried out.
    pub beaten: HashMap<Member, u64>,
    /// The largest `granted_until` that was ever written.
    pub granted: RunOffset,
    /// A write that a replaced coordinator got through.
    pub fenced_write: Option<String>,
    pub control_writes: u64,
}

impl ModelBus {
    pub fn new(broken: Broken) -> Self {
        Self {
            broken,
            keys: Keys::default(),
            former: Vec::new(),
            instance: 1,
            clock_ns: 1_700_000_000_000_000_000,
            down_until: 0,
            beaten: HashMap::new(),
            granted: RunOffset::ZERO,
            fenced_write: None,
            control_writes: 0,
        }
    }

    pub fn clock(&self, now: u64) -> BusTime {
        BusTime(self.clock_ns + now)
    }

    pub fn control(&self) -> Option<&ControlRecord> {
        self.keys.control.as_deref()
    }

    /// Keeps the state, so that the bus can go back to it.
    pub fn remember(&mut self, now: u64) {
        self.former.push((now, self.keys.clone()));
        if self.former.len() > 12 {
            self.former.remove(0);
        }
    }

    pub fn wipe(&mut self, restart: bool) {
        self.keys = Keys::default();
        self.instance += u64::from(restart);
    }

    /// Goes back to the state at `at`, or the oldest one that is kept, but not behind a change of
    /// the leader: see `followed` for what is not promised.
    pub fn go_back(&mut self, at: u64) {
        let token = |keys: &Keys| keys.control.as_ref().map(|control| control.revision.token);
        let now = token(&self.keys);
        let kept = self.former.iter().filter(|(_, keys)| token(keys) == now);
        if let Some((_, keys)) = kept.min_by_key(|(time, _)| time.abs_diff(at)) {
            self.keys = keys.clone();
            self.instance += 1;
        }
    }

    /// Carries a request out.
    pub fn carry_out(&mut self, now: u64, request: &BusRequest<Sent>) -> BusReply<Sent> {
        let clock = self.clock(now);
        match request {
            BusRequest::Look { ordinal } => {
                BusReply::Looked { top: self.keys.beats.get(ordinal).cloned().map(Box::new), clock }
            }
            BusRequest::Join { after, heartbeat } => {
                let top = self.keys.beats.get(&heartbeat.ordinal()).map(Heartbeat::id);
                match top.filter(|_| top != *after && self.broken != Broken::HeartbeatsInAnyOrder) {
                    Some(top) => BusReply::Superseded { by: top.incarnation },
                    None => self.beat(now, heartbeat),
                }
            }
            BusRequest::Beat { heartbeat } => self.beat(now, heartbeat),
            BusRequest::Append { stream, frame } => self.append(*stream, frame),
            BusRequest::WriteFinal { member, state } => {
                self.keys.finals.insert(*member, state.clone());
                BusReply::Written
            }
            BusRequest::Poll { streams, ordinals } => self.poll(clock, streams, *ordinals),
            BusRequest::WriteControl { expected, instance, deadline, limits, record } => {
                let found = self.keys.control.as_ref().map(|control| control.revision);
                let holds = found == *expected
                    && *instance == self.instance
                    && clock <= *deadline
                    && (self.broken == Broken::HorizonsIgnored || self.are_bound(limits));
                if !holds && self.broken != Broken::ConditionsIgnored {
                    return BusReply::Refused;
                }
                self.check_token(record.revision);
                self.control_writes += 1;
                self.granted = self.granted.max(record.granted_until);
                self.keys.control = Some(Arc::clone(record));
                BusReply::Written
            }
            BusRequest::WriteSnapshot { token, snapshot } => {
                let leads = self.control().is_some_and(|one| one.revision.token == *token);
                let known = self.keys.snapshot.as_ref();
                let is_newer = known.is_none_or(|known| known.number < snapshot.number);
                if !(leads && is_newer) && self.broken != Broken::ConditionsIgnored {
                    return BusReply::Refused;
                }
                self.check_token(Revision { token: *token, number: 0 });
                self.keys.snapshot = Some(Arc::clone(snapshot));
                BusReply::Written
            }
            BusRequest::ReadSnapshot => BusReply::Snapshot(self.keys.snapshot.clone()),
            BusRequest::Trim { stream, last } => {
                if let Some(stream) = self.keys.streams.get_mut(stream) {
                    stream.entries = stream.entries.split_off(&(last + 1));
                }
                BusReply::Written
            }
        }
    }

    fn check_token(&mut self, revision: Revision) {
        let found = self.control().map_or(0, |control| control.revision.token);
        if revision.token < found {
            let text = format!("leader {} wrote after leader {found}", revision.token);
            self.fenced_write.get_or_insert(text);
        }
    }

    /// Whether the newest heartbeats bind the members as a change of slots requires.
    fn are_bound(&self, limits: &[HorizonLimit]) -> bool {
        limits.iter().all(|limit| {
            let top = self.keys.beats.get(&limit.member.ordinal);
            let bound = top.and_then(|top| top.bound_of(limit.member.incarnation));
            bound.is_some_and(|bound| bound <= limit.from)
        })
    }

    fn beat(&mut self, now: u64, heartbeat: &Heartbeat) -> BusReply<Sent> {
        let top = self.keys.beats.get(&heartbeat.ordinal());
        if let Some(top) = top.filter(|top| heartbeat.id() <= top.id())
            && self.broken != Broken::HeartbeatsInAnyOrder
        {
            return BusReply::Superseded { by: top.member.incarnation };
        }
        self.keys.beats.insert(heartbeat.ordinal(), heartbeat.clone());
        self.beaten.insert(heartbeat.member, now);
        let (instance, clock) = (self.instance, self.clock(now));
        BusReply::Beat { control: self.keys.control.clone(), instance, clock }
    }

    fn append(&mut self, stream: DeltaStream, frame: &DeltaFrame<Sent>) -> BusReply<Sent> {
        let stream = self.keys.streams.entry(stream).or_default();
        let mut frame = frame.clone();
        if self.broken == Broken::AppendsRepeat {
            // Numbered in the order in which they come.
            (frame.first, frame.last) = (stream.last + 1, stream.last + 1);
        }
        if frame.last > stream.last {
            stream.last = frame.last;
            stream.entries.insert(frame.last, frame);
        }
        BusReply::Appended
    }

    fn poll(
        &self,
        clock: BusTime,
        streams: &[(DeltaStream, u64)],
        ordinals: u16,
    ) -> BusReply<Sent> {
        let mut frames = Vec::new();
        let mut finals = Vec::new();
        for (name, after) in streams {
            if let Some(stream) = self.keys.streams.get(name) {
                let entries = stream.entries.range(after + 1..);
                frames.extend(entries.map(|(_, frame)| (*name, frame.clone())));
            }
            if let Some(state) = self.keys.finals.get(&name.member) {
                finals.push((name.member, state.clone()));
            }
        }
        let beats = self.keys.beats.range(..Ordinal(ordinals));
        BusReply::Polled(Box::new(PollReply {
            instance: self.instance,
            clock,
            control: self.keys.control.clone(),
            heartbeats: beats.map(|(_, beat)| beat.clone()).collect(),
            frames,
            finals,
        }))
    }
}
