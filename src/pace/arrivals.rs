//! The open model: which starts an owner of slots makes, and when each is due.
//!
//! `engine` takes starts from it in order.
//! Invariant: start k is due at the same ns for every owner; its due time never moves because
//! starts are late, only by a schedule change, and then for all owners alike.

use std::borrow::Cow;

use rand_distr::{Distribution, Exp1};

use crate::clock::WorkloadOffset;
use crate::curve::{Curve, ONE_START};
use crate::ids::WorkloadId;
use crate::plan::slots::SlotSet;
use crate::plan::{ArrivalProcess, Arrivals};
use crate::seed::{Rng, Seed, Stream};

/// A start of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// When the start is due.
    pub due: WorkloadOffset,
    /// Number of the start over the whole run.
    pub number: u64,
}

/// The starts of one workload that one owner of slots has, in order.
#[derive(Debug)]
pub struct Schedule<'p> {
    arrivals: &'p Arrivals,
    /// The current target rate.
    curve: Cow<'p, Curve>,
    slot_offset: u64,
    /// The slots that it has, each number in one of them at most.
    parts: Vec<SchedulePart>,
    /// Starts due from then on belong to others.
    until: WorkloadOffset,
    /// The integral at `until`, or at the end of the curve.
    total: u128,
    /// Before the first start…
    beginning: Cursor,
    /// …after the last one that was taken, with its number and amount…
    taken: (Cursor, Option<(u64, u128)>),
    /// …and after the last one that was looked at.
    cursor: Cursor,
    /// The owned start that was found and not taken yet: its number and amount…
    found: Option<(u64, u128)>,
    /// …and when it is due.
    next: Option<Start>,
}

/// Slots of a schedule.
#[derive(Debug)]
struct SchedulePart {
    slots: SlotSet,
    /// Starts due before are not its own…
    from: WorkloadOffset,
    /// …which are those with a smaller amount…
    from_amount: u128,
    /// …and those with a smaller number were taken.
    first: u64,
}

/// A place in the whole schedule.
#[derive(Clone, Debug)]
struct Cursor {
    /// The number of the next start, owned or not.
    number: u64,
    /// The integral at which that start is due, and the one before.
    amount: u128,
    last: u128,
    gaps: Option<Rng>,
}

impl Cursor {
    fn new(gaps: Option<Rng>) -> Self {
        let mut cursor = Self { number: 0, amount: 0, last: 0, gaps };
        // The first arrival of a Poisson process is one gap after the beginning.
        cursor.amount = cursor.gap(0);
        cursor
    }

    fn gap(&mut self, even: u128) -> u128 {
        match &mut self.gaps {
            None => even,
            Some(rng) => {
                let gap: f64 = Exp1.sample(rng);
                // The integral is advanced in integers: gaps add up without rounding.
                (gap * ONE_START as f64) as u128
            }
        }
    }
}

impl<'p> Schedule<'p> {
    /// Creates the schedule of the starts of `workload` in `slots`.
    pub fn new(
        arrivals: &'p Arrivals,
        workload: WorkloadId,
        slot_offset: u64,
        seed: Seed,
        slots: impl Into<SlotSet>,
    ) -> Self {
        let beginning = Cursor::new(match arrivals.process {
            ArrivalProcess::Constant => None,
            // One stream for the whole workload: every owner computes all starts and keeps its own,
            // so arrivals are the same for any number of shards.
            ArrivalProcess::Poisson => Some(seed.rng(Stream::Arrivals, workload.index() as u64, 0)),
        });
        let from = WorkloadOffset::ZERO;
        Self {
            arrivals,
            curve: Cow::Borrowed(&arrivals.curve),
            slot_offset,
            parts: vec![SchedulePart { slots: slots.into(), from, from_amount: 0, first: 0 }],
            until: WorkloadOffset::NEVER,
            total: arrivals.curve.total(),
            taken: (beginning.clone(), None),
            cursor: beginning.clone(),
            beginning,
            found: None,
            next: None,
        }
    }
}

