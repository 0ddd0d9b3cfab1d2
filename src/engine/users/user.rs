//! One virtual user: its identity, and the memory that it reuses from the users before it.
//!
//! `identity` gives it an identity; `iteration` runs it through its flow.
//! Invariant: its content follows from (seed, stream, its number) alone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rand::{RngExt, SeedableRng};

use crate::clock::Time;
use crate::curve::Distribution;
use crate::engine::iterations::cache_fill::CacheFill;
use crate::engine::shard::Shard;
use crate::engine::startup::numbering::IterationItem;
use crate::engine::streams::UserStreams;
use crate::engine::users::transaction_state::TransactionState;
use crate::ids::{ArchetypeId, GroupId, ServiceId, StepId, WorkloadId};
use crate::plan::flow::Session;
use crate::plan::transport::LinkProfile;
use crate::resilience::RateLimiter;
use crate::seed::{Rng, Seed, Stream};
use crate::stats::call_record::EarlierAttempt;
use crate::template::{MAX_ITERATION_WORK, RenderScope, Value};
use crate::units::nanos;
use crate::wire::cookie::jar::CookieJar;
use crate::wire::{CallDeadline, ConnectionSlot, EmulatedLink, Wire};

/// The shortest and the longest wait after a call that got no response, ns.
const BACKOFF_NS: (u32, u32) = (100_000_000, 1_000_000_000);

/// The seed of a generator that draws nothing that is used.
const UNUSED: Seed = Seed::ZERO;

/// A virtual user.
#[derive(Debug)]
pub(crate) struct User {
    /// Workload of the user.
    pub(crate) workload: WorkloadId,
    /// Archetype of the user.
    pub(crate) archetype: ArchetypeId,
    /// The number of the user (closed model; a later session adds the size of the population) or of
    /// the arrival (open model).
    pub(crate) number: u64,
    /// The number of the iteration among those of the user.
    pub(crate) iteration: u64,
    /// The number of the user's item over the whole run: user, arrival, or iteration of a workload
    /// that a count ends.
    pub(crate) item: u64,
    /// The key of the iteration, from which its content, its ids and its sampling follow.
    pub(crate) key: u64,
    /// The random generator of this iteration.
    pub(crate) rng: Rng,
    /// Variables of the user by slot.
    pub(crate) variables: Vec<Option<Value>>,
    /// Connection of the user to each service.
    pub(crate) slots: Vec<ConnectionSlot>,
    /// Cookies of the user; `None` until a response sets one. Parallel branches share them.
    pub(crate) jar: Option<Rc<RefCell<CookieJar>>>,
    /// The deadline of the user's waits.
    pub(crate) deadline: CallDeadline,
    /// Own rate limit of the user; parallel branches share it.
    pub(crate) limiter: Option<Rc<RateLimiter>>,
    /// State that only some flows need.
    pub(crate) extras: Option<Box<UserExtras>>,
    /// The first series and the first group of the archetype.
    pub(crate) first_step: StepId,
    pub(crate) first_group: GroupId,
    /// At most [`BACKOFF_NS`].
    backoff_ns: u32,
    /// The work that expressions may still do in this iteration.
    pub(crate) work: u32,
}

/// State that only some flows need; boxed, so that other users take no room for it.
#[derive(Debug, Default)]
pub(crate) struct UserExtras {
    /// Rounds left, by loop.
    pub(crate) counters: Vec<u64>,
    /// The groups that have begun and not ended.
    pub(crate) groups: Vec<OpenGroup>,
    /// Emulated link of the user; `None` if it uses the network of this machine.
    pub(crate) emulated_link: Option<Rc<EmulatedLink>>,
    /// The user's own connection to the service of a call that uses a pool's connection meanwhile.
    pub(crate) own_slot: Option<Box<ConnectionSlot>>,
    /// The users that make the parallel calls, each with connections of its own.
    pub(crate) branches: Vec<User>,
    /// The user's streams.
    pub(crate) streams: UserStreams,
    /// The entry of a cache that the user fills.
    pub(crate) filling: Option<CacheFill>,
    /// The transaction that it has begun.
    pub(crate) transaction: Option<Box<TransactionState>>,
    /// The attempts of the current call before its last one, if calls are kept one by one.
    pub(crate) earlier_attempts: Vec<EarlierAttempt>,
}

/// What a copy of a user is made from; it shares the user's cookies, limit, link and hard end.
#[derive(Debug)]
pub(crate) struct UserSnapshot {
    workload: WorkloadId,
    archetype: ArchetypeId,
    number: u64,
    iteration: u64,
    item: u64,
    key: u64,
    work: u32,
    first_step: StepId,
    first_group: GroupId,
    jar: Rc<RefCell<CookieJar>>,
    limiter: Option<Rc<RateLimiter>>,
    link: Option<Rc<EmulatedLink>>,
    /// The seed of the copy's random generator.
    draw: u64,
    hard_end: Rc<Cell<Time>>,
}

