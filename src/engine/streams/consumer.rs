//! A consumer of a broker: the work for each message, and when messages are acknowledged.
//!
//! A `listener` has one if its step acknowledges; `live_stream` sends what it settles.
//! Invariant: a message is settled once, after its work; work is done for one message after the
//! other, and never by the reader.

use std::collections::VecDeque;
use std::task::Context;

use rand::RngExt;

use crate::clock::{self, Time, Timer};
use crate::plan::broker::AcknowledgePlan;
use crate::seed::Rng;
use crate::units::nanos;
use crate::wire::broker::command::{DeliverySettlement, DeliveryVerdict};

/// A consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    plan: AcknowledgePlan,
    /// Deliveries whose work is not done, with its end.
    working: VecDeque<(Time, u64)>,
    /// Handled messages that wait for the rest of their batch, and the last of them.
    batch: (u32, u64),
    timer: Timer,
}

/// What became of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettledCounts {
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
}

impl Consumer {
    /// A consumer that settles as the plan says.
    pub(crate) fn new(plan: AcknowledgePlan) -> Self {
        Self { plan, working: VecDeque::new(), batch: (0, 0), timer: Timer::new() }
    }

    /// Takes a delivery that was read at `at`: its work begins when that of the one before ends.
    pub(crate) fn take(&mut self, at: Time, delivery: u64, rng: &mut Rng) {
        let free = self.working.back().map_or(at, |(until, _)| (*until).max(at));
        let work = self.plan.work.as_ref().map_or(0, |work| nanos(work.sample(rng)));
        self.working.push_back((free.after(work), delivery));
    }

    /// Settles what is done by now: hands each settlement to `settle`. Wakes the task for the rest.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        rng: &mut Rng,
        settle: &mut dyn FnMut(DeliverySettlement),
    ) -> SettledCounts {
        let mut counts = SettledCounts::default();
        while let Some((until, delivery)) = self.working.front().copied() {
            if until > clock::now() {
                self.timer.set(until);
                if self.timer.poll(cx).is_pending() {
                    break;
                }
                continue;
            }
            self.working.pop_front();
            if self.plan.reject > 0.0 && rng.random::<f64>() < self.plan.reject {
                counts.rejected += 1;
                let verdict = if self.plan.requeue {
                    DeliveryVerdict::Requeued
                } else {
                    DeliveryVerdict::Rejected
                };
                settle(DeliverySettlement { delivery, is_multiple: false, verdict });
                continue;
            }
            self.batch = (self.batch.0 + 1, delivery);
            if self.batch.0 >= self.plan.every {
                counts.acknowledged += self.end_batch(settle);
            }
        }
        counts
    }

    /// Acknowledges handled messages that wait for the rest of their batch. Returns how many.
    pub(crate) fn end_batch(&mut self, settle: &mut dyn FnMut(DeliverySettlement)) -> u64 {
        let (count, delivery) = std::mem::take(&mut self.batch);
        if count > 0 {
            let (is_multiple, verdict) = (count > 1, DeliveryVerdict::Accepted);
            settle(DeliverySettlement { delivery, is_multiple, verdict });
        }
        u64::from(count)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use rand::SeedableRng;

    use super::*;

    /// Settlements as `(delivery, multiple, accepted)`, for deliveries read at one time.
    fn settled(plan: AcknowledgePlan, deliveries: u64) -> (Vec<(u64, bool, bool)>, SettledCounts) {
        let mut consumer = Consumer::new(plan);
        let mut rng = Rng::seed_from_u64(7);
        let mut all = Vec::new();
        let mut note = |one: DeliverySettlement| {
            let is_accepted = one.verdict == DeliveryVerdict::Accepted;
            all.push((one.delivery, one.is_multiple, is_accepted));
        };
        for delivery in 1..=deliveries {
            consumer.take(clock::now(), delivery, &mut rng);
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let mut counts = consumer.poll(cx, &mut rng, &mut note);
        counts.acknowledged += consumer.end_batch(&mut note);
        (all, counts)
    }

    #[test]
    fn batches_cover_all_messages_and_the_rest_is_settled_at_the_end() {
        let plan = |every| AcknowledgePlan { every, ..AcknowledgePlan::default() };
        let (all, counts) = settled(plan(1), 2);
        assert_eq!(all, [(1, false, true), (2, false, true)]);
        assert_eq!(counts.acknowledged, 2);
        let (all, counts) = settled(plan(3), 8);
        assert_eq!(all, [(3, true, true), (6, true, true), (8, true, true)]);
        assert_eq!(counts, SettledCounts { acknowledged: 8, rejected: 0 });
    }

    #[test]
    fn a_share_is_rejected() {
        let plan = AcknowledgePlan { every: 1, reject: 0.25, ..AcknowledgePlan::default() };
        let (all, counts) = settled(plan, 1_000);
        assert_eq!(all.len(), 1_000);
        assert_eq!(counts.acknowledged + counts.rejected, 1_000);
        assert!((200..300).contains(&counts.rejected), "{counts:?}, seed 7");
    }
}
