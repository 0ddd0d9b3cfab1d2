//! Which priorities may start while the generator itself is overloaded.
//!
//! `run::supervisor` feeds it each second; shards admit iterations by its result.
//! Invariant: work of high priority is never suppressed; the level moves one step at a time, in
//! both directions.

use crate::plan::policy::{AdmissionPolicy, Priority};
use crate::stats::ChangeCause;
use crate::units::nanos;

/// The admission policy with its state.
#[derive(Clone, Debug)]
pub struct AdmissionController {
    policy: AdmissionPolicy,
    least: Priority,
    /// Since when the generator has been overloaded, or healthy, ns.
    trouble_ns: Option<u64>,
    well_ns: Option<u64>,
}

impl AdmissionController {
    /// Creates a controller that admits all priorities.
    pub fn new(policy: AdmissionPolicy) -> Self {
        Self { policy, least: Priority::Low, trouble_ns: None, well_ns: None }
    }

    /// Evaluates a second with this p99 of the lag, µs, and this share of its core that the busiest
    /// shard used. Returns the lowest priority that may start, before and from now on, and why, if
    /// it changes.
    pub fn evaluate_second(
        &mut self,
        now_ns: u64,
        lag_us: u64,
        cpu: f64,
    ) -> Option<((Priority, Priority), ChangeCause)> {
        let in_trouble = u128::from(lag_us) > self.policy.lag.as_micros() && cpu > self.policy.cpu;
        let (since, other) = if in_trouble {
            (&mut self.trouble_ns, &mut self.well_ns)
        } else {
            (&mut self.well_ns, &mut self.trouble_ns)
        };
        *other = None;
        // A second counts for its whole length.
        let since_ns = *since.get_or_insert(now_ns.saturating_sub(1_000_000_000));
        let lasted = now_ns.saturating_sub(since_ns);
        let (after, recover) = (self.policy.after, self.policy.recover);
        let (next, enough) = match (in_trouble, self.least) {
            (true, Priority::Low) => (Priority::Medium, after),
            (true, Priority::Medium) => (Priority::High, after),
            (false, Priority::High) => (Priority::Medium, recover),
            (false, Priority::Medium) => (Priority::Low, recover),
            _ => return None,
        };
        if lasted < nanos(enough) {
            return None;
        }
        *since = Some(now_ns);
        let before = std::mem::replace(&mut self.least, next);
        let cause = if in_trouble {
            ChangeCause::Overload { lag_us, cpu }
        } else {
            ChangeCause::Well { lasted: enough }
        };
        Some(((before, next), cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn level_follows_load_step_by_step() {
        let mut admit = AdmissionController::new(AdmissionPolicy::default());
        let mut seconds = Vec::new();
        seconds.extend([(200_000, 0.99); 7]);
        // Lateness without high CPU use is no overload.
        seconds.extend([(200_000, 0.5); 11]);
        seconds.extend([(1_000, 0.99); 10]);
        let changes: Vec<_> = (1..)
            .zip(seconds)
            .filter_map(|(at, (lag, cpu))| {
                admit.evaluate_second(at * S, lag, cpu).map(|((_, to), _)| (at, to))
            })
            .collect();
        let wanted = [
            (3, Priority::Medium),
            (6, Priority::High),
            (17, Priority::Medium),
            (27, Priority::Low),
        ];
        assert_eq!(changes, wanted);
    }
}
