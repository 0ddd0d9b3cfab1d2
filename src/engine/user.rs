//! One virtual user: an identity for now, and the memory it reuses from earlier ones.
//!
//! A seat gives it an identity; `walk` leads it through its flow.
//! Invariant: what it plans follows from (seed, stream, its number) alone.

use std::sync::atomic::Ordering::Relaxed;

use std::cell::RefCell;
use std::rc::Rc;

use super::rows::OutOfRows;
use super::shard::Shard;
use crate::clock::Time;
use crate::curve::Distribution;
use crate::plan::Load;
use crate::plan::flow::Session;
use crate::plan::transport::LinkProfile;
use crate::resilience::RateLimiter;
use crate::seed::{Rng, Seed, Stream};
use crate::template::{MAX_ITERATION_WORK, RenderScope, Value};
use crate::units::nanos;
use crate::wire::cookie_jar::CookieJar;
use crate::wire::{CallDeadline, ConnectionSlot, EmulatedLink};

/// The shortest wait after a call that got no answer, and the longest it grows to.
const BACKOFF_NS: (u64, u64) = (100_000_000, 1_000_000_000);

/// A user.
#[derive(Debug)]
pub(super) struct User {
    /// Its workload.
    pub(super) workload: usize,
    /// Index into `Plan::archetypes`.
    pub(super) archetype: usize,
    /// Its number: of the user (closed; a later session adds the herd's size) or arrival (open).
    pub(super) number: u64,
    /// The iteration within its user.
    pub(super) iteration: u64,
    /// The number of its item over the whole run: user, arrival or count-bound iteration.
    pub(super) item: u64,
    /// What this iteration draws from.
    pub(super) rng: Rng,
    /// Its variables by slot.
    pub(super) variables: Vec<Option<Value>>,
    /// Its way to each service.
    pub(super) slots: Vec<ConnectionSlot>,
    /// Its cookies, from the first that it is given on; its branches share them.
    pub(super) jar: Option<Rc<RefCell<CookieJar>>>,
    /// What it waits with.
    pub(super) deadline: CallDeadline,
    /// Its own rate limit, which its branches share.
    pub(super) limiter: Option<Rc<RateLimiter>>,
    /// What few flows need.
    pub(super) extras: Option<Box<UserExtras>>,
    first_step: usize,
    first_group: usize,
    backoff_ns: u64,
    /// The work that expressions may still do in this iteration.
    pub(super) work: u64,
}

/// What few flows need, so that the others carry no room for it.
#[derive(Debug, Default)]
pub(super) struct UserExtras {
    /// Rounds left, by loop.
    pub(super) counters: Vec<u64>,
    /// The groups that have begun.
    pub(super) groups: Vec<OpenGroup>,
    /// Its own way to the network, where that is slower than ours.
    pub(super) way: Option<Rc<EmulatedLink>>,
    /// The selves that make its parallel calls, each with connections of its own.
    pub(super) branches: Vec<User>,
}

/// A group that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenGroup {
    /// Which of its archetype's.
    pub(super) id: u16,
    /// When its first call was intended.
    pub(super) intended: Time,
    /// What the user had thought before, ns.
    pub(super) thought_ns: u64,
    /// The calls it had made before.
    pub(super) calls: u64,
}

/// Who sits down: numbers of the whole run.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserIdentity {
    /// Its workload.
    pub(super) workload: usize,
    /// Number of the user (closed) or arrival (open).
    pub(super) number: u64,
    /// How many users were in this place before it: sessions end.
    pub(super) session: u64,
}

impl User {
    /// A user without an identity.
    pub(super) fn new(shard: &Shard) -> Self {
        Self {
            workload: 0,
            archetype: 0,
            number: 0,
            iteration: 0,
            item: 0,
            rng: NOBODY.rng(Stream::Content, 0, 0),
            variables: Vec::new(),
            slots: shard.plan.services.iter().map(|_| shard.wire.slot()).collect(),
            jar: None,
            deadline: CallDeadline::new(shard.cancelled.clone()),
            limiter: None,
            extras: None,
            first_step: 0,
            first_group: 0,
            backoff_ns: 0,
            work: MAX_ITERATION_WORK,
        }
    }

