//! Who may begin while the generator itself is in trouble: the least important wait.
//!
//! `run::steward` shows it each second; shards let iterations begin by it.
//! Invariant: work of high priority is never held back; holding back goes a step at a time, and so
//! does letting in.

use crate::plan::policy::{AdmissionPolicy, Priority};
use crate::units::{nanos, show_duration};

/// The law at work.
#[derive(Clone, Debug)]
pub struct AdmissionController {
    law: AdmissionPolicy,
    least: Priority,
    /// Since when it has been in trouble, or well, ns.
    trouble_ns: Option<u64>,
    well_ns: Option<u64>,
}

impl AdmissionController {
    /// Everybody may begin.
    pub fn new(law: AdmissionPolicy) -> Self {
        Self { law, least: Priority::Low, trouble_ns: None, well_ns: None }
    }

    /// A second has ended in which the lag's p99 was so many µs, and the busiest shard used such a
    /// share of its core: the least priority that may begin from now on and why, when it changes.
    pub fn second(&mut self, now_ns: u64, lag_us: u64, cpu: f64) -> Option<(Priority, String)> {
        let in_trouble = u128::from(lag_us) > self.law.lag.as_micros() && cpu > self.law.cpu;
        let (since, other) = if in_trouble {
            (&mut self.trouble_ns, &mut self.well_ns)
        } else {
            (&mut self.well_ns, &mut self.trouble_ns)
        };
        *other = None;
        // A second that has ended was so for all of its length.
        let since_ns = *since.get_or_insert(now_ns.saturating_sub(1_000_000_000));
        let lasted = now_ns.saturating_sub(since_ns);
        let (next, enough, why) = match (in_trouble, self.least) {
            (true, Priority::Low) => (Priority::Medium, self.law.after, "lag"),
            (true, Priority::Medium) => (Priority::High, self.law.after, "lag"),
            (false, Priority::High) => (Priority::Medium, self.law.recover, "well"),
            (false, Priority::Medium) => (Priority::Low, self.law.recover, "well"),
            _ => return None,
        };
        if lasted < nanos(enough) {
            return None;
        }
        *since = Some(now_ns);
        self.least = next;
        let why = match why {
            "lag" => format!("lag p99 {} ms with {:.0} % CPU", lag_us / 1_000, cpu * 100.0),
            _ => format!("well for {}", show_duration(enough)),
        };
        Some((next, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn golden_walk() {
        let mut admit = AdmissionController::new(AdmissionPolicy::default());
        let mut seconds = Vec::new();
        seconds.extend([(200_000, 0.99); 7]);
        // Late for want of something else than CPU is no case for it.
        seconds.extend([(200_000, 0.5); 11]);
        seconds.extend([(1_000, 0.99); 10]);
        let changes: Vec<_> = (1..)
            .zip(seconds)
            .filter_map(|(at, (lag, cpu))| admit.second(at * S, lag, cpu).map(|(to, _)| (at, to)))
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
