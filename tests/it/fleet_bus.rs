//! The bus of a fleet on a real Redis: the same replies as the model that the protocol is proven
//! with, and what becomes of requests when the server fails, refuses, forgets or is none.

pub(crate) mod access; // users, passwords, rules of access, TLS
mod conformance; // random requests, compared with the model
mod failures; // restarts, lost data, no memory, pauses, lost connections
mod hostile; // damaged values, large streams, other servers
mod model; // the model of the bus, from the simulator
mod scale; // many agents, and what they cost
mod shared; // plain values and hints

use std::time::Duration;

use manada::clock::RunOffset;
use manada::fleet::bus::{BusAddress, BusClient, BusError, BusLimits, BusOptions};
use manada::fleet::protocol::{
    BusReply, BusRequest, BusTime, ControlRecord, DeltaFrame, DeltaStream, FleetPhase, FleetTimes,
    Heartbeat, Incarnation, Member, MemberFacts, MemberHealth, MemberState, Ordinal, PollReply,
    Revision,
};
use model::process::Sent;

use crate::instances::{Redis, wait_until};

type Client = BusClient<Sent>;

const RUN: &str = "r1";

/// Later than any test.
const NEVER: BusTime = BusTime(u64::MAX / 2);

/// A busy machine may need long; only tests of silent servers wait so long.
const PATIENT: BusLimits =
    BusLimits { max_frame: 1 << 20, request_timeout: Duration::from_secs(30) };

const HASTY: BusLimits =
    BusLimits { max_frame: 1 << 20, request_timeout: Duration::from_millis(400) };

fn address(url: &str) -> BusAddress {
    BusAddress::parse(url, &BusOptions::default()).unwrap()
}

fn url(redis: &Redis) -> String {
    format!("redis://{}", redis.address)
}

fn client(redis: &Redis) -> Client {
    Client::open(&address(&url(redis)), RUN, PATIENT).unwrap()
}

fn refused(url: &str, options: &BusOptions) -> BusError {
    let address = BusAddress::parse(url, options).unwrap();
    match Client::open(&address, RUN, HASTY) {
        Ok(_) => panic!("{url} can be used"),
        Err(error) => error,
    }
}

/// A connection of the library, for what only an operator or another program does.
fn operator(redis: &Redis) -> redis::Connection {
    redis::Client::open(url(redis)).unwrap().get_connection().unwrap()
}

fn run<T: redis::FromRedisValue>(connection: &mut redis::Connection, line: &str) -> T {
    try_run(connection, line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn try_run<T: redis::FromRedisValue>(
    connection: &mut redis::Connection,
    line: &str,
) -> redis::RedisResult<T> {
    let mut words = line.split_whitespace();
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.query(connection)
}

fn member(ordinal: u16, incarnation: u64) -> Member {
    Member { ordinal: Ordinal(ordinal), incarnation: Incarnation(incarnation) }
}

fn heartbeat(member: Member, beat: u64) -> Heartbeat {
    Heartbeat {
        member,
        beat,
        seen: None,
        at: RunOffset::ZERO,
        horizon: RunOffset::from_ns(100),
        previous_horizon: RunOffset::from_ns(50),
        plan: 7,
        state: MemberState::Ready,
        generation: 0,
        appended: 0,
        kept_from: 1,
        measured: 0,
        clock_error: 0,
        command: 0,
        facts: MemberFacts::default(),
        health: MemberHealth::default(),
    }
}

fn record(token: u64, number: u64) -> ControlRecord {
    ControlRecord {
        run: RUN.to_owned(),
        revision: Revision { token, number },
        leader: 5,
        instance: 1,
        phase: FleetPhase::Running,
        plan: 7,
        t0: None,
        shards: 0,
        end: RunOffset::NEVER,
        tables: Vec::new(),
        granted_until: RunOffset::from_ns(u64::MAX),
        acknowledgements: Vec::new(),
        snapshot: 0,
        is_incomplete: false,
        commands: Vec::new(),
        last_command: 0,
        refused: Vec::new(),
        times: FleetTimes::default(),
    }
}

fn frame(first: u64, last: u64) -> DeltaFrame<Sent> {
    let indices = (first..=last).map(|index| index as u32).collect();
    let (since, until) = (RunOffset::from_ns(first), RunOffset::from_ns(last + 1));
    DeltaFrame { first, last, since, until, payload: Sent { indices, loses: false } }
}

fn stream(member: Member) -> DeltaStream {
    DeltaStream { member, generation: 0 }
}

fn beat(client: &mut Client, heartbeat: Heartbeat) -> BusReply<Sent> {
    client.carry_out(&BusRequest::Beat { heartbeat })
}

fn append(client: &mut Client, stream: DeltaStream, frame: DeltaFrame<Sent>) -> BusReply<Sent> {
    client.carry_out(&BusRequest::Append { stream, frame })
}

fn write_control(
    client: &mut Client,
    expected: Option<Revision>,
    instance: u64,
    record: ControlRecord,
) -> BusReply<Sent> {
    client.carry_out(&BusRequest::WriteControl {
        expected,
        instance,
        deadline: NEVER,
        limits: Vec::new(),
        record: record.into(),
    })
}

#[track_caller]
fn poll(client: &mut Client, streams: &[(DeltaStream, u64)]) -> PollReply<Sent> {
    match client.carry_out(&BusRequest::Poll { streams: streams.to_vec(), ordinals: 4 }) {
        BusReply::Polled(reply) => *reply,
        other => panic!("{other:?}: {:?}", client.last_error()),
    }
}

/// The reply to a heartbeat: its control record's revision, and the instance.
#[track_caller]
fn beaten(client: &mut Client, heartbeat: Heartbeat) -> (Option<Revision>, u64) {
    match beat(client, heartbeat) {
        BusReply::Beat { control, instance, .. } => {
            (control.map(|record| record.revision), instance)
        }
        other => panic!("{other:?}: {:?}", client.last_error()),
    }
}
