//! A bus that refuses writes, and values on it that no agent of this build wrote: what is said, and
//! that nothing is lost or counted twice.

use redis::Connection;

use super::*;

impl Fleet {
    fn operator(&self) -> Connection {
        let url = format!("redis://{}", self.redis.address);
        redis::Client::open(url).unwrap().get_connection().unwrap()
    }
}

/// Puts what `change` makes of the newest delta of an agent in the place of its next one.
fn replace_next_delta(bus: &mut Connection, ordinal: u16, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    wait_until("a delta that is not the agent's own", || {
        let keys = redis::cmd("KEYS").arg(format!("manada:{{it}}:delta:{ordinal}:*")).clone();
        let keys: Vec<String> = keys.query(bus).unwrap();
        let Some(key) = keys.first() else { return false };
        let newest = redis::cmd("XREVRANGE").arg(key).arg(&["+", "-", "COUNT", "1"]).clone();
        let newest: Vec<(String, Vec<Vec<u8>>)> = newest.query(bus).unwrap();
        let [(id, fields)] = &newest[..] else { return false };
        let last: u64 = id.split('-').next().unwrap().parse().unwrap();
        let mut add = redis::cmd("XADD");
        add.arg(key).arg(format!("{}-0", last + 1)).arg("f").arg(change(fields[1].clone()));
        // The agent may have been faster.
        add.exec(bus).is_ok()
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
fn deltas_that_no_agent_wrote_are_named_left_out_and_sent_again() {
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
    let result = fleet.wait(0);
    result.check_exact();
    assert_eq!(count(api(&result.report), "unserved"), 0, "{}", result.report);
}

#[test]
fn a_bus_without_memory_is_named_and_costs_nothing() {
    let fleet = Fleet::start(2, 8, &[]);
    let mut bus = fleet.operator();
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
