//! Many agents of the protocol and their coordinator on a real Redis, without engines: that a run
//! ends with exact accounts, and what a fleet of a size costs its bus.
//!
//! `MANADA_FLEET_AGENTS=1000 cargo test --test it -- fleet_bus::scale --nocapture` prints the
//! figures of docs/fleet.md.

#![expect(clippy::print_stdout, reason = "figures for those that ask for a size")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Barrier;
use std::time::Duration;

use manada::clock::{self, Time};
use manada::event::LossPolicy;
use manada::event::packed::{Packed, PackedBytes, Shape};
use manada::fleet::protocol::{
    Agent, AgentAction, AgentConfig, AgentEnd, AgentEvent, Coordinator, CoordinatorAction,
    CoordinatorEnd, CoordinatorEvent, DeltaPayload, FleetConfig, FleetResult, LeaderStart,
};

use super::*;

/// Agents of a usual test run.
const AGENTS: u16 = 40;

/// Agents that one thread drives.
const AGENTS_OF_A_THREAD: u16 = 250;

/// The length of a frame, bytes. Those of real agents take from 400 (five starts a second) to 6,600
/// (1,000 starts a second of three calls).
const FRAME: usize = 1_100;

/// The length of the sum of an account, bytes.
const ACCOUNT: usize = 700;

const SECOND: u64 = 1_000_000_000;

/// The load, ns.
const LOAD: u64 = 8 * SECOND;

/// Bytes that cannot be compressed, in place of deltas.
#[derive(Clone, Debug, PartialEq)]
struct OpaqueDeltas(Vec<u8>);

impl OpaqueDeltas {
    fn drawn(seed: u64) -> Self {
        let mut state = seed | 1;
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        Self((0..FRAME).map(byte).collect())
    }
}

impl DeltaPayload for OpaqueDeltas {
    type Sum = Vec<u8>;

    fn merge(&mut self, later: &Self) {
        self.0.extend(&later.0);
    }

    fn add_to(&self, sum: &mut Vec<u8>) {
        sum.resize(ACCOUNT, 0);
        for one in self.0.chunks(FRAME) {
            one.iter().zip((0..ACCOUNT).cycle()).for_each(|(byte, place)| {
                sum[place] = sum[place].wrapping_add(*byte);
            });
        }
    }
}

impl Packed for OpaqueDeltas {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(Self(Packed::unpack(from)?))
    }

    fn describe(shape: &mut Shape) {
        shape.text("bytes in place of deltas");
    }
}

fn local_now() -> Time {
    // The zero of a process lies before the start of any run.
    clock::now().after(400 * 86_400 * SECOND)
}

fn opened(redis: &Redis) -> BusClient<OpaqueDeltas> {
    BusClient::open(&address(&url(redis)), RUN, PATIENT).unwrap()
}

/// An agent, and the end of its next interval.
struct Driven {
    agent: Agent<OpaqueDeltas>,
    is_running: bool,
    interval: u64,
    end: Option<AgentEnd>,
}

impl Driven {
    fn new(ordinal: u16, times: FleetTimes) -> Self {
        let facts = MemberFacts { host: format!("node-{ordinal}"), cores: 4, reason: Vec::new() };
        let (ordinal, entropy) = (Ordinal(ordinal), u64::from(ordinal));
        let config = AgentConfig { ordinal, entropy, plan: 7, times, facts };
        let agent = Agent::new(config, local_now());
        Self { agent, is_running: false, interval: 1, end: None }
    }

    /// Does what is due.
    fn advance(&mut self, client: &mut BusClient<OpaqueDeltas>) {
        let now = self.agent.schedule(local_now());
        let mut events = VecDeque::new();
        if self.is_running && now.ns() >= self.interval * SECOND {
            let until = RunOffset::from_ns(self.interval * SECOND);
            let payload = OpaqueDeltas::drawn(u64::from(self.agent.member().ordinal.0));
            events.push_back(AgentEvent::Measured { until, payload });
            self.interval += 1;
            if now >= self.agent.schedule_end() {
                self.is_running = false;
                events.push_back(AgentEvent::Finished);
            }
        } else if self.agent.wake() <= local_now() {
            events.push_back(AgentEvent::Tick);
        }
        while let Some(event) = events.pop_front() {
            for action in self.agent.step(local_now(), event) {
                match action {
                    AgentAction::Send { id, request } => {
                        let reply = client.carry_out(&request);
                        events.push_back(AgentEvent::Reply { id, reply });
                    }
                    AgentAction::Prepare => events.push_back(AgentEvent::Prepared),
                    AgentAction::Start { .. } => self.is_running = true,
                    AgentAction::Stop { .. } if !self.is_running => {
                        events.push_back(AgentEvent::Finished);
                    }
                    AgentAction::Stop { .. } | AgentAction::Command(_) => {}
                    AgentAction::End(end) => self.end = Some(end),
                }
            }
        }
    }
}

/// Figures of the server, and the CPU time of the coordinator's thread.
struct Figures {
    at: Time,
    values: BTreeMap<String, f64>,
}

impl Figures {
    fn read(connection: &mut redis::Connection) -> Self {
        let info: String = run(connection, "INFO everything");
        let values = info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter_map(|(name, text)| Some((name.to_owned(), text.trim().parse().ok()?)));
        let mut values: BTreeMap<String, f64> = values.collect();
        let control: u64 = run(connection, &format!("STRLEN manada:{{{RUN}}}:control"));
        values.insert("control".to_owned(), control as f64);
        Self { at: clock::now(), values }
    }

