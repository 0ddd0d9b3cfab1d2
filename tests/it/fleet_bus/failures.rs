//! Servers that forget, restart, have no memory, pause, or close connections.

use manada::fleet::protocol::{BusReply, BusRequest, Ordinal, Revision};

use super::*;

const WRITTEN: Option<Revision> = Some(Revision { token: 1, number: 1 });

/// Sends heartbeats until one succeeds; returns its beat and the reply.
fn beat_again(client: &mut Client, from: u64) -> (u64, Option<Revision>, u64) {
    let mut beat_number = from;
    let mut reply = BusReply::Failed;
    wait_until("a heartbeat succeeds", || {
        beat_number += 1;
        reply = beat(client, heartbeat(member(0, 3), beat_number));
        !matches!(reply, BusReply::Failed)
    });
    match reply {
        BusReply::Beat { control, instance, .. } => {
            (beat_number, control.map(|record| record.revision), instance)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bus_that_was_flushed_has_nothing_and_is_the_same_instance() {
    let redis = Redis::start();
    let mut bus = client(&redis);
    let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
    assert!(matches!(write_control(&mut bus, None, instance, record(1, 1)), BusReply::Written));
    assert_eq!(beaten(&mut bus, heartbeat(member(0, 3), 2)), (WRITTEN, instance));
    run::<()>(&mut operator(&redis), "FLUSHALL");
    let polled = poll(&mut bus, &[(stream(member(0, 3)), 0)]);
    assert_eq!((polled.instance, polled.control, polled.heartbeats), (instance, None, vec![]));
    assert_eq!(beaten(&mut bus, heartbeat(member(0, 3), 3)), (None, instance));
}

#[test]
fn restarted_bus_is_another_instance_with_what_it_kept() {
    for keeps in [false, true] {
        let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut redis = Redis::with(if keeps { &arguments } else { &[] });
        let mut bus = client(&redis);
        let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
        assert!(matches!(write_control(&mut bus, None, instance, record(1, 1)), BusReply::Written));
        append(&mut bus, stream(member(0, 3)), frame(1, 1));
        redis.restart();
        // The connection was lost: the first request fails, and tells why.
        assert!(matches!(beat(&mut bus, heartbeat(member(0, 3), 2)), BusReply::Failed));
        let error = bus.last_error().unwrap().to_string();
        assert!(error.contains("cannot be reached"), "{error}");
        let (_, found, another) = beat_again(&mut bus, 2);
        assert_ne!(another, instance);
        assert_eq!(found, WRITTEN.filter(|_| keeps));
        assert_eq!(poll(&mut bus, &[(stream(member(0, 3)), 0)]).frames.len(), usize::from(keeps));
        // Conditions that were read from the instance before do not hold.
        let reply = write_control(&mut bus, found, instance, record(1, 2));
        assert!(matches!(reply, BusReply::Refused), "{reply:?}");
        let reply = write_control(&mut bus, found, another, record(1, 2));
        assert!(matches!(reply, BusReply::Written), "{reply:?}");
    }
}

#[test]
fn bus_without_memory_refuses_heartbeats_as_a_whole_and_is_read_still() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    let (_, instance) = beaten(&mut bus, heartbeat(member(0, 3), 1));
    write_control(&mut bus, None, instance, record(1, 1));
    run::<()>(&mut operator, "CONFIG SET maxmemory-policy noeviction");
    run::<()>(&mut operator, "CONFIG SET maxmemory 1");
    let state = model_state();
    let requests = [
        BusRequest::Beat { heartbeat: heartbeat(member(0, 3), 2) },
        BusRequest::Join { after: None, heartbeat: heartbeat(member(1, 3), 2) },
        BusRequest::Append { stream: stream(member(0, 3)), frame: frame(1, 1) },
        BusRequest::WriteFinal { member: member(0, 3), state },
        // A transaction, which needs memory to be queued; a process could not join anyway.
        BusRequest::Look { ordinal: Ordinal(0) },
    ];
    for request in requests {
        assert!(matches!(bus.carry_out(&request), BusReply::Failed), "{request:?}");
        let error = bus.last_error().unwrap().to_string();
        assert!(error.contains("OOM") && error.contains("more memory"), "{error}");
    }
    let reply = write_control(&mut bus, WRITTEN, instance, record(1, 2));
    assert!(matches!(reply, BusReply::Failed), "{reply:?}");
    // Nothing of them was written, and the coordinator still reads what is there.
    let polled = poll(&mut bus, &[(stream(member(0, 3)), 0)]);
    assert_eq!(polled.control.map(|record| record.revision), WRITTEN);
    assert_eq!(polled.heartbeats, [heartbeat(member(0, 3), 1)]);
    assert!(polled.frames.is_empty() && polled.finals.is_empty());
    run::<()>(&mut operator, "CONFIG SET maxmemory 0");
    assert_eq!(beaten(&mut bus, heartbeat(member(0, 3), 2)), (WRITTEN, instance));
}

fn model_state() -> manada::fleet::protocol::FinalState<Sent> {
    manada::fleet::protocol::FinalState { intervals: 1, until: RunOffset::ZERO, sum: vec![1] }
}

#[test]
fn paused_bus_fails_requests_in_time_and_goes_on_afterwards() {
    let redis = Redis::start();
    let mut bus = Client::open(&address(&url(&redis)), RUN, HASTY).unwrap();
    let mut operator = operator(&redis);
    beat_again(&mut bus, 0);
    run::<()>(&mut operator, "CLIENT PAUSE 600000 WRITE");
    assert!(matches!(beat(&mut bus, heartbeat(member(0, 3), 1_000)), BusReply::Failed));
    let error = bus.last_error().unwrap().to_string();
    assert!(error.contains("does not answer in time"), "{error}");
    run::<()>(&mut operator, "CLIENT UNPAUSE");
    let (last, ..) = beat_again(&mut bus, 2_000);
    let polled = poll(&mut bus, &[]);
    assert_eq!(polled.heartbeats, [heartbeat(member(0, 3), last)]);
}

#[test]
fn lost_connection_fails_one_request_and_is_opened_again() {
    let redis = Redis::start();
    let (mut bus, mut operator) = (client(&redis), operator(&redis));
    beaten(&mut bus, heartbeat(member(0, 3), 1));
    run::<u32>(&mut operator, "CLIENT KILL TYPE normal SKIPME yes");
    assert!(matches!(beat(&mut bus, heartbeat(member(0, 3), 2)), BusReply::Failed));
    let error = bus.last_error().unwrap().to_string();
    assert!(error.contains("closed the connection"), "{error}");
    beat_again(&mut bus, 2);
}
