//! Values that another program has written, streams that are large, and servers that are none.

use std::net::TcpListener;

use manada::exit::ExitStatus;
use manada::fleet::protocol::{BusReply, BusRequest, FinalState, FleetSnapshot, Ledger, Ordinal};

use super::*;
use crate::builtin::Builtin;

fn set(operator: &mut redis::Connection, key: &str, value: &[u8]) {
    let key = format!("manada:{{{RUN}}}:{key}");
    redis::cmd("SET").arg(key).arg(value).exec(operator).unwrap();
}

fn get(operator: &mut redis::Connection, key: &str) -> Vec<u8> {
    run(operator, &format!("GET manada:{{{RUN}}}:{key}"))
}

fn add(operator: &mut redis::Connection, key: &str, id: &str, frame: &[u8]) {
    let mut command = redis::cmd("XADD");
    command.arg(format!("manada:{{{RUN}}}:{key}")).arg(id).arg("f").arg(frame);
    command.exec(operator).unwrap();
}

#[test]
fn damaged_heartbeats_frames_and_finals_are_left_out_and_counted() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    let streams = [(stream(member(0, 3)), 0), (stream(member(1, 3)), 0)];
    for ordinal in 0..2 {
        beaten(&mut bus, heartbeat(member(ordinal, 3), 1));
        append(&mut bus, stream(member(ordinal, 3)), frame(1, 1));
        let state = FinalState { intervals: 1, until: RunOffset::ZERO, sum: vec![1] };
        bus.carry_out(&BusRequest::WriteFinal { member: member(ordinal, 3), state });
    }
    let whole = poll(&mut bus, &streams);
    assert_eq!((whole.heartbeats.len(), whole.frames.len(), whole.finals.len()), (2, 2, 2));
    // A flipped bit, a frame of another interval, and values of another type.
    let mut last = get(&mut operator, "final:0:3");
    let middle = last.len() / 2;
    last[middle] ^= 4;
    set(&mut operator, "final:0:3", &last);
    add(&mut operator, "delta:0:3:0", "2-0", b"nonsense");
    append(&mut bus, stream(member(0, 3)), frame(3, 3));
    add(&mut operator, "beat:0", "3-9", b"");
    run::<()>(&mut operator, "DEL manada:{r1}:final:1:3");
    run::<()>(&mut operator, "RPUSH manada:{r1}:final:1:3 x");
    let polled = poll(&mut bus, &streams);
    let intervals: Vec<u64> = polled.frames.iter().map(|(_, frame)| frame.last).collect();
    assert_eq!(intervals, [1, 3, 1]);
    assert_eq!(polled.finals.len(), 0);
    // The ordinal is not missing: it has the heartbeat that was read before.
    assert_eq!(polled.heartbeats, whole.heartbeats);
    assert_eq!(bus.damaged(), 4);
    let why = bus.take_damages().pop().unwrap().to_string();
    assert!(why.starts_with("manada:{r1}:final:1:3 is not a frame of manada; "), "{why}");
    // A heartbeat that cannot be read is no free place: the process before may still send.
    let look = bus.carry_out(&BusRequest::Look { ordinal: Ordinal(0) });
    assert!(matches!(look, BusReply::Failed), "{look:?}");
    let late = beat(&mut bus, heartbeat(member(0, 3), 8));
    assert!(matches!(late, BusReply::Superseded { by } if by.0 == 3), "{late:?}");
    // The next heartbeat is whole.
    beaten(&mut bus, heartbeat(member(0, 3), 10));
    let polled = poll(&mut bus, &streams);
    assert_eq!(polled.heartbeats[0], heartbeat(member(0, 3), 10));
}

#[test]
fn damaged_control_record_or_snapshot_is_a_failed_request() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
    write_control(&mut bus, None, instance, record(1, 1));
    let snapshot = FleetSnapshot { token: 1, number: 1, ledger: Ledger::default() };
    bus.carry_out(&BusRequest::WriteSnapshot { token: 1, snapshot: snapshot.into() });
    let whole = get(&mut operator, "control");
    let (mut damaged, mut renamed) = (whole.clone(), whole.clone());
    *damaged.last_mut().unwrap() ^= 1;
    // The digits that scripts compare differ from the record.
    renamed[39] = b'9';
    for bytes in [&damaged[..], &renamed, b"", b"x", &whole[..60]] {
        set(&mut operator, "control", bytes);
        let reply = bus.carry_out(&BusRequest::Poll { streams: vec![], ordinals: 1 });
        assert!(matches!(reply, BusReply::Failed), "{reply:?}");
        let error = bus.last_error().unwrap();
        assert!(matches!(error, BusError::Damaged { .. }), "{error}");
        assert_eq!(error.ending(), ExitStatus::Broken);
    }
    let mut kept = get(&mut operator, "snapshot");
    kept[30] ^= 1;
    set(&mut operator, "snapshot", &kept);
    let reply = bus.carry_out(&BusRequest::ReadSnapshot);
    assert!(matches!(reply, BusReply::Failed), "{reply:?}");
    set(&mut operator, "control", &whole);
    assert!(poll(&mut bus, &[]).control.is_some());
}