/// A group that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenGroup {
    /// The number of the group within the archetype.
    pub(crate) id: u16,
    /// When the first call of the group was intended.
    pub(crate) intended: Time,
    /// The think time of the iteration before it, ns.
    pub(crate) thought_ns: u64,
    /// The calls of the iteration before it.
    pub(crate) calls: u32,
}

impl User {
    /// A user without an identity.
    pub(crate) fn new(shard: &Shard) -> Self {
        Self {
            workload: WorkloadId::default(),
            archetype: ArchetypeId::default(),
            number: 0,
            iteration: 0,
            item: 0,
            key: 0,
            rng: UNUSED.rng(Stream::Content, 0, 0),
            variables: Vec::new(),
            slots: shard.plan.services.iter().map(|_| shard.wire.new_slot()).collect(),
            jar: None,
            deadline: CallDeadline::new(shard.lifecycle.cancelled_flag()),
            limiter: None,
            extras: None,
            first_step: StepId::default(),
            first_group: GroupId::default(),
            backoff_ns: 0,
            work: MAX_ITERATION_WORK,
        }
    }

    /// Begins an iteration: sets its number and the random generator of its content.
    pub(crate) fn begin(&mut self, seed: Seed, iteration: u64, item: IterationItem) {
        self.iteration = iteration;
        let (part, index) = match item {
            // The workload and the kind of numbering in the high bits: no two items share a key.
            IterationItem::Iteration(number) => {
                ((self.workload.index() as u64) << 48 | 1 << 47, number)
            }
            IterationItem::Of(number) => ((self.workload.index() as u64) << 48 | number, iteration),
        };
        self.item = match item {
            IterationItem::Iteration(number) | IterationItem::Of(number) => number,
        };
        self.key = seed.key(Stream::Content, part, index);
        self.rng = Rng::seed_from_u64(self.key);
        self.work = MAX_ITERATION_WORK;
    }

    /// Draws the length of the user's session: ns, and iterations.
    pub(crate) fn session(&mut self, shard: &Shard) -> (u64, u64) {
        match &shard.plan.archetypes[self.archetype].session {
            Session::Endless => (u64::MAX, u64::MAX),
            Session::Iterations(count) => (u64::MAX, *count),
            Session::Duration(distribution) => {
                // A stream apart from the one of its variables.
                let mut rng = shard.plan.seed.rng(
                    Stream::User,
                    self.workload.index() as u64 | 1 << 47,
                    self.number,
                );
                (nanos(distribution.sample(&mut rng)), u64::MAX)
            }
        }
    }

    /// Returns the random generator for values that are drawn once per user.
    pub(crate) fn own_rng(&self, seed: Seed) -> Rng {
        seed.rng(Stream::User, self.workload.index() as u64, self.number)
    }

    /// Returns the values that a template can read at the intended time `at`.
    pub(crate) fn scope<'a>(&'a mut self, shard: &'a Shard, at: Time) -> RenderScope<'a> {
        let place = (self.archetype, at);
        let numbers = (self.number, self.iteration);
        shard.scope(place, numbers, (&self.variables, &mut self.rng, &mut self.work))
    }

    /// The series that has number `series` in its archetype.
    pub(crate) fn step(&self, series: u16) -> StepId {
        StepId::new(self.first_step.index() + usize::from(series))
    }

    /// The group that has number `group` in its archetype.
    pub(crate) fn group(&self, group: u16) -> GroupId {
        GroupId::new(self.first_group.index() + usize::from(group))
    }

    /// What a copy of the user needs to be made: now or later, without this user.
    pub(crate) fn snapshot(&mut self) -> UserSnapshot {
        UserSnapshot {
            workload: self.workload,
            archetype: self.archetype,
            number: self.number,
            iteration: self.iteration,
            item: self.item,
            key: self.key,
            work: self.work,
            first_step: self.first_step,
            first_group: self.first_group,
            jar: Rc::clone(self.jar.get_or_insert_default()),
            limiter: self.limiter.clone(),
            link: self.link(),
            draw: self.rng.random(),
            hard_end: self.deadline.end_cell(),
        }
    }

