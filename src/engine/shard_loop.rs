//! Runs a shard: begins its starters, carries out commands, and sends a delta once a second.
//!
//! `start` gives it a thread; simulations run several as tasks under virtual time.
//! Invariant: a delta is never lost: if the channel is full, it is merged into the next one.

use std::io;
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::error::TrySendError;

use crate::clock::{self, RunOffset, Time, Timer};
use crate::engine::shard::Shard;
use crate::engine::startup::setup::ShardSetup;
use crate::engine::users::user_meter::UserMeter;
use crate::engine::{adoption, lease_commands, starter, users::worker};
use crate::event::{Order, ShardCommand};
use crate::host;
use crate::ids::WorkloadId;
use crate::stats::stall::TICK_NS;
use crate::stats::{Delta, Gauges};
use crate::trace::trace_event;
use crate::wire::Wire;

const SECOND_NS: u64 = 1_000_000_000;

/// Runs one shard to its end.
///
/// # Errors
/// If a task of the shard panicked, which is a bug; what happens to requests is data.
pub async fn run(mut setup: ShardSetup, wire: Wire) -> io::Result<()> {
    let deltas = setup.deltas.clone();
    let start = setup.start;
    let (cpu_ns, (waited_ns, waits)) = (clock::thread_cpu_ns(), run_queue());
    let shard = Rc::new_cyclic(|itself| Shard::new(&setup, wire, Weak::clone(itself)));
    clock::sleep_until(start.before(shard.prewarm_ns())).await;
    begin(&shard);
    trace_event!(INFO, "shard started");

    let mut unsent: Option<Delta> = None;
    let timer = Timer::new();
    for second in 1.. {
        let next_delta = start.after(second * SECOND_NS);
        let is_over = wait(&shard, &mut setup, &timer, next_delta).await;
        let (now, queue) = (clock::now(), run_queue());
        shard.count_users();
        let streams = shard.streams.total();
        // Its second is the one that ends now.
        let at = RunOffset::of(next_delta.before(1), start);
        shard.streams.record(&mut shard.recorder.borrow_mut(), at);
        shard.backlog.record(&mut shard.recorder.borrow_mut(), at);
        let gauges = Gauges {
            users: shard.lifecycle.users(),
            users_peak: shard.shared.peak.load(Relaxed),
            connections: shard.wire.take_peak(),
            streams: streams.held,
            streams_wanted: streams.wanted,
            cpu_ns: clock::thread_cpu_ns() - cpu_ns,
            run_queue_ns: queue.0.saturating_sub(waited_ns),
            run_queue_waits: queue.1.saturating_sub(waits),
            elapsed_ns: now.since(start),
            ..Gauges::default()
        };
        let mut fresh = shard.recorder.borrow_mut().take_interval(gauges, now);
        shard.resilience.take_interval(&shard.shared.board, &mut fresh, now);
        fresh.addresses = shard.wire.take_addresses();
        let mut delta = match unsent.take() {
            None => fresh,
            Some(mut unsent) => {
                unsent.merge(fresh);
                unsent
            }
        };
        delta.last = is_over;
        trace_event!(
            DEBUG,
            "interval flushed",
            second = second,
            users = shard.lifecycle.users(),
            is_last = is_over,
        );
        if is_over {
            // The last delta waits for room. An error means that the dispatcher is gone, and with
            // it the reader of this delta.
            let _ = deltas.send(delta).await;
            trace_event!(INFO, "shard stopped");
            return if shard.lifecycle.is_broken() {
                Err(io::Error::other("a user task panicked, a bug in Manada; please report it"))
            } else {
                Ok(())
            };
        }
        match deltas.try_send(delta) {
            Ok(()) => {}
            Err(TrySendError::Full(delta) | TrySendError::Closed(delta)) => unsent = Some(delta),
        }
    }
    Ok(())
}

