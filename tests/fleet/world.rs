//! A world: processes, network and bus under one scheduler, from one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use manada::clock::{RunOffset, Time};
use manada::event::LossPolicy;
use manada::fleet::protocol::{
    Agent, AgentConfig, BusReply, BusRequest, Coordinator, FinalCheck, FleetConfig, FleetResult,
    FleetTimes, LeaderStart, Member, MemberFacts, Ordinal, RequestId,
};

use super::chance::Chance;
use super::check::{Coverage, Dispatch, Finding};
use super::faults::{Fault, Faults, MS, SECOND};
use super::model_bus::ModelBus;
use super::process::{GAP, MachineClock, Process, Program, SLOTS, Sent, ToyEngine};

/// By when every world has to be over, ns.
const LIMIT: u64 = 900 * SECOND;

pub(super) enum Event {
    Wake(usize),
    Engine(usize),
    Prepared(usize),
    Hint(usize),
    ToBus(usize, RequestId, Rc<BusRequest<Sent>>),
    FromBus(usize, RequestId, Box<BusReply<Sent>>),
    StartAgent(u16),
    StartCoordinator(LeaderStart),
    Fault(Fault),
    Remember,
}

pub struct World {
    pub(super) chance: Chance,
    pub(super) faults: Faults,
    pub(super) config: FleetConfig,
    pub(super) now: u64,
    pub(super) heap: BinaryHeap<Reverse<(u64, u64)>>,
    pub(super) events: Vec<Option<Event>>,
    pub(super) free: Vec<usize>,
    pub(super) order: u64,
    pub(super) bus: ModelBus,
    pub(super) processes: Vec<Process>,
    pub(super) sent: Vec<Dispatch>,
    pub(super) is_sent: Vec<bool>,
    pub(super) results: Vec<FleetResult<Sent>>,
    pub(super) finding: Option<Finding>,
    pub(super) met: Coverage,
    pub(super) is_verbose: bool,
    /// Agents that ended because the coordinator has everything.
    pub(super) closed: Vec<Member>,
    /// The length of an interval of measurement, ns.
    pub(super) interval: u64,
}

impl World {
    pub fn new(seed: u64, faults: Faults, is_verbose: bool) -> Self {
        let mut chance = Chance::new(seed, 0);
        let agents = chance.range(1, 5) as u16;
        let end = chance.range(10, 22) * SECOND;
        let config = FleetConfig {
            run: "run".to_owned(),
            plan: 7,
            agents,
            min_agents: chance.range(1, u64::from(agents) + 1) as u16,
            join_timeout: 20 * SECOND,
            shards: None,
            max_shards: None,
            slots: SLOTS,
            end: RunOffset::from_ns(end),
            on_loss: chance.pick(if faults.is_hasty {
                &[LossPolicy::Redistribute]
            } else {
                &[
                    LossPolicy::Redistribute,
                    LossPolicy::Redistribute,
                    LossPolicy::Continue,
                    LossPolicy::Abort,
                ]
            }),
            returns_slots: chance.permille(600),
            times: Self::times(&mut chance, &faults),
        };
        let interval = chance.pick(&[SECOND, SECOND, 100 * MS]);
        let mut world = Self {
            bus: ModelBus::new(faults.broken),
            is_sent: vec![false; (end / GAP + 2) as usize],
            chance,
            faults,
            config,
            now: 0,
            heap: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            order: 0,
            processes: Vec::new(),
            sent: Vec::new(),
            results: Vec::new(),
            finding: None,
            met: Coverage::default(),
            is_verbose,
            closed: Vec::new(),
            interval,
        };
        world.begin(agents);
        world
    }

    /// Times of a run. Those of a usual run in half of the worlds; in others agents are taken for
    /// lost while they live: no invariant but the last depends on the times.
    fn times(chance: &mut Chance, faults: &Faults) -> FleetTimes {
        let usual = FleetTimes::default();
        if faults.is_hasty {
            let (lease, silence) = (chance.pick(&[1_000, 1_500, 3_000]) * MS, 300 * MS);
            return FleetTimes { lease, silence, lead: chance.pick(&[1, 20]) * MS, ..usual };
        }
        if faults.has_usual_times || chance.permille(500) {
            return usual;
        }
        FleetTimes {
            lease: chance.pick(&[1_000, 2_000, 5_000]) * MS,
            silence: chance.pick(&[300, 400, 700, 5_500]) * MS,
            lead: chance.pick(&[20, 300, 1_000]) * MS,
            orphan: chance.pick(&[3, 6, 30]) * SECOND,
            leader_silence: chance.pick(&[1_500, 10_000]) * MS,
            ..usual
        }
    }

    fn begin(&mut self, agents: u16) {
        self.push(0, Event::StartCoordinator(LeaderStart::New));
        if self.faults.standby {
            self.push(SECOND, Event::StartCoordinator(LeaderStart::Standby));
        }
        for ordinal in 0..agents {
            let at = self.chance.range(0, 3_000) * MS;
            self.push(at, Event::StartAgent(ordinal));
        }
        for (at, fault) in self.faults.events.clone() {
            self.push(at, Event::Fault(fault));
        }
        if self.faults.events.iter().any(|(_, fault)| matches!(fault, Fault::BusBack { .. })) {
            self.push(0, Event::Remember);
        }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if self.is_verbose {
            println!("{:>9.3} {}", self.now as f64 / 1e9, what());
        }
    }

