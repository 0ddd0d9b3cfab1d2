//! The closed model: when a user's next iteration is intended.
//!
//! `engine` calls it at the end of each iteration.
//! Invariant: only waiting for the target makes a paced iteration late.

use crate::clock::Time;

/// The times of an iteration that has ended.
#[derive(Clone, Copy, Debug)]
pub struct IterationTimes {
    /// When the iteration was intended.
    pub intended: Time,
    /// When the last call of the iteration was done.
    pub done: Time,
    /// The user's own thinks and pauses in it, ns.
    pub thought_ns: u64,
    /// The think drawn after its last call, ns.
    pub think_ns: u64,
}

/// Returns when the next iteration is intended. Without `pace`: when the last one ended, plus a
/// think. With it, from start to start: the pace, or the user's own thinks if those alone take
/// longer.
pub fn next_iteration(ended: IterationTimes, pace_ns: Option<u64>) -> Time {
    match pace_ns {
        None => ended.done.after(ended.think_ns),
        Some(pace_ns) => ended.intended.after(pace_ns.max(ended.thought_ns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_target_makes_paced_iterations_late_and_unpaced_ones_fewer() {
        let ended =
            IterationTimes { intended: Time(100), done: Time(900), thought_ns: 50, think_ns: 30 };
        assert_eq!(next_iteration(ended, None), Time(930));
        assert_eq!(next_iteration(ended, Some(200)), Time(300), "it was due at 300: late by 600");
        let slow_reader = IterationTimes { thought_ns: 700, ..ended };
        assert_eq!(
            next_iteration(slow_reader, Some(200)),
            Time(800),
            "its own thinks are no lateness"
        );
    }
}