/// Begins the tasks of a shard: its tick, and a starter for each workload.
fn begin(shard: &Rc<Shard>) {
    shard.recorder.borrow_mut().begin_loop(clock::now());
    tokio::task::spawn_local(tick(Rc::downgrade(shard)));
    for id in WorkloadId::first(shard.plan.workloads.len()) {
        let shard = Rc::clone(shard);
        tokio::task::spawn_local(async move {
            let _guard = shard.lifecycle.panic_guard();
            starter::run(&shard, id).await;
            shard.schedules[id].starter_ended();
            shard.lifecycle.starter_ended();
        });
    }
}

/// Shows that the event loop runs, for as long as the shard does: a shard without work cannot tell
/// a pause of its own from one of the target.
async fn tick(shard: Weak<Shard>) {
    let timer = Timer::new();
    let mut due = clock::now();
    loop {
        let now = clock::now();
        let Some(shard) = shard.upgrade() else { return };
        let at = RunOffset::of(now, shard.start);
        shard.recorder.borrow_mut().note_loop(now, at, now.since(due));
        drop(shard);
        due = now.after(TICK_NS);
        timer.wait_until(due).await;
    }
}

/// Carries out commands until the next delta is due (`false`) or the shard is idle (`true`).
async fn wait(shard: &Rc<Shard>, setup: &mut ShardSetup, timer: &Timer, next_delta: Time) -> bool {
    let lifecycle = &shard.lifecycle;
    loop {
        tokio::select! {
            biased;
            command = setup.commands.recv() => match command {
                Some(command) => handle(shard, &command),
                // The dispatcher is gone, and with it the reader of the deltas.
                None => handle(shard, &ShardCommand::Cancel),
            },
            () = lifecycle.idle() => return true,
            () = timer.wait_until(next_delta) => return false,
        }
        if lifecycle.is_cancelled() && setup.commands.is_closed() {
            // Users end at their next poll; wait for that, not for more commands.
            tokio::select! {
                () = lifecycle.idle() => return true,
                () = timer.wait_until(next_delta) => return false,
            }
        }
    }
}

fn handle(shard: &Rc<Shard>, command: &ShardCommand) {
    match command {
        ShardCommand::Drain => drain(shard),
        ShardCommand::Cancel => {
            drain(shard);
            shard.lifecycle.cancel();
        }
        ShardCommand::Order(Order::Admit(least)) => {
            shard.admission.set_least(*least, clock::now());
        }
        ShardCommand::Order(Order::PauseAdmission(paused)) => {
            shard.admission.set_closed(*paused, clock::now());
        }
        ShardCommand::Order(order) => {
            shard.resilience.apply(shard, order);
            if *order == Order::TrimMemory {
                worker::release_idle(shard);
            }
        }
        ShardCommand::ChangeSchedule(changes) => {
            changes.iter().for_each(|change| starter::change_schedule(shard, change));
        }
        ShardCommand::Adopt(adoption) => {
            if let Some(owned) = adoption.of(shard.segment.shard) {
                adoption::adopt(shard, &owned);
            }
        }
        ShardCommand::Lease(granted) => lease_commands::grant(shard, granted),
        ShardCommand::Release(from) => lease_commands::release(shard, *from),
    }
    // Starters and users that wait look at the state of the shard again.
    clock::wake_all();
}

/// Begins nothing new from now on; the load asks for no user any more.
fn drain(shard: &Shard) {
    if let Some(granted) = shard.lease.granted() {
        let count = |meter: &UserMeter| meter.count_without_lease(&shard.recorder, granted.until);
        shard.user_meters.iter().for_each(count);
    }
    shard.lease.end();
    shard.count_users();
    shard.recorder.borrow_mut().end_load(RunOffset::of(clock::now(), shard.start));
    shard.lifecycle.drain();
}

/// How long this thread has waited for a core, ns, and how often it was given one; zeros under
/// virtual time.
fn run_queue() -> (u64, u64) {
    if clock::is_virtual() { (0, 0) } else { host::run_queue().unwrap_or_default() }
}
