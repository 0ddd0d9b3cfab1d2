//! The closed model: when a user's next iteration is intended.
//!
//! `engine` calls it at the end of each iteration.
//! Invariant: only waiting for the target makes a paced iteration late.

/// The times of an iteration that has ended, all in ns.
#[derive(Clone, Copy, Debug)]
pub struct IterationTimes {
    /// When it was intended.
    pub intended_ns: u64,
    /// When its last call was done.
    pub done_ns: u64,
    /// The user's own thinks and pauses in it.
    pub thought_ns: u64,
    /// The think drawn after its last call.
    pub think_ns: u64,
}

/// Returns when the next iteration is intended. Without `pace`: when the last one ended, plus a
/// think. With it, from start to start: the pace, or the user's own thinks if those alone take
/// longer.
pub fn next_iteration_ns(ended: IterationTimes, pace_ns: Option<u64>) -> u64 {
    match pace_ns {
        None => ended.done_ns.saturating_add(ended.think_ns),
        Some(pace_ns) => ended.intended_ns.saturating_add(pace_ns.max(ended.thought_ns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_target_makes_paced_iterations_late_and_unpaced_ones_fewer() {
        let ended = IterationTimes { intended_ns: 100, done_ns: 900, thought_ns: 50, think_ns: 30 };
        assert_eq!(next_iteration_ns(ended, None), 930);
        assert_eq!(next_iteration_ns(ended, Some(200)), 300, "it was due at 300: late by 600");
        let slow_reader = IterationTimes { thought_ns: 700, ..ended };
        assert_eq!(
            next_iteration_ns(slow_reader, Some(200)),
            800,
            "its own thinks are no lateness"
        );
    }
}