    /// Becomes somebody who is due `at` that time: nothing of who sat here before is left but open
    /// connections.
    ///
    /// # Errors
    /// When a feed has no row for this user.
    pub(super) fn assume_identity(
        &mut self,
        shard: &Shard,
        who: &UserIdentity,
        at: Time,
    ) -> Result<(), OutOfRows> {
        let workload = &shard.plan.workloads[who.workload];
        let share = workload.share_of(shard.plan.seed, who.workload, who.number);
        let kind = &shard.plan.archetypes[share.archetype];
        self.workload = who.workload;
        self.archetype = share.archetype;
        self.first_step = share.first_step.0.into();
        self.first_group = share.first_group.into();
        self.number = shard.user_number(who);
        self.backoff_ns = 0;
        self.work = MAX_ITERATION_WORK;
        self.jar = None;
        let own = shard.plan.policies.limits.per_user;
        self.limiter = own.map(|rate| Rc::new(RateLimiter::new(rate)));
        self.set_link(kind.link);
        self.variables.clear();
        self.variables.extend_from_slice(&shard.globals);
        self.variables.resize(kind.variables.len(), None);
        if kind.data.is_empty() && kind.vars.is_empty() {
            return Ok(());
        }
        self.rng = self.own_rng(shard.plan.seed);
        self.take_rows(shard, who, false)?;
        for (slot, value) in &kind.vars {
            match value.kept(&mut self.scope(shard, at)) {
                Ok(value) => self.variables[*slot] = Some(value),
                // It stays unset: the first call that needs it is not made, and says so.
                Err(error) => {
                    shard.template_error(None, &error);
                }
            }
        }
        Ok(())
    }

    /// Begins an iteration: `part` and `index` name its item among all of its workload.
    pub(super) fn begin(&mut self, seed: Seed, iteration: u64, item: IterationItem) {
        self.iteration = iteration;
        let (part, index) = match item {
            // The workload and the kind of numbering in the high bits: no two items share a key.
            IterationItem::Iteration(number) => ((self.workload as u64) << 48 | 1 << 47, number),
            IterationItem::Of(number) => ((self.workload as u64) << 48 | number, iteration),
        };
        self.item = match item {
            IterationItem::Iteration(number) | IterationItem::Of(number) => number,
        };
        self.rng = seed.rng(Stream::Content, part, index);
        self.work = MAX_ITERATION_WORK;
    }

    /// How long it stays this user, ns; and for how many iterations.
    pub(super) fn session(&mut self, shard: &Shard) -> (u64, u64) {
        match &shard.plan.archetypes[self.archetype].session {
            Session::Endless => (u64::MAX, u64::MAX),
            Session::Iterations(count) => (u64::MAX, *count),
            Session::Duration(law) => {
                // A stream apart from its variables'.
                let mut rng =
                    shard.plan.seed.rng(Stream::User, self.workload as u64 | 1 << 47, self.number);
                (nanos(law.sample(&mut rng)), u64::MAX)
            }
        }
    }

    fn own_rng(&self, seed: Seed) -> Rng {
        seed.rng(Stream::User, self.workload as u64, self.number)
    }

    /// What a template may read in what is intended `at` that time.
    pub(super) fn scope<'a>(&'a mut self, shard: &'a Shard, at: Time) -> RenderScope<'a> {
        RenderScope {
            variables: &self.variables,
            names: &shard.plan.archetypes[self.archetype].variables,
            rng: &mut self.rng,
            user: self.number,
            iteration: self.iteration,
            run_id: &shard.plan.run_id,
            request: None,
            now_ms: shard.started_ms + at.since(shard.start) / 1_000_000,
            work: &mut self.work,
            from_responses: &shard.flows[self.archetype].from_responses,
        }
    }

    /// The index of a series of its archetype in `Plan::steps`.
    pub(super) fn step(&self, series: u16) -> usize {
        self.first_step + usize::from(series)
    }

    /// The index of a group of its archetype in `Plan::groups`.
    pub(super) fn group(&self, group: u16) -> usize {
        self.first_group + usize::from(group)
    }

    /// Becomes another self of `parent`, for one of its parallel calls.
    pub(super) fn split_off(&mut self, parent: &mut User) {
        use rand::{RngExt, SeedableRng};
        self.workload = parent.workload;
        self.archetype = parent.archetype;
        self.number = parent.number;
        self.iteration = parent.iteration;
        self.item = parent.item;
        self.work = parent.work;
        self.first_step = parent.first_step;
        self.first_group = parent.first_group;
        self.jar = Some(Rc::clone(parent.jar.get_or_insert_default()));
        self.limiter.clone_from(&parent.limiter);
        self.rng = Rng::seed_from_u64(parent.rng.random());
        if let Some(way) = parent.link() {
            self.extras().way = Some(way);
        }
        self.deadline.share_end(&parent.deadline);
    }

    /// Its own way to the network, where that is slower than ours.
    pub(super) fn link(&self) -> Option<Rc<EmulatedLink>> {
        self.extras.as_ref()?.way.clone()
    }