    pub(super) fn find(&mut self, invariant: &'static str, detail: String) {
        self.note(|| format!("{invariant}: {detail}"));
        self.finding.get_or_insert(Finding { invariant, detail });
    }

    pub(super) fn push(&mut self, at: u64, event: Event) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.order += 1;
        self.heap.push(Reverse((at, (self.order << 24) | place as u64)));
    }

    pub fn run(mut self) -> Result<Coverage, Finding> {
        while let Some(Reverse((at, key))) = self.heap.pop() {
            let place = (key & 0xff_ffff) as usize;
            let event = self.events[place].take().expect("an event");
            self.free.push(place);
            self.now = at;
            self.handle(event);
            if self.finding.is_some() {
                break;
            }
            if at > LIMIT {
                let alive = self.processes.iter().filter(|one| one.is_alive).count();
                if alive > 0 {
                    self.find("ends", format!("{alive} processes do not end"));
                }
                break;
            }
        }
        self.judge();
        match self.finding {
            Some(finding) => Err(finding),
            None => Ok(self.met),
        }
    }

    fn judge(&mut self) {
        if let Some(text) = self.bus.fenced_write.take() {
            self.find("fenced", text);
        }
        // Agents that are taken for lost while they live may have more to tell.
        let silences =
            |fault: &Fault| matches!(fault, Fault::AgentCutOff { .. } | Fault::AgentPaused { .. });
        let is_lossy = self.faults.lost + self.faults.slow > 0;
        if self.config.times.silence < self.config.times.lease
            || is_lossy
            || self.faults.events.iter().any(|(_, fault)| silences(fault))
        {
            self.closed.clear();
        }
        for result in std::mem::take(&mut self.results) {
            self.met.results += 1;
            let accounts = || result.ledger.accounts().map(|(_, account)| account);
            let all_sent = self.sent.len() as u64 == (self.config.end.ns() - GAP / 2).div_ceil(GAP);
            self.met.lossless += u64::from(result.losses.is_empty() && all_sent);
            self.met.declared += u64::from(!result.losses.is_empty());
            let corrected = FinalCheck::Corrected;
            self.met.accounts_corrected +=
                accounts().filter(|one| one.check == corrected).count() as u64;
            self.met.streams_resent += accounts().filter(|one| one.generation > 0).count() as u64;
            let is_unknown = result.losses.iter().any(|loss| loss.member.is_none());
            self.met.unknown_members += u64::from(is_unknown);
            if let Err(finding) = super::check::result(&self.sent, &result, &self.closed) {
                self.find(finding.invariant, finding.detail);
            }
        }
        if let Some(control) = self.bus.control() {
            self.met.slots_moved += u64::from(control.tables.len() > 1);
            self.met.leaders_replaced += u64::from(control.revision.token > 1);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::ToBus(from, id, request) => self.at_bus(from, id, &request),
            Event::StartAgent(ordinal) => self.start_agent(ordinal),
            Event::StartCoordinator(start) => self.start_coordinator(start),
            Event::Fault(fault) => self.strike(fault),
            Event::Remember => {
                self.bus.remember(self.now);
                if self.processes.iter().any(|process| process.is_alive) && self.now < 60 * SECOND {
                    self.push(self.now + 300 * MS, Event::Remember);
                }
            }
            Event::Wake(at)
            | Event::Engine(at)
            | Event::Prepared(at)
            | Event::Hint(at)
            | Event::FromBus(at, ..) => self.at_process(at, event),
        }
    }

    fn start_process(&mut self, ordinal: u16, program: impl FnOnce(Time, u64) -> Program) {
        let clock = MachineClock::drawn(&mut self.chance, self.faults.clocks_differ);
        let entropy = self.chance.range(0, 1 << 50);
        let program = program(clock.local(self.now), entropy);
        let at = self.processes.len();
        self.processes.push(Process {
            program,
            ordinal,
            clock,
            is_alive: true,
            paused_until: 0,
            cut_until: 0,
            wake: self.now,
            dies_at_action: None,
        });
        self.note(|| format!("process {at} starts, ordinal {ordinal}"));
        self.push(self.now, Event::Wake(at));
    }

    pub(super) fn start_agent(&mut self, ordinal: u16) {
        let times = self.config.times;
        self.start_process(ordinal, |now, entropy| {
            let config = AgentConfig {
                ordinal: Ordinal(ordinal),
                entropy,
                plan: 7,
                times,
                facts: MemberFacts::default(),
            };
            Program::Agent(Box::new(Agent::new(config, now)), ToyEngine::default())
        });
    }

    pub(super) fn start_coordinator(&mut self, start: LeaderStart) {
        let config = self.config.clone();
        self.start_process(u16::MAX, |now, leader| {
            Program::Coordinator(Box::new(Coordinator::new(config, start, leader, now)))
        });
    }
}