    fn print(&self, later: &Self, agents: u16) {
        let seconds = later.at.since(self.at) as f64 / 1e9;
        let rate = |name: &str| (later.values[name] - self.values[name]) / seconds;
        let cpu = rate("used_cpu_user") + rate("used_cpu_sys");
        println!(
            "{agents} agents: {:.0} commands/s, {:.0} KB/s in, {:.0} KB/s out, server {:.0} % CPU, \
             control record {:.1} KB, memory {:.1} MB",
            rate("total_commands_processed"),
            rate("total_net_input_bytes") / 1e3,
            rate("total_net_output_bytes") / 1e3,
            cpu * 100.0,
            later.values["control"] / 1e3,
            later.values["used_memory"] / 1e6
        );
    }
}

/// Leads the run; returns the result, and the longest requests.
fn lead(redis: &Redis, config: FleetConfig, agents: u16) -> FleetResult<OpaqueDeltas> {
    let (mut client, mut operator) = (opened(redis), operator(redis));
    let mut coordinator = Coordinator::new(config, LeaderStart::New, 5, local_now());
    let (mut figures, mut slowest) = (Vec::new(), BTreeMap::<&str, u64>::new());
    let mut events = VecDeque::from([CoordinatorEvent::Tick]);
    loop {
        let event = events.pop_front().unwrap_or_else(|| {
            let left = coordinator.wake().since(local_now()).clamp(1_000_000, SECOND);
            std::thread::park_timeout(Duration::from_nanos(left));
            CoordinatorEvent::Tick
        });
        for action in coordinator.step(local_now(), event) {
            match action {
                CoordinatorAction::Send { id, request } => {
                    let kind = match &*request {
                        BusRequest::Poll { .. } => "poll",
                        BusRequest::WriteControl { .. } => "control",
                        BusRequest::WriteSnapshot { .. } => "snapshot",
                        _ => "other",
                    };
                    let begun = clock::now();
                    let reply = client.carry_out(&request);
                    let took = slowest.entry(kind).or_default();
                    *took = clock::now().since(begun).max(*took);
                    events.push_back(CoordinatorEvent::Reply { id, reply });
                }
                CoordinatorAction::Merge { .. } => {}
                CoordinatorAction::End(end) => {
                    println!("longest requests of the coordinator, ns: {slowest:?}");
                    let CoordinatorEnd::Done(result) = *end else { panic!("{end:?}") };
                    return result;
                }
            }
        }
        let start = coordinator.start();
        let schedule = start.map_or(0, |start| local_now().since(start));
        if figures.is_empty() && schedule >= 2 * SECOND {
            figures.push(Figures::read(&mut operator));
        } else if figures.len() == 1 && schedule >= 7 * SECOND {
            figures.push(Figures::read(&mut operator));
            figures[0].print(&figures[1], agents);
        }
    }
}

#[test]
fn many_agents_end_with_exact_accounts() {
    let wanted = std::env::var("MANADA_FLEET_AGENTS").ok();
    let agents = wanted.as_ref().map_or(AGENTS, |text| text.parse().unwrap());
    // The machine of a usual test may be busy.
    let patience = if wanted.is_some() { 1 } else { 20 };
    let usual = FleetTimes::default();
    let times = FleetTimes {
        lease: usual.lease * patience,
        request_timeout: usual.request_timeout * patience,
        silence: usual.silence * patience,
        orphan: usual.orphan * patience,
        give_up: usual.give_up * patience,
        ..usual
    };
    let config = FleetConfig {
        run: RUN.to_owned(),
        plan: 7,
        agents,
        min_agents: agents,
        join_timeout: 120 * SECOND,
        shards: Some(1),
        max_shards: None,
        slots: 4_096,
        end: RunOffset::from_ns(LOAD),
        on_loss: LossPolicy::Redistribute,
        returns_slots: false,
        times,
    };
    let redis = Redis::start();
    let threads = agents.div_ceil(AGENTS_OF_A_THREAD);
    let begin = Barrier::new(usize::from(threads));
    let drive = |thread: u16| {
        let mut client = opened(&redis);
        let own = (thread..agents).step_by(usize::from(threads));
        let mut driven: Vec<Driven> = own.map(|ordinal| Driven::new(ordinal, times)).collect();
        begin.wait();
        while driven.iter().any(|one| one.end.is_none()) {
            driven
                .iter_mut()
                .filter(|one| one.end.is_none())
                .for_each(|one| one.advance(&mut client));
            std::thread::park_timeout(Duration::from_millis(5));
        }
        driven.iter().all(|one| one.end == Some(AgentEnd::Closed))
    };
    let (result, are_closed) = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|one| scope.spawn(move || drive(one))).collect();
        let result = lead(&redis, config, agents);
        (result, running.into_iter().all(|thread| thread.join().unwrap()))
    });
    assert!(are_closed && result.losses.is_empty(), "{:?}", result.losses);
    let merged: Vec<u64> = result.ledger.accounts().map(|(_, account)| account.merged).collect();
    assert_eq!(merged, vec![LOAD / SECOND; usize::from(agents)]);
}
