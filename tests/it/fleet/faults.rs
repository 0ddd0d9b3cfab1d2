//! A bus that refuses writes, and values on it that no agent of this build wrote: what is said, and
//! that nothing is lost or counted twice.

use std::collections::HashMap;

use redis::Connection;

use super::*;

impl Fleet {
    fn operator(&self) -> Connection {
        let url = format!("redis://{}", self.redis.address);
        redis::Client::open(url).unwrap().get_connection().unwrap()
    }
}

/// The stream of an agent's deltas, and its last interval; `None` before the first.
fn stream_of(bus: &mut Connection, ordinal: u16) -> Option<(String, u64)> {
    let keys = redis::cmd("KEYS").arg(format!("manada:{{it}}:delta:{ordinal}:*")).clone();
    let keys: Vec<String> = keys.query(bus).unwrap();
    let key = keys.into_iter().next()?;
    // Entries that the coordinator has saved are removed; the id of the last one stays.
    let info = redis::cmd("XINFO").arg("STREAM").arg(&key).clone();
    let info: HashMap<String, redis::Value> = info.query(bus).unwrap();
    let last: String = redis::from_redis_value(info["last-generated-id"].clone()).unwrap();
    let last = last.split('-').next().unwrap().parse().unwrap();
    Some((key, last))
}

/// The frame of an interval; `None` if the stream does not have it.
fn frame_of(bus: &mut Connection, key: &str, interval: u64) -> Option<Vec<u8>> {
    let id = format!("{interval}-0");
    let found = redis::cmd("XRANGE").arg(key).arg(&id).arg(&id).clone();
    let found: Vec<(String, Vec<Vec<u8>>)> = found.query(bus).unwrap();
    found.into_iter().next()?.1.pop()
}

/// Adds a frame to a stream; `false` if the agent was faster.
fn add(bus: &mut Connection, key: &str, interval: u64, frame: Vec<u8>) -> bool {
    let mut add = redis::cmd("XADD");
    add.arg(key).arg(format!("{interval}-0")).arg("f").arg(frame);
    add.exec(bus).is_ok()
}

/// Puts what `change` makes of the newest delta of an agent in the place of its next one.
fn replace_next_delta(bus: &mut Connection, ordinal: u16, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    wait_until("a delta that is not the agent's own", || {
        let Some((key, last)) = stream_of(bus, ordinal) else { return false };
        let Some(frame) = frame_of(bus, &key, last) else { return false };
        add(bus, &key, last + 1, change(frame))
    });
}

/// A frame as another build writes it: its shapes have another hash.
fn of_another_build(mut frame: Vec<u8>) -> Vec<u8> {
    frame[6] ^= 1;
    let mut sum = flate2::Crc::new();
    sum.update(&frame[..10]);
    frame[10..14].copy_from_slice(&sum.sum().to_le_bytes());
    frame
}

#[test]
fn damaged_deltas_and_refused_writes_are_named_and_cost_nothing() {
    let fleet = Fleet::start(3, 7, &[]);
    let mut bus = fleet.operator();
    replace_next_delta(&mut bus, 0, |_| b"nonsense".to_vec());
    replace_next_delta(&mut bus, 1, of_another_build);
    replace_next_delta(&mut bus, 2, |mut frame| {
        let middle = frame.len() / 2;
        frame[middle] ^= 4;
        frame
    });
    let said = |ordinal: u16| format!("left out: manada:{{it}}:delta:{ordinal}:");
    (0..3).for_each(|ordinal| fleet.coordinator.hear(&said(ordinal)));
    fleet.coordinator.hear("was written by another build of manada; use the same build");
    fleet.coordinator.hear("is not a frame of manada; another program may have written it");
    // A server without memory refuses writes.
    let mut set = |memory: &str| {
        redis::cmd("CONFIG").arg(&["SET", "maxmemory", memory]).exec(&mut bus).unwrap();
    };
    set("1");
    let all = || [&fleet.coordinator].into_iter().chain(&fleet.agents);
    all().for_each(|process| process.hear("OOM"));
    all().for_each(|process| process.hear("give it more memory"));
    set("0");
    all().for_each(|process| process.hear("the bus works again after "));
    let result = fleet.wait(0);
    result.check_exact();
    // Only a machine that is too busy for heartbeats loses a lease meanwhile.
    let unserved = count(api(&result.report), "unserved");
    assert_eq!(unserved > 0, result.has_reason("lost_lease"), "{}", result.report);
}

/// A frame that is whole, but of another agent: as a program with the rights of an agent may write.
#[test]
fn deltas_of_one_agent_in_the_place_of_anothers_are_named_and_the_sums_differ() {
    let fleet = Fleet::start(2, 4, &[]);
    let mut bus = fleet.operator();
    wait_until("there are deltas", || stream_of(&mut bus, 0).is_some());
    fleet.agents[0].signal(Signal::STOP);
    wait_until("the next delta of agent 1 is in the stream of agent 0", || {
        let (Some((to, last)), Some((from, _))) = (stream_of(&mut bus, 0), stream_of(&mut bus, 1))
        else {
            return false;
        };
        let frame = frame_of(&mut bus, &from, last + 1);
        frame.is_some_and(|frame| add(&mut bus, &to, last + 1, frame))
    });
    fleet.agents[0].signal(Signal::CONT);
    fleet.coordinator.hear("left out: a delta of agent 0 is that of another agent or plan");
    let Fleet { coordinator, target, log, folder, .. } = fleet;
    let done = coordinator.wait();
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("agent 0: some of its deltas are not of this plan"), "{done}");
    // The files of the run are written all the same.
    let report: Value = serde_json::from_str(&done.read("out/summary.json")).unwrap();
    let agents = report["generator"]["workers"].as_array().unwrap();
    let agree: Vec<_> = agents.iter().map(|one| one["agent"]["sums_agree"].as_bool()).collect();
    assert_eq!(agree, [Some(false), Some(true)], "{agents:?}");
    assert_eq!(report["trust"]["verdict"], "no");
    target.end();
    let (_, requests) = arrivals(&log);
    assert!(count(&report, "attempts.sent") < requests, "{report}");
    drop(folder);
}