/// Written with another payload, so its forms have another hash.
#[test]
fn values_of_another_build_are_named_as_such() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
    write_control(&mut bus, None, instance, record(1, 1));
    let mut bytes = get(&mut operator, "control");
    bytes[40 + 6] ^= 1;
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[40..50]);
    bytes[50..54].copy_from_slice(&sum.sum().to_le_bytes());
    set(&mut operator, "control", &bytes);
    assert!(matches!(beat(&mut bus, heartbeat(member(0, 3), 2)), BusReply::Failed));
    let error = bus.last_error().unwrap();
    assert!(matches!(error, BusError::OtherBuild { .. }), "{error}");
}

#[test]
fn stream_is_read_in_parts_and_its_heartbeat_waits_for_the_last() {
    let redis = Redis::start();
    let mut bus = client(&redis);
    let (many, few) = (member(0, 3), member(1, 3));
    for number in 1..=300 {
        append(&mut bus, stream(many), frame(number, number));
    }
    append(&mut bus, stream(few), frame(1, 1));
    beaten(&mut bus, heartbeat(many, 1));
    beaten(&mut bus, heartbeat(few, 1));
    let first = poll(&mut bus, &[(stream(many), 0), (stream(few), 0)]);
    assert_eq!(first.frames.len(), 257);
    assert_eq!(first.heartbeats, [heartbeat(few, 1)]);
    let second = poll(&mut bus, &[(stream(many), 256), (stream(few), 1)]);
    assert_eq!(second.frames.len(), 44);
    assert_eq!(second.heartbeats, [heartbeat(many, 1), heartbeat(few, 1)]);
    // Once it was read, the former heartbeat stands for one that has to wait.
    for number in 301..=600 {
        append(&mut bus, stream(many), frame(number, number));
    }
    beaten(&mut bus, heartbeat(many, 2));
    let third = poll(&mut bus, &[(stream(many), 300), (stream(few), 1)]);
    assert_eq!((third.frames.len(), &third.heartbeats), (256, &second.heartbeats));
    let fourth = poll(&mut bus, &[(stream(many), 556), (stream(few), 1)]);
    assert_eq!(fourth.heartbeats, [heartbeat(many, 2), heartbeat(few, 1)]);
}

/// Random numbers, so that they cannot be compressed.
fn incompressible(count: usize) -> Sent {
    Sent { indices: (0..count).map(|_| rand::random()).collect(), loses: false }
}

#[test]
fn poll_is_bounded_in_bytes_and_reaches_all_streams() {
    let redis = Redis::start();
    let mut bus = client(&redis);
    let members = [member(0, 3), member(1, 3), member(2, 3)];
    for one in members {
        beaten(&mut bus, heartbeat(one, 1));
        for number in 1..=16 {
            let payload = incompressible(110_000);
            append(&mut bus, stream(one), DeltaFrame { payload, ..frame(number, number) });
        }
    }
    let mut after = [0; 3];
    let mut polls = 0;
    while after != [16; 3] {
        let streams: Vec<_> =
            members.iter().zip(after).map(|(one, after)| (stream(*one), after)).collect();
        let polled = poll(&mut bus, &streams);
        assert!(!polled.frames.is_empty() && polled.frames.len() < 40, "{}", polled.frames.len());
        for (stream, frame) in polled.frames {
            let place = usize::from(stream.member.ordinal.0);
            assert_eq!(frame.last, after[place] + 1);
            after[place] = frame.last;
        }
        let read: Vec<Heartbeat> = polled.heartbeats;
        assert!(read.iter().all(|beat| after[usize::from(beat.ordinal().0)] == 16), "{read:?}");
        polls += 1;
    }
    assert!(polls >= 2, "{polls}");
    // A frame that is longer than the caller permits is not sent at all.
    let payload = incompressible(300_000);
    let reply = append(&mut bus, stream(members[0]), DeltaFrame { payload, ..frame(17, 17) });
    assert!(matches!(reply, BusReply::Failed), "{reply:?}");
    let error = bus.last_error().unwrap();
    assert!(matches!(error, BusError::TooLarge { .. }), "{error}");
}

#[test]
fn other_servers_are_told_apart() {
    let none = BusOptions::default();
    let target = Builtin::start(&[]);
    let error = refused(&format!("redis://{}", target.address()), &none);
    assert!(matches!(error, BusError::OtherServer { .. }), "{error}");
    assert_eq!(error.ending(), ExitStatus::Broken);
    let error = refused(&format!("rediss://{}", target.address()), &none);
    assert!(matches!(error, BusError::Tls { .. }), "{error}");
    target.end();
    // One that accepts and is silent, and none at all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let error = refused(&url, &none).to_string();
    assert!(error.contains("does not answer in time"), "{error}");
    drop(silent);
    let error = refused(&url, &none).to_string();
    assert!(error.contains("onnection refused"), "{error}");
}
