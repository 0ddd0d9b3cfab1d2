//! A world for tests: schedulers of several machines with one store, under virtual time.
//!
//! `world_tests` asks what started.
//! Invariant: a world is a function of its seed; the store of the model has the rules of the
//! stores, with a clock of its own.

use std::cell::RefCell;
use std::rc::Rc;

use rand::RngExt;

use super::lease::{LeaseKeeper, LeaseState};
use super::machine::{JobMachine, JobStep, MISSED_AFTER};
use super::store::{Acquired, Claim};
use crate::clock::Time;
use crate::seed::{Rng, Seed, Stream};
use crate::timetable::{OverlapPolicy, ScheduledJob, TimeSlot};

/// The lease of the model, ms.
pub(super) const LEASE: u64 = 6_000;

/// What happened to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotEvent {
    Started {
        machine: usize,
        at: u64,
        token: u64,
    },
    Ended {
        at: u64,
    },
    Skipped,
    Lost,
    Missed(u64),
    /// A machine whose lease had ended tried to write.
    Refused,
}

/// The store: a lease that ends by its clock.
#[derive(Debug, Default)]
pub(super) struct ModelStore {
    token: u64,
    slot: Option<TimeSlot>,
    holder: Option<(u64, u64)>,
    running: Option<TimeSlot>,
    pub(super) is_down: bool,
    pub(super) events: Vec<(TimeSlot, SlotEvent)>,
}

impl ModelStore {
    fn expire(&mut self, now: u64) {
        self.holder = self.holder.filter(|(_, until)| *until > now);
    }

    fn acquire(&mut self, slot: TimeSlot, due_ms: u64, now: u64) -> Option<Acquired> {
        self.expire(now);
        if self.is_down {
            return None;
        }
        if self.slot.is_some_and(|last| last >= slot) {
            return Some(Acquired::Taken);
        }
        if due_ms > now {
            return Some(Acquired::Early { ms: due_ms - now });
        }
        if self.holder.is_some() {
            return Some(Acquired::Busy { by: String::new() });
        }
        if let Some(lost) = self.running.take() {
            self.events.push((lost, SlotEvent::Lost));
        }
        self.token += 1;
        (self.slot, self.running) = (Some(slot), Some(slot));
        self.holder = Some((self.token, now + LEASE));
        Some(Acquired::Held(Claim { token: self.token, former: None, lost: None }))
    }

    /// Does something under a token; `None`: the store is down.
    fn with(&mut self, token: u64, now: u64, what: impl FnOnce(&mut Self)) -> Option<bool> {
        self.expire(now);
        if self.is_down {
            return None;
        }
        let is_held = self.holder.is_some_and(|(held, _)| held == token);
        if is_held {
            what(self);
        }
        Some(is_held)
    }
}

/// A scheduler of the world.
pub(super) struct ModelScheduler {
    machine: Option<JobMachine>,
    run: Option<ModelRun>,
    /// By how much its wall clock is ahead, ms.
    pub(super) skew: i64,
    /// Whether it takes part: killed or stopped schedulers do not.
    pub(super) is_alive: bool,
    pub(super) is_paused: bool,
    store: Rc<RefCell<ModelStore>>,
}

struct ModelRun {
    slot: TimeSlot,
    token: u64,
    ends_at: u64,
    lease: LeaseKeeper,
    is_replaced: bool,
}

/// The world.
pub(super) struct ScheduleWorld {
    pub(super) now: u64,
    pub(super) job: ScheduledJob,
    pub(super) store: Rc<RefCell<ModelStore>>,
    pub(super) schedulers: Vec<ModelScheduler>,
    /// How long a run takes, ms: at least and at most.
    pub(super) run_ms: (u64, u64),
    /// How long a run that is asked to end goes on, ms.
    pub(super) grace_ms: u64,
    pub(super) rng: Rng,
}

impl ScheduleWorld {
    pub(super) fn new(job: ScheduledJob, schedulers: usize, seed: u64) -> Self {
        let store = Rc::new(RefCell::new(ModelStore::default()));
        let scheduler = |_| ModelScheduler {
            machine: None,
            run: None,
            skew: 0,
            is_alive: true,
            is_paused: false,
            store: Rc::clone(&store),
        };
        Self {
            now: 1_800_000_000_000,
            job,
            schedulers: (0..schedulers).map(scheduler).collect(),
            store,
            run_ms: (500, 500),
            grace_ms: 300,
            rng: Seed::new(seed).unwrap().rng(Stream::World, 0, 0),
        }
    }

