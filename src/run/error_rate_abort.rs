//! Stops a run whose error rate stays above a limit of the safety file.
//!
//! `dispatch` asks it once a second.
//! Invariant: it counts calls by the second in which they ended, without calls that were cancelled
//! or never sent.

use std::collections::VecDeque;

use crate::plan::safety::ErrorRateLimit;
use crate::stats::Calls;

/// Compares the error rate with the limits.
#[derive(Debug)]
pub(super) struct ErrorRateAbort {
    storms: Vec<ErrorRateLimit>,
    /// Calls that ended and those that failed, up to each of the last seconds.
    seconds: VecDeque<(u64, u64)>,
    longest: usize,
}

impl ErrorRateAbort {
    pub(super) fn new(storms: &[ErrorRateLimit]) -> Self {
        let longest = storms.iter().map(seconds).max().unwrap_or(0);
        let seconds = VecDeque::from([(0, 0)]);
        Self { storms: storms.to_vec(), seconds, longest }
    }

    /// Ends a second with the calls since the run began; returns why the run has to stop.
    pub(super) fn second(&mut self, calls: &Calls) -> Option<String> {
        // A suppressed call is no load: it is no reason to stop.
        let left_out = calls.cancelled + calls.unfinished + calls.suppressed + calls.muted;
        let ended = calls.ended() - left_out;
        self.seconds.push_front((ended, ended - calls.ok));
        self.seconds.truncate(self.longest + 1);
        let (now, bad_now) = self.seconds[0];
        self.storms.iter().find_map(|storm| {
            let (then, bad_then) = self.seconds.get(seconds(storm))?;
            let (all, bad) = (now - then, bad_now - bad_then);
            let share = bad as f64 / all as f64;
            (all >= storm.min_calls && share >= storm.errors).then(|| {
                format!(
                    "{:.0} % of {all} calls failed in {} s; {} stops the run at {:.0} %",
                    share * 100.0,
                    seconds(storm),
                    storm.origin,
                    storm.errors * 100.0,
                )
            })
        })
    }
}

fn seconds(storm: &ErrorRateLimit) -> usize {
    storm.over.as_secs().max(1) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_takes_long_enough_many_enough_and_bad_enough() {
        // Good and bad calls of each second, and the second that stops.
        for (seconds, stops) in [
            (vec![(0, 10); 5], Some(3)),
            (vec![(0, 3); 5], Some(3)),
            (vec![(0, 1); 9], None),
            (vec![(1, 9); 9], Some(3)),
            (vec![(2, 8); 9], None),
            (vec![(10, 0), (0, 10), (0, 10), (10, 0), (0, 10), (0, 10)], None),
            (vec![(10, 0), (0, 10), (0, 10), (0, 10)], Some(4)),
            (vec![], None),
        ] {
            let over = Duration::from_secs(3);
            let by = "it".to_owned();
            let mut lookout = ErrorRateAbort::new(&[ErrorRateLimit {
                errors: 0.9,
                over,
                min_calls: 9,
                origin: by,
            }]);
            let mut calls = Calls::default();
            let stopped = seconds.iter().position(|(ok, failed)| {
                calls.ok += ok;
                calls.failed += failed;
                calls.made += ok + failed + 1;
                lookout.second(&calls).is_some()
            });
            assert_eq!(stopped.map(|index| index + 1), stops, "{seconds:?}");
        }
    }
}
