//! One core's part of a run: its starters, its users, its recorder, shed once a second.
//!
//! `engine::start` gives it a thread; worlds run several as tasks under virtual time.
//! Invariant: a delta is never lost: what the channel has no room for is merged into the next.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;

use super::admission_gate::AdmissionGate;
use super::live_schedule::LiveSchedule;
use super::prepared::PreparedFlow;
use super::resilience::ResilienceState;
use super::user_meter::UserMeter;
use super::worker::UserTask;
use super::{RunShared, ShardSetup, TraceRecorder, Variables};
use crate::clock::{self, Time, Timer};
use crate::event::{Order, ShardCommand};
use crate::host;
use crate::plan::data::{Ranks, RowClaim};
use crate::plan::slots::Segment;
use crate::plan::{Address, Load, Plan, Workload};
use crate::stats::stall::TICK_NS;
use crate::stats::{Delta, Gauges, Recorder};
use crate::template::Value;
use crate::units::nanos;
use crate::wire::Wire;

const SECOND_NS: u64 = 1_000_000_000;

/// A shard at work.
pub(super) struct Shard {
    pub(super) plan: Arc<Plan>,
    /// Where each service is.
    pub(super) addresses: Arc<Vec<Address>>,
    pub(super) start: Time,
    /// The same by the wall clock: ms since the epoch.
    pub(super) started_ms: u64,
    pub(super) shared: Arc<RunShared>,
    pub(super) wire: Wire,
    pub(super) recorder: RefCell<Recorder>,
    /// What the client holds back.
    pub(super) resilience: ResilienceState,
    /// By archetype.
    pub(super) flows: Vec<PreparedFlow>,
    /// What the scenario's `setup` left.
    pub(super) globals: Variables,
    /// Where the last user's variables are left, when somebody wants them.
    pub(super) final_variables: Option<Arc<Mutex<Vec<Option<Value>>>>>,
    /// Who looks on, if anybody does.
    pub(super) trace: Option<TraceRecorder>,
    /// By workload, share and draw.
    pub(super) claims: Arc<Vec<Vec<Vec<RowClaim>>>>,
    /// By workload: who is the how-manyeth of its archetype.
    pub(super) ranks: RefCell<Vec<Ranks>>,
    /// Rows taken so far, by workload and user of the closed model.
    pub(super) rows_taken: RefCell<HashMap<(usize, u64), u64>>,
    pub(super) idle_tasks: RefCell<Vec<Rc<UserTask>>>,
    /// Seats whose connections are being opened: they will be free.
    pub(super) prewarming: Cell<u64>,
    /// Rendered bodies pass through it.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// Cut everything now.
    pub(super) cancelled: Rc<Cell<bool>>,
    /// Who may come in.
    pub(super) admission: AdmissionGate,
    /// What is asked, by workload.
    pub(super) schedules: Vec<LiveSchedule>,
    /// Users that should be there and are, by workload.
    pub(super) user_meters: Vec<UserMeter>,
    /// The end of the warm-up, ns after the run's start.
    pub(super) warmup_ns: u64,
    pub(super) segment: Segment,
    pub(super) buffers: RefCell<Vec<Vec<u8>>>,
    pub(super) draining: Cell<bool>,
    /// A task of ours panicked: the shard ends, and says so.
    broken: Cell<bool>,
    /// Starters still at work.
    starters: Cell<usize>,
    /// Users at work.
    users: Cell<u64>,
    /// Told when the last user has gone and no starter is left.
    idle: Notify,
}

/// Tells its shard when the task that holds it panics.
pub(super) struct PanicGuard(Rc<Shard>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.set(true);
            self.0.draining.set(true);
            self.0.cancelled.set(true);
            self.0.idle.notify_one();
        }
    }
}