    /// Becomes a copy of a user, with connections of its own; its variables are the caller's to
    /// copy.
    pub(crate) fn become_copy(&mut self, of: UserSnapshot) {
        self.workload = of.workload;
        self.archetype = of.archetype;
        self.number = of.number;
        self.iteration = of.iteration;
        self.item = of.item;
        self.key = of.key;
        self.work = of.work;
        self.first_step = of.first_step;
        self.first_group = of.first_group;
        self.jar = Some(of.jar);
        self.limiter = of.limiter;
        self.rng = Rng::seed_from_u64(of.draw);
        if let Some(link) = of.link {
            self.extras().emulated_link = Some(link);
        }
        self.deadline.share_end(of.hard_end);
    }

    /// Emulated link of the user; `None` if it uses the network of this machine.
    pub(crate) fn link(&self) -> Option<Rc<EmulatedLink>> {
        self.extras.as_ref()?.emulated_link.clone()
    }

    /// Whether the user has an emulated link.
    #[inline]
    pub(crate) fn has_emulated_link(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.emulated_link.is_some())
    }

    /// Uses this link from now on, and closes connections that were made over another.
    pub(crate) fn set_link(&mut self, link: Option<LinkProfile>) {
        let before = self.link().map(|emulated| emulated.profile());
        if before != link {
            self.close_connections();
        }
        if before.is_some() || link.is_some() {
            self.extras().emulated_link = link.map(|link| Rc::new(EmulatedLink::new(link)));
        }
    }

    /// Returns the state that only some flows need.
    pub(crate) fn extras(&mut self) -> &mut UserExtras {
        self.extras.get_or_insert_default()
    }

    /// The rounds left in a loop.
    pub(crate) fn rounds(&mut self, counter: usize) -> &mut u64 {
        let counters = &mut self.extras().counters;
        if counters.len() <= counter {
            counters.resize(counter + 1, 0);
        }
        &mut counters[counter]
    }

    /// Uses a pool's slot for a service until `return_leased`; keeps the user's own connection.
    pub(crate) fn use_leased(&mut self, service: ServiceId, leased: ConnectionSlot) {
        let own = std::mem::replace(&mut self.slots[service], leased);
        if own.is_open() {
            self.extras().own_slot = Some(Box::new(own));
        }
    }

    /// Returns the pool's slot for a service, and uses the user's own again.
    pub(crate) fn return_leased(&mut self, service: ServiceId, wire: &Wire) -> ConnectionSlot {
        let own = self.extras.as_mut().and_then(|extras| extras.own_slot.take());
        let own = own.map_or_else(|| wire.new_slot(), |own| *own);
        std::mem::replace(&mut self.slots[service], own)
    }

    /// Keeps the pool's slot for the transaction that is open on it; `false` if none is.
    pub(crate) fn keep_lease(&mut self, service: ServiceId) -> bool {
        let is_open = self.slots[service].has_open_transaction();
        let state = self.extras.as_mut().and_then(|extras| extras.transaction.as_mut());
        let Some(state) = state.filter(|_| is_open) else { return false };
        state.holds_lease = true;
        true
    }

    /// Takes the slot that it keeps for a transaction; `false` if it keeps none.
    pub(crate) fn take_kept_lease(&mut self) -> bool {
        let state = self.extras.as_mut().and_then(|extras| extras.transaction.as_mut());
        state.is_some_and(|state| std::mem::take(&mut state.holds_lease))
    }

    /// Closes the connections of the user and of its parallel branches.
    pub(crate) fn close_connections(&mut self) {
        self.slots.iter_mut().for_each(ConnectionSlot::close);
        if let Some(extras) = &mut self.extras {
            extras.own_slot = None;
            extras.branches.clear();
        }
    }

    /// Closes connections on which an iteration has left a transaction open.
    pub(crate) fn close_open_transactions(&mut self) {
        self.slots.iter_mut().for_each(ConnectionSlot::close_open_transaction);
    }

    /// Draws a wait, ns; 0 without a distribution.
    pub(crate) fn draw(&mut self, distribution: Option<&Distribution>) -> u64 {
        distribution.map_or(0, |distribution| nanos(distribution.sample(&mut self.rng)))
    }

    /// How long to wait after a call, ns, so that a target without responses is not hammered. The
    /// wait is not a think time: it is part of the iteration.
    pub(crate) fn back_off_after(&mut self, responded: bool) -> u64 {
        self.backoff_ns =
            if responded { 0 } else { (self.backoff_ns * 2).clamp(BACKOFF_NS.0, BACKOFF_NS.1) };
        self.backoff_ns()
    }

    /// How long this user waits after calls without a response, ns; 0 after a response.
    pub(crate) fn backoff_ns(&self) -> u64 {
        u64::from(self.backoff_ns)
    }

    /// Forgets the waits after calls of the user before.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff_ns = 0;
    }
}