    /// Whether its way to the network is slower than ours.
    #[inline]
    pub(super) fn has_emulated_link(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.way.is_some())
    }

    /// From now on it goes by this link; connections that were made over another end.
    pub(super) fn set_link(&mut self, link: Option<LinkProfile>) {
        let before = self.link().map(|link| link.profile());
        if before != link {
            self.close_connections();
        }
        if before.is_some() || link.is_some() {
            self.extras().way = link.map(|link| Rc::new(EmulatedLink::new(link)));
        }
    }

    /// What few flows need.
    pub(super) fn extras(&mut self) -> &mut UserExtras {
        self.extras.get_or_insert_default()
    }

    /// The rounds left in a loop.
    pub(super) fn rounds(&mut self, counter: usize) -> &mut u64 {
        let counters = &mut self.extras().counters;
        if counters.len() <= counter {
            counters.resize(counter + 1, 0);
        }
        &mut counters[counter]
    }

    /// Its connections end: they were its own.
    pub(super) fn close_connections(&mut self) {
        self.slots.iter_mut().for_each(ConnectionSlot::close);
        if let Some(extras) = &mut self.extras {
            extras.branches.clear();
        }
    }

    /// A wait drawn from a law.
    pub(super) fn draw(&mut self, law: Option<&Distribution>) -> u64 {
        law.map_or(0, |law| nanos(law.sample(&mut self.rng)))
    }

    /// How long to hold back after a call, so that a target that gives no answer is not hammered.
    /// It is no think of the user's: what it costs is part of the iteration.
    pub(super) fn back_off_after(&mut self, answered: bool) -> u64 {
        self.backoff_ns =
            if answered { 0 } else { (self.backoff_ns * 2).clamp(BACKOFF_NS.0, BACKOFF_NS.1) };
        self.backoff_ns
    }

    /// How long this user holds back after calls that got no answer; zero when all is well.
    pub(super) fn backoff_ns(&self) -> u64 {
        self.backoff_ns
    }
}

impl Shard {
    /// The next iteration, intended at `intended`, of a workload that is bound by their count;
    /// `None` if all are taken.
    pub(super) fn take_iteration(&self, workload: usize, most: u64, intended: Time) -> Option<u64> {
        // First: another user must not find all taken in between.
        let counts_all = self.plan.uncounted.is_zero();
        let most = if counts_all { most } else { self.with_uncounted(workload, most, intended) };
        // One count for the whole run: whoever is free takes the next.
        let taken = self.shared.iterations[workload].fetch_add(1, Relaxed);
        if taken + 1 >= most {
            self.shared.populations[workload].over.notify_waiters();
        }
        (taken < most).then_some(taken)
    }

    /// How many iterations may be taken in all, with those that come on top of `most`.
    #[cold]
    fn with_uncounted(&self, workload: usize, most: u64, intended: Time) -> u64 {
        let uncounted = &self.shared.uncounted[workload];
        if intended.since(self.start) < nanos(self.plan.uncounted) {
            uncounted.fetch_add(1, Relaxed);
        }
        most.saturating_add(uncounted.load(Relaxed))
    }

    /// Whether a user of the closed model is paced.
    pub(super) fn has_pace(&self, index: usize, number: u64) -> bool {
        let workload = &self.plan.workloads[index];
        let share = workload.share_of(self.plan.seed, index, number);
        self.flows[share.archetype].pace_ns.is_some()
    }

    /// The number of a user: its place in the herd, and later sessions count on from there. Who has
    /// a place that was not planned must not have the number of a later session.
    pub(super) fn user_number(&self, who: &UserIdentity) -> u64 {
        let workload = &self.plan.workloads[who.workload];
        let herd = self.schedules[who.workload].places;
        let is_extra = matches!(workload.load, Load::Closed(_)) && who.number >= herd;
        let kinds = workload.shares.iter().map(|share| &self.plan.archetypes[share.archetype]);
        if is_extra && kinds.into_iter().any(|kind| !matches!(kind.session, Session::Endless)) {
            return EXTRA + (who.session << PLACE_BITS) + who.number;
        }
        who.number + who.session * herd
    }
}

/// Where the numbers of users begin that have sessions and were not planned; below 2⁴⁷, which
/// `User::begin` keeps for itself.
const EXTRA: u64 = 1 << 46;

/// More than any place in a herd has.
const PLACE_BITS: u32 = 24;

/// What an iteration is an item of.
#[derive(Clone, Copy, Debug)]
pub(super) enum IterationItem {
    /// Its user or arrival.
    Of(u64),
    /// The iterations of a workload that is bound by their count.
    Iteration(u64),
}

/// Draws nothing that is ever used.
const NOBODY: Seed = Seed::ZERO;