    /// Lets time pass; each scheduler looks each 200 ms.
    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now += 200;
            for at in 0..self.schedulers.len() {
                let duration = self.rng.random_range(self.run_ms.0..=self.run_ms.1);
                let scheduler = &mut self.schedulers[at];
                if scheduler.is_alive && !scheduler.is_paused {
                    scheduler.look(at, &self.job, self.now, duration, self.grace_ms);
                }
            }
        }
    }

    /// Kills a scheduler: its run dies with it.
    pub(super) fn kill(&mut self, at: usize) {
        let scheduler = &mut self.schedulers[at];
        (scheduler.is_alive, scheduler.run, scheduler.machine) = (false, None, None);
    }

    /// Starts a scheduler again.
    pub(super) fn restart(&mut self, at: usize) {
        self.schedulers[at].is_alive = true;
    }

    /// The slots that started, in the order of their starts.
    pub(super) fn started(&self) -> Vec<TimeSlot> {
        let is_start = |event: &SlotEvent| matches!(event, SlotEvent::Started { .. });
        self.of(is_start)
    }

    /// The slots of some events.
    pub(super) fn of(&self, is_one: impl Fn(&SlotEvent) -> bool) -> Vec<TimeSlot> {
        let store = self.store.borrow();
        store.events.iter().filter(|(_, event)| is_one(event)).map(|(slot, _)| *slot).collect()
    }

    /// Checks what holds in each world: no slot starts twice, slots and tokens rise, and no two
    /// runs of the job overlap.
    pub(super) fn check(&self) {
        let store = self.store.borrow();
        let (mut last, mut last_token, mut open) = (None, 0, None);
        for (slot, event) in &store.events {
            match event {
                SlotEvent::Started { token, at, .. } => {
                    assert!(last.is_none_or(|last| last < *slot), "{slot:?} after {last:?}");
                    assert!(*token > last_token, "tokens rise");
                    assert!(self.job.due_ms(*slot) <= *at, "before it is due");
                    assert_eq!(open, None, "{slot:?} starts while another run goes on");
                    (last, last_token, open) = (Some(*slot), *token, Some(*slot));
                }
                SlotEvent::Ended { .. } | SlotEvent::Lost if open == Some(*slot) => open = None,
                _ => {}
            }
        }
    }
}

impl ModelScheduler {
    /// Whether its run goes on.
    pub(super) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    fn look(&mut self, own: usize, job: &ScheduledJob, now: u64, duration: u64, grace: u64) {
        let store = Rc::clone(&self.store);
        self.keep_run(now, grace);
        let wall = now.saturating_add_signed(self.skew);
        if self.machine.is_none() {
            let store = store.borrow();
            if store.is_down {
                return;
            }
            self.machine = Some(JobMachine::new(store.slot, wall));
        }
        let Some(machine) = &mut self.machine else { return };
        for step in machine.look(job, wall, LEASE + MISSED_AFTER) {
            let mut store = store.borrow_mut();
            match step {
                JobStep::Start(slot) => {
                    let acquired = store.acquire(slot, job.due_ms(slot), now);
                    machine.answered(acquired.as_ref());
                    if let Some(Acquired::Held(claim)) = acquired {
                        let token = claim.token;
                        let event = SlotEvent::Started { machine: own, at: now, token };
                        store.events.push((slot, event));
                        let lease = std::time::Duration::from_millis(LEASE);
                        let lease = LeaseKeeper::new(Some(lease), Time(now * 1_000_000));
                        let ends_at = now + duration;
                        self.run =
                            Some(ModelRun { slot, token, ends_at, lease, is_replaced: false });
                    }
                }
                JobStep::Skip(slot) => {
                    if let Some(run) = &self.run {
                        let _ = store.with(run.token, now, |store| {
                            if job.overlap == OverlapPolicy::Skip {
                                store.slot = store.slot.max(Some(slot));
                            }
                            store.events.push((slot, SlotEvent::Skipped));
                        });
                    }
                }
                JobStep::Replace(_) => {
                    if let Some(run) = &mut self.run {
                        run.ends_at = run.ends_at.min(now + grace);
                        run.is_replaced = true;
                    }
                }
                JobStep::Missed(count, last) => {
                    store.events.push((last, SlotEvent::Missed(count)));
                }
            }
        }
    }

    /// Renews the lease of its run, and ends it.
    fn keep_run(&mut self, now: u64, grace: u64) {
        let Some(run) = &mut self.run else { return };
        let time = Time(now * 1_000_000);
        let mut store = self.store.borrow_mut();
        if run.lease.is_due(time) {
            let until = now + LEASE;
            let held = store.with(run.token, now, |store| store.holder = Some((run.token, until)));
            run.lease.answered(time, held);
        }
        match run.lease.state(time) {
            LeaseState::Over => run.ends_at = now,
            LeaseState::Ending => run.ends_at = run.ends_at.min(now + grace),
            LeaseState::Valid => {}
        }
        if now < run.ends_at {
            return;
        }
        let slot = run.slot;
        let ended = store.with(run.token, now, |store| {
            store.events.push((slot, SlotEvent::Ended { at: now }));
            (store.running, store.holder) = (None, None);
        });
        match ended {
            // It is written as long as the lease may last.
            None if run.lease.state(time) != LeaseState::Over => return,
            Some(true) | None => {}
            Some(false) => store.events.push((slot, SlotEvent::Refused)),
        }
        self.run = None;
        if let Some(machine) = &mut self.machine {
            machine.ended();
        }
    }
}