impl Schedule<'_> {
    /// Replaces the rate by a curve that is the old one up to now: starts that were not taken yet
    /// are due where its integral reaches their amounts.
    pub fn replace_curve(&mut self, curve: Curve) {
        self.curve = Cow::Owned(curve);
        for part in &mut self.parts {
            part.from_amount = least_amount(&self.curve, part.from);
        }
        self.total = self.curve.total().min(least_amount(&self.curve, self.until));
        self.look_again();
    }

    /// Adds the starts of `slots` that are due from `from` on, also if later ones were taken.
    pub fn adopt(&mut self, slots: SlotSet, from: WorkloadOffset) {
        let from_amount = least_amount(&self.curve, from);
        if let Some((number, _)) = self.taken.1.filter(|(_, amount)| *amount >= from_amount) {
            for part in &mut self.parts {
                part.first = part.first.max(number + 1);
            }
            self.taken = (self.beginning.clone(), None);
        }
        self.parts.push(SchedulePart { slots, from, from_amount, first: 0 });
        self.look_again();
    }

    /// Removes all starts that are due from `until` on.
    pub fn release_from(&mut self, until: WorkloadOffset) {
        self.until = until;
        self.total = self.curve.total().min(least_amount(&self.curve, until));
        self.look_again();
    }

    /// Forgets what was found and not taken.
    fn look_again(&mut self) {
        self.cursor.clone_from(&self.taken.0);
        (self.found, self.next) = (None, None);
    }

    /// Returns the next owned start, without taking it; after `None` a schedule change or an
    /// adoption may add starts.
    pub fn peek(&mut self) -> Option<Start> {
        if self.next.is_none() {
            let (number, amount) = self.find()?;
            self.next = self
                .curve
                .reaches(amount)
                .map(|due_ns| Start { due: WorkloadOffset::from_ns(due_ns), number });
        }
        self.next
    }

    /// Takes the start that `peek` returned.
    pub fn advance(&mut self) {
        if self.found.is_some() {
            self.taken.0.clone_from(&self.cursor);
            self.taken.1 = self.found;
        }
        (self.found, self.next) = (None, None);
    }

    /// Takes the next `count` owned starts, without computing when they are due.
    pub fn pass_over(&mut self, count: u64) {
        for _ in 0..count {
            if self.find().is_none() {
                return;
            }
            self.advance();
        }
    }

    /// When the last start of a fixed count is due, once no owned one is left: no schedule change
    /// adds one, an adoption may.
    pub fn is_spent_at(&self) -> Option<WorkloadOffset> {
        let is_spent = self.found.is_none()
            && self.arrivals.iterations.is_some_and(|most| self.cursor.number >= most);
        let last = || self.curve.reaches(self.cursor.last).unwrap_or(self.curve.end_ns());
        is_spent.then(last).map(WorkloadOffset::from_ns)
    }

    /// Counts owned starts among the next `most` of the whole schedule, without computing when they
    /// are due; also returns whether there may be more.
    pub fn count_some(&mut self, most: u64) -> (u64, bool) {
        let found = self.found.take().is_some_and(|(_, amount)| amount < self.total);
        let mut counted = u64::from(found);
        self.next = None;
        if self.cursor.gaps.is_none() {
            // Evenly spaced: start k is before the end while k · ONE_START is less than the total.
            let before = |amount: u128| u64::try_from(amount.div_ceil(ONE_START));
            let all = before(self.total).unwrap_or(u64::MAX);
            let end = self.arrivals.iterations.map_or(all, |most| most.min(all));
            for part in &self.parts {
                let first = before(part.from_amount).unwrap_or(u64::MAX).max(part.first);
                let first = first.max(self.cursor.number).min(end);
                counted += part.slots.count(first, end, self.slot_offset);
            }
            self.cursor.number = self.cursor.number.max(end);
            self.cursor.amount = u128::from(self.cursor.number).saturating_mul(ONE_START);
        }
        for _ in 0..most {
            let Some((number, amount)) = self.step() else { return (counted, false) };
            counted += u64::from(self.owns(number, amount));
        }
        (counted, true)
    }

    /// Advances to the next owned start, unless it was found before.
    fn find(&mut self) -> Option<(u64, u128)> {
        while self.found.is_none() {
            let (number, amount) = self.step()?;
            self.found = self.owns(number, amount).then_some((number, amount));
        }
        self.found
    }

    fn owns(&self, number: u64, amount: u128) -> bool {
        self.parts.iter().any(|part| {
            part.slots.owns(number, self.slot_offset)
                && number >= part.first
                && amount >= part.from_amount
        })
    }

    /// Advances to the next start of the whole schedule; returns its number and amount.
    fn step(&mut self) -> Option<(u64, u128)> {
        let (number, amount) = (self.cursor.number, self.cursor.amount);
        if self.arrivals.iterations.is_some_and(|most| number >= most) || amount >= self.total {
            return None;
        }
        self.cursor.number += 1;
        self.cursor.last = amount;
        self.cursor.amount += self.cursor.gap(ONE_START);
        Some((number, amount))
    }
}

/// The least amount that a curve reaches at `from` or later: what is due before has less.
fn least_amount(curve: &Curve, from: WorkloadOffset) -> u128 {
    let Some(before) = from.ns().checked_sub(1) else { return 0 };
    let amount = curve.integral(before);
    // While the level is zero, the integral stays as it is: such an amount is due at its end.
    let is_due_before = curve.reaches(amount).is_some_and(|due_ns| due_ns < from.ns());
    amount + u128::from(is_due_before)
}

impl Iterator for Schedule<'_> {
    type Item = Start;

    fn next(&mut self) -> Option<Start> {
        let start = self.peek();
        self.advance();
        start
    }
}

#[cfg(test)]
#[path = "arrivals_tests.rs"]
mod tests;