/// Runs one shard to its end.
///
/// # Errors
/// When a task of it panicked, which is a bug of ours; what happens to requests is data.
pub async fn run(mut setup: ShardSetup, wire: Wire) -> io::Result<()> {
    let deltas = setup.deltas.clone();
    let start = setup.start;
    let (cpu, (waited, turns)) = (clock::thread_cpu_ns(), run_queue());
    let shard = Rc::new(Shard::new(&setup, wire));
    clock::sleep_until(start.before(shard.prewarm_ns())).await;
    shard.begin();

    let mut kept: Option<Delta> = None;
    let alarm = Timer::new();
    for second in 1.. {
        let next_shed = start.after(second * SECOND_NS);
        let over = shard.wait(&mut setup, &alarm, next_shed).await;
        let (now, queued) = (clock::now(), run_queue());
        shard.count_all_users();
        let gauges = Gauges {
            users: shard.users.get(),
            users_peak: shard.shared.peak.load(Relaxed),
            connections: shard.wire.take_peak(),
            cpu_ns: clock::thread_cpu_ns() - cpu,
            run_queue_ns: queued.0.saturating_sub(waited),
            run_queue_waits: queued.1.saturating_sub(turns),
            elapsed_ns: now.since(start),
            ..Gauges::default()
        };
        let mut fresh = shard.recorder.borrow_mut().take_interval(gauges, now);
        shard.resilience.take_interval(&shard.shared.board, &mut fresh, now);
        fresh.addresses = shard.wire.take_addresses();
        let mut delta = match kept.take() {
            None => fresh,
            Some(mut kept) => {
                kept.merge(fresh);
                kept
            }
        };
        delta.last = over;
        if over {
            // The last one waits for room; when nobody listens any more nobody misses it.
            let _ = deltas.send(delta).await;
            return if shard.broken.get() {
                Err(io::Error::other("a task of this shard panicked"))
            } else {
                Ok(())
            };
        }
        match deltas.try_send(delta) {
            Ok(()) => {}
            Err(TrySendError::Full(delta) | TrySendError::Closed(delta)) => kept = Some(delta),
        }
    }
    Ok(())
}

impl Shard {
    fn new(setup: &ShardSetup, wire: Wire) -> Self {
        let plan = Arc::clone(&setup.plan);
        let names = plan.check_names();
        let shape = plan.series_layout();
        let index = setup.segment.shard as usize;
        Self {
            flows: (0..plan.archetypes.len())
                .map(|index| PreparedFlow::new(setup, index, &names))
                .collect(),
            addresses: Arc::clone(&setup.addresses),
            start: setup.start,
            globals: Arc::clone(&setup.globals),
            final_variables: setup.final_variables.clone(),
            trace: setup.trace.clone(),
            claims: Arc::clone(&setup.claims),
            ranks: RefCell::new(ranks(&plan)),
            rows_taken: RefCell::default(),
            started_ms: setup.started_ms,
            shared: Arc::clone(&setup.shared),
            wire,
            resilience: ResilienceState::new(setup),
            recorder: RefCell::new(Recorder::new(shape, index, setup.start)),
            idle_tasks: RefCell::default(),
            prewarming: Cell::default(),
            scratch: RefCell::default(),
            cancelled: Rc::default(),
            admission: AdmissionGate::new(),
            schedules: (plan
                .workloads
                .iter()
                .map(|load| LiveSchedule::new(&plan, load, setup.start)))
            .collect(),
            user_meters: (plan.workloads.iter())
                .map(|load| UserMeter::new(load, setup.segment, setup.start))
                .collect(),
            warmup_ns: nanos(plan.warmup),
            segment: setup.segment,
            buffers: RefCell::default(),
            draining: Cell::new(false),
            broken: Cell::new(false),
            starters: Cell::new(plan.workloads.len()),
            users: Cell::default(),
            idle: Notify::new(),
            plan,
        }
    }

    /// Shows that the event loop runs, for as long as the shard does: a shard with nothing to do
    /// cannot tell a pause of its own from the target's.
    async fn tick(shard: Weak<Self>) {
        let timer = Timer::new();
        loop {
            let now = clock::now();
            let Some(shard) = shard.upgrade() else { return };
            shard.recorder.borrow_mut().loop_runs(now);
            drop(shard);
            timer.wait_until(now.after(TICK_NS)).await;
        }
    }

