//! Random requests to the model of the bus and to a real Redis get equal replies.

use std::sync::Arc;

use manada::clock::RunOffset;
use manada::fleet::protocol::{
    BusReply, BusRequest, BusTime, DeltaStream, FinalState, FleetSnapshot, Heartbeat, HeartbeatId,
    HorizonLimit, Ledger, Member, Ordinal, Revision, SlotTable,
};

use super::model::chance::Chance;
use super::model::faults::Broken;
use super::model::model_bus::ModelBus;
use super::model::process::Sent;
use super::{NEVER, client, frame, heartbeat, member, operator, poll, record, run};
use crate::instances::Redis;

/// Requests of the test.
const REQUESTS: u64 = 3_000;

/// The instance that the model begins with.
const OF_MODEL: u64 = 1;

/// What draws requests: it knows what the bus may have, so that many conditions hold.
struct Requests {
    chance: Chance,
    /// The instance of the real bus.
    instance: u64,
}

impl Requests {
    fn number(&mut self, to: u64) -> u64 {
        self.chance.range(0, to)
    }

    fn member(&mut self) -> Member {
        member(self.number(3) as u16, 1 + self.number(3))
    }

    fn heartbeat(&mut self, beat: u64) -> Heartbeat {
        let seen = Revision { token: self.number(4), number: self.number(9) };
        Heartbeat {
            horizon: RunOffset::from_ns(self.number(6) * 10),
            previous_horizon: RunOffset::from_ns(self.number(6) * 10),
            seen: Some(seen).filter(|_| self.chance.permille(700)),
            ..heartbeat(self.member(), beat)
        }
    }

    fn stream(&mut self) -> DeltaStream {
        DeltaStream { member: self.member(), generation: self.number(2) }
    }

    fn streams(&mut self) -> Vec<(DeltaStream, u64)> {
        let mut streams: Vec<(DeltaStream, u64)> = Vec::new();
        for _ in 0..self.number(6) {
            let stream = self.stream();
            if !streams.iter().any(|(known, _)| *known == stream) {
                streams.push((stream, self.number(40)));
            }
        }
        streams
    }

    /// A request; `found` is the revision of the bus, `top` the newest heartbeat of ordinal 0.
    fn draw(
        &mut self,
        step: u64,
        found: Option<Revision>,
        top: Option<HeartbeatId>,
    ) -> BusRequest<Sent> {
        match self.number(100) {
            0..8 => BusRequest::Look { ordinal: Ordinal(self.number(3) as u16) },
            8..18 => {
                let beat = step.saturating_sub(self.number(30));
                let mut heartbeat = self.heartbeat(beat);
                heartbeat.member.ordinal = Ordinal(0);
                if self.chance.permille(500) {
                    heartbeat.member = member(0, 3);
                }
                let other = HeartbeatId { incarnation: self.member().incarnation, beat: 3 };
                let after = [None, top, top, Some(other)][self.number(4) as usize];
                BusRequest::Join { after, heartbeat }
            }
            18..38 => {
                let beat = step.saturating_sub(self.number(60));
                BusRequest::Beat { heartbeat: self.heartbeat(beat) }
            }
            38..53 => {
                let first = 1 + step / 80 + self.number(9);
                let last = first + self.number(3);
                BusRequest::Append { stream: self.stream(), frame: frame(first, last) }
            }
            53..57 => {
                let (intervals, until) = (self.number(9), RunOffset::from_ns(self.number(9)));
                let sum = (0..self.number(9) as u32).collect();
                let state = FinalState { intervals, until, sum };
                BusRequest::WriteFinal { member: self.member(), state }
            }
            57..67 => BusRequest::Poll { streams: self.streams(), ordinals: self.number(4) as u16 },
            67..85 => self.write_control(step, found),
            85..92 => {
                let mut ledger = Ledger::default();
                ledger.open(self.member()).sum = vec![step as u32];
                let (token, number) = (self.number(4), step / 4 + self.number(20));
                let snapshot = Arc::new(FleetSnapshot { token, number, ledger });
                let led = found.map_or(token, |found| found.token);
                let token = if self.chance.permille(700) { led } else { token };
                BusRequest::WriteSnapshot { token, snapshot }
            }
            92..96 => BusRequest::ReadSnapshot,
            _ => BusRequest::Trim { stream: self.stream(), last: self.number(step / 80 + 9) },
        }
    }

    fn write_control(&mut self, step: u64, found: Option<Revision>) -> BusRequest<Sent> {
        let other = Revision { token: self.number(4), number: self.number(step + 1) };
        let expected = [None, found, found, found, Some(other)][self.number(5) as usize];
        let limit = |requests: &mut Self| HorizonLimit {
            member: requests.member(),
            from: RunOffset::from_ns(requests.number(7) * 10),
        };
        let limits = (0..self.number(3)).map(|_| limit(self)).collect();
        let members: Vec<Member> = (0..=self.number(3)).map(|_| self.member()).collect();
        let mut record = record(self.number(4), step);
        record.tables = vec![SlotTable::first(step, 24, &members)];
        record.t0 = Some(BusTime(step));
        BusRequest::WriteControl {
            expected,
            instance: if self.chance.permille(900) { self.instance } else { 4_711 },
            deadline: if self.chance.permille(900) { NEVER } else { BusTime(1_000) },
            limits,
            record: record.into(),
        }
    }
}

