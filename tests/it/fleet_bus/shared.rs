//! Plain values that processes share, and hints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use manada::fleet::bus::BusHints;

use super::*;

#[test]
fn plain_values_are_read_as_they_were_written() {
    let redis = Redis::start();
    let (mut one, mut two) = (client(&redis), client(&redis));
    assert_eq!(one.get("setup").unwrap(), None);
    assert!(one.put_new("setup", b"first").unwrap());
    assert!(!two.put_new("setup", b"second").unwrap());
    assert_eq!(two.get("setup").unwrap().as_deref(), Some(&b"first"[..]));
    one.put("setup", b"").unwrap();
    assert_eq!(two.get("setup").unwrap().as_deref(), Some(&b""[..]));
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    assert!(one.put_new("blob:0af3", &large).unwrap());
    assert!(two.get("blob:0af3").unwrap() == Some(large));
    // One of its parts is gone, or another one.
    let mut operator = operator(&redis);
    let keys: Vec<String> = run(&mut operator, "KEYS manada:{r1}:blob:0af3:*:1");
    redis::cmd("SET").arg(&keys[0]).arg("x").exec(&mut operator).unwrap();
    assert!(matches!(two.get("blob:0af3"), Err(BusError::Damaged { .. })));
    run::<()>(&mut operator, &format!("DEL {}", keys[0]));
    let error = two.get("blob:0af3").unwrap_err().to_string();
    assert!(error.contains("without one of its parts"), "{error}");
    for name in ["", "control", "blob:", "once:a:b", "once:*", "setup:x"] {
        assert!(one.put(name, b"x").is_err(), "{name}");
    }
    let expiry: Vec<u64> = ["setup", "blob:0af3"]
        .iter()
        .map(|name| run(&mut operator, &format!("TTL manada:{{r1}}:{name}")))
        .collect();
    assert!(expiry.iter().all(|seconds| (604_000..=604_800).contains(seconds)), "{expiry:?}");
}

#[test]
fn hints_follow_each_control_record_and_a_lost_connection() {
    let redis = Redis::start();
    let mut bus = client(&redis);
    let count = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&count);
    let hints = BusHints::start(&address(&url(&redis)), RUN, move || {
        counting.fetch_add(1, Ordering::Relaxed);
    });
    let hints = hints.unwrap();
    let at_least = |number: u32| {
        wait_until("a hint comes", || count.load(Ordering::Relaxed) >= number);
    };
    // The subscription itself is the first.
    at_least(1);
    let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
    assert!(matches!(write_control(&mut bus, None, instance, record(1, 1)), BusReply::Written));
    at_least(2);
    run::<u32>(&mut operator(&redis), "CLIENT KILL TYPE pubsub");
    at_least(3);
    drop(hints);
    let heard = count.load(Ordering::Relaxed);
    let expected = Some(Revision { token: 1, number: 1 });
    write_control(&mut bus, expected, instance, record(1, 2));
    assert_eq!(count.load(Ordering::Relaxed), heard);
}

/// A coordinator renews what it has put or read, so that a long run keeps its files.
#[test]
fn coordinator_renews_plain_values_of_a_long_run() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    bus.put("blob:1", &vec![7; 2 << 20]).unwrap();
    client(&redis).put("setup", b"by another").unwrap();
    bus.get("setup").unwrap();
    let keys: Vec<String> = run(&mut operator, "KEYS *");
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in &keys {
        run::<()>(&mut operator, &format!("EXPIRE {key} 1000"));
    }
    let instance = poll(&mut bus, &[]).instance;
    let mut found = None;
    for number in 1..=600 {
        let reply = write_control(&mut bus, found, instance, record(1, number));
        assert!(matches!(reply, BusReply::Written), "{reply:?}");
        found = Some(Revision { token: 1, number });
    }
    for key in &keys {
        let seconds: i64 = run(&mut operator, &format!("TTL {key}"));
        assert!(seconds > 600_000, "{key}: {seconds}");
    }
}

/// All keys expire, so a run that nobody ends leaves nothing.
#[test]
fn all_keys_expire() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
    write_control(&mut bus, None, instance, record(1, 1));
    append(&mut bus, stream(member(0, 3)), frame(1, 1));
    let state =
        manada::fleet::protocol::FinalState { intervals: 1, until: RunOffset::ZERO, sum: vec![1] };
    bus.carry_out(&BusRequest::WriteFinal { member: member(0, 3), state });
    let ledger = manada::fleet::protocol::Ledger::default();
    let snapshot = manada::fleet::protocol::FleetSnapshot { token: 1, number: 1, ledger };
    bus.carry_out(&BusRequest::WriteSnapshot { token: 1, snapshot: snapshot.into() });
    let keys: Vec<String> = run(&mut operator, "KEYS *");
    assert_eq!(keys.len(), 5, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("manada:{r1}:"), "{key}");
        let seconds: i64 = run(&mut operator, &format!("TTL {key}"));
        assert!((604_000..=604_800).contains(&seconds), "{key}: {seconds}");
    }
}