    fn begin(self: &Rc<Self>) {
        self.recorder.borrow_mut().loop_begins(clock::now());
        tokio::task::spawn_local(Self::tick(Rc::downgrade(self)));
        for index in 0..self.plan.workloads.len() {
            let shard = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let _alarm = Self::panic_guard(&shard);
                match &shard.plan.workloads[index].load {
                    Load::Closed(users) => shard.admit_users(index, users).await,
                    Load::Open(arrivals) => {
                        if shard.prewarm_ns() > 0 {
                            let ahead = Rc::clone(&shard);
                            tokio::task::spawn_local(ahead.prewarm_arrivals(index));
                        }
                        shard.make_starts(index, arrivals).await;
                    }
                }
                shard.starters.set(shard.starters.get() - 1);
                shard.notify_if_idle();
            });
        }
    }

    /// Waits for the next shed; true when the shard has nothing left to do.
    async fn wait(&self, setup: &mut ShardSetup, alarm: &Timer, next_shed: Time) -> bool {
        loop {
            tokio::select! {
                biased;
                command = setup.commands.recv() => match command {
                    Some(command) => self.handle(&command),
                    // Whoever commanded is gone, and with it whoever reads the deltas.
                    None => self.handle(&ShardCommand::Cancel),
                },
                () = self.idle.notified() => return true,
                () = alarm.wait_until(next_shed) => return false,
            }
            if self.cancelled.get() && setup.commands.is_closed() {
                // Its users end at their next turn; wait for that, not for more commands.
                tokio::select! {
                    () = self.idle.notified() => return true,
                    () = alarm.wait_until(next_shed) => return false,
                }
            }
        }
    }

    fn handle(&self, command: &ShardCommand) {
        match command {
            ShardCommand::Drain => self.drain(),
            ShardCommand::Cancel => {
                self.drain();
                self.cancelled.set(true);
            }
            ShardCommand::Order(Order::Admit(least)) => self.admission.admit(*least),
            ShardCommand::Order(Order::PauseAdmission(held)) => self.admission.set_closed(*held),
            ShardCommand::Order(order) => {
                self.resilience.apply(self, order);
                if *order == Order::TrimMemory {
                    self.release_idle();
                }
            }
            ShardCommand::ChangeSchedule(changes) => {
                changes.iter().for_each(|change| self.change_schedule(change))
            }
        }
        // Starters and pausing users look at the world again.
        clock::wake_all();
    }

    /// From now on nothing new begins, and no user is due.
    fn drain(&self) {
        self.count_all_users();
        self.recorder.borrow_mut().load_ends(clock::now().since(self.start));
        self.draining.set(true);
    }

    /// An alarm for a task: dropped by a panic, it ends the shard instead of leaving it waiting for
    /// a user that will never go.
    pub(super) fn panic_guard(shard: &Rc<Self>) -> PanicGuard {
        PanicGuard(Rc::clone(shard))
    }

    /// When a workload's own time begins.
    pub(super) fn zero(&self, workload: &Workload) -> Time {
        self.start + workload.start
    }

    /// Whether nothing new is to begin.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(super) fn enter(&self) {
        self.users.set(self.users.get() + 1);
        let present = self.shared.present.fetch_add(1, Relaxed) + 1;
        self.shared.peak.fetch_max(present, Relaxed);
    }

    pub(super) fn leave(&self) {
        self.users.set(self.users.get() - 1);
        self.shared.present.fetch_sub(1, Relaxed);
        self.notify_if_idle();
    }

    fn notify_if_idle(&self) {
        if self.users.get() == 0 && self.starters.get() == 0 {
            self.idle.notify_one();
        }
    }
}

/// How long this thread has waited for a core, ns, and how often it was given one; under virtual
/// time it never waits.
fn run_queue() -> (u64, u64) {
    if clock::is_virtual() { (0, 0) } else { host::run_queue().unwrap_or_default() }
}

/// The ranks of all workloads; those that deal no rows need no table.
fn ranks(plan: &Plan) -> Vec<Ranks> {
    let deals = |workload: &Workload| {
        let mut kinds = workload.shares.iter().map(|share| &plan.archetypes[share.archetype]);
        kinds.any(|kind| !kind.data.is_empty())
    };
    let ranks = |(index, workload)| {
        if deals(workload) { Ranks::new(plan, index) } else { Ranks::Same }
    };
    plan.workloads.iter().enumerate().map(ranks).collect()
}
