//! Calls that the generator itself delayed, with lower bounds of their true times.
//!
//! The Recorder fills it, the Tally merges it, `verdict` judges a failed threshold once more with
//! it.
//! Invariant: for each call in it the true time lies between `less` and `measured`.
//!
//! Why: a call that overlaps a pause of the generator (its thread waited for a core, the process
//! was stopped, other work kept the event loop busy) is measured too long by at most that pause.
//! Without the pause, its time is a lower bound of what the target took. A threshold that fails on
//! the measured times and holds on the lower bounds says nothing about the target.

use super::latency::Latency;

/// The times of delayed calls, as measured and without the generator's own delay.
#[derive(Clone, Debug, Default)]
pub struct Delayed {
    /// As measured; they are included in the whole distribution as well.
    pub measured: Latency,
    /// The same calls, each without its own delay.
    pub less: Latency,
}

/// The delayed calls of a series.
#[derive(Clone, Debug, Default)]
pub struct OwnDelay {
    /// Response times of the delayed calls.
    pub response: Delayed,
    /// Service times of the delayed calls.
    pub service: Delayed,
}

impl Delayed {
    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.measured.merge(&other.measured);
        self.less.merge(&other.less);
    }

    /// Returns `whole` with these calls at their lower bounds. `whole` must include them as
    /// measured.
    pub fn taken_off(&self, whole: &Latency) -> Latency {
        let mut rest = whole.without(&self.measured);
        rest.merge(&self.less);
        rest
    }
}

impl OwnDelay {
    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }
}

/// Merges `theirs` into an optional value that may not exist yet.
pub(crate) fn merge_boxed<T: Default>(
    mine: &mut Option<Box<T>>,
    theirs: Option<&T>,
    merge: impl Fn(&mut T, &T),
) {
    if let Some(theirs) = theirs {
        merge(mine.get_or_insert_default(), theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delayed_calls_get_their_lower_bounds() {
        let mut whole = Latency::default();
        for ms in [20, 21, 22, 170, 171] {
            whole.record_response(ms * 1_000_000);
        }
        whole.record_at_least(500_000_000);
        whole.record_untimed(crate::stats::Untimed::NoResponse);
        let mut delayed = Delayed::default();
        for ms in [170, 171] {
            delayed.measured.record_response(ms * 1_000_000);
            delayed.less.record_response((ms - 150) * 1_000_000);
        }
        let rest = delayed.taken_off(&whole);
        assert_eq!((rest.count(), rest.censored()), (7, 2));
        let third = rest.quantile(3.0 / 7.0).unwrap().us;
        assert!((20_990..=21_020).contains(&third), "{third}");
        assert!((rest.mean_us().unwrap() - 20_800.0).abs() < 20.0);
        let longest_response = rest.responses().max_us();
        assert!((21_990..=22_020).contains(&longest_response), "{longest_response}");
    }
}