/// Two processes that look and join at the same time: exactly one gets the place.
#[test]
fn one_of_two_processes_that_join_at_once_gets_the_place() {
    let redis = Redis::start();
    let mut clients = [client(&redis), client(&redis)];
    let barrier = std::sync::Barrier::new(2);
    for round in 0..100 {
        let after = (round > 0).then(|| {
            let look = clients[0].carry_out(&BusRequest::Look { ordinal: Ordinal(0) });
            match look {
                BusReply::Looked { top: Some(top), .. } => top.id(),
                other => panic!("{other:?}"),
            }
        });
        let join = |client: &mut super::Client, incarnation: u64| {
            barrier.wait();
            let heartbeat = heartbeat(member(0, incarnation), 1);
            client.carry_out(&BusRequest::Join { after, heartbeat })
        };
        let [one, two] = &mut clients;
        let replies = std::thread::scope(|scope| {
            let other = scope.spawn(|| join(two, 3 * round + 2));
            [join(one, 3 * round + 1), other.join().unwrap()]
        });
        let joined = replies.iter().filter(|reply| matches!(reply, BusReply::Beat { .. })).count();
        let late = |reply: &&BusReply<Sent>| matches!(reply, BusReply::Superseded { .. });
        assert_eq!((joined, replies.iter().filter(late).count()), (1, 1), "{replies:?}");
    }
}

/// The request as the model gets it.
fn for_model(request: &BusRequest<Sent>, real: u64) -> BusRequest<Sent> {
    let mut request = request.clone();
    if let BusRequest::WriteControl { instance, .. } = &mut request
        && *instance == real
    {
        *instance = OF_MODEL;
    }
    request
}

/// A reply as text, without times, and with the instance of the model.
fn comparable(reply: &BusReply<Sent>, real: u64) -> String {
    let mut reply = reply.clone();
    let as_model = |instance: &mut u64| {
        if *instance == real {
            *instance = OF_MODEL;
        }
    };
    match &mut reply {
        BusReply::Looked { clock, .. } => *clock = BusTime(0),
        BusReply::Beat { clock, instance, .. } => {
            *clock = BusTime(0);
            as_model(instance);
        }
        BusReply::Polled(polled) => {
            polled.clock = BusTime(0);
            as_model(&mut polled.instance);
        }
        _ => {}
    }
    format!("{reply:?}")
}

/// What a reply is, for the count of what the test has met.
fn kind(request: &BusRequest<Sent>, reply: &BusReply<Sent>) -> String {
    let word = |text: String| text.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    format!("{} {}", word(format!("{request:?}")), word(format!("{reply:?}")))
}

#[test]
fn redis_replies_as_the_model_of_the_protocol() {
    let seed = match std::env::var("MANADA_BUS_SEED") {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => rand::random_range(0..1_000_000_000),
    };
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    let instance = poll(&mut bus, &[]).instance;
    let mut model = ModelBus::new(Broken::Nothing);
    let mut requests = Requests { chance: Chance::new(seed, 0), instance };
    let mut met = std::collections::BTreeMap::<String, u32>::new();
    for step in 0..REQUESTS {
        if requests.chance.permille(3) {
            run::<()>(&mut operator, "FLUSHALL");
            model.wipe(false);
        }
        let look = BusRequest::Look { ordinal: Ordinal(0) };
        let top = match model.carry_out(step, &look) {
            BusReply::Looked { top, .. } => top.map(|top| top.id()),
            other => panic!("{other:?}"),
        };
        let found = model.control().map(|record| record.revision);
        let request = requests.draw(step, found, top);
        let expected = model.carry_out(step, &for_model(&request, instance));
        let reply = bus.carry_out(&request);
        *met.entry(kind(&request, &reply)).or_default() += 1;
        assert_eq!(
            comparable(&reply, instance),
            comparable(&expected, instance),
            "step {step} of MANADA_BUS_SEED={seed}: {request:?}; {:?}",
            bus.last_error()
        );
    }
    assert_eq!((bus.damaged(), bus.last_error()), (0, None), "MANADA_BUS_SEED={seed}");
    // Each reply that a request can have was met, with any seed.
    for kind in [
        "Look Looked",
        "Join Beat",
        "Join Superseded",
        "Beat Beat",
        "Beat Superseded",
        "Append Appended",
        "WriteFinal Written",
        "Poll Polled",
        "WriteControl Written",
        "WriteControl Refused",
        "WriteSnapshot Written",
        "WriteSnapshot Refused",
        "ReadSnapshot Snapshot",
        "Trim Written",
    ] {
        let count = met.get(kind).copied().unwrap_or_default();
        assert!(count >= 5, "MANADA_BUS_SEED={seed}: {kind}: {count} of {met:?}");
    }
}
