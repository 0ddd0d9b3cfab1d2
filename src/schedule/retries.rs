//! Whether a run gets another attempt, and when.
//!
//! `execution` asks after each attempt.
//! Invariant: a verdict on the target (passed, failed) is retried only if the job says so; what a
//! scheduler decided never is.

use super::outcome::JobOutcome;
use crate::resilience::backoff;
use crate::timetable::JobRetries;

/// The wait before the next attempt, ns; `None`: there is none. `attempt`: the one that ended,
/// from 1; `key`: a number of its own, for the jitter.
pub(super) fn wait_before_next(
    retries: &JobRetries,
    outcome: JobOutcome,
    attempt: u32,
    key: u64,
) -> Option<u64> {
    let is_retried = outcome.retried_by().is_some_and(|word| retries.when.contains(&word));
    if !is_retried || attempt > retries.max {
        return None;
    }
    let longest = backoff::longest_ns(&retries.backoff, attempt);
    if !retries.backoff.jitter {
        return Some(longest);
    }
    Some(((u128::from(key) * (u128::from(longest) + 1)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::policy::BackoffPolicy;
    use crate::timetable::RetryOn;

    #[test]
    fn waits_double_up_to_max_and_end_with_the_retries() {
        let backoff = BackoffPolicy {
            base: Duration::from_secs(10),
            factor: 2.0,
            max: Duration::from_mins(1),
            jitter: false,
        };
        let retries = JobRetries { max: 4, backoff, ..JobRetries::default() };
        let waits = |outcome| {
            let wait = |attempt| wait_before_next(&retries, outcome, attempt, 0);
            (1..6).map(|attempt| wait(attempt).map(|ns| ns / 1_000_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(waits(JobOutcome::Broken), [Some(10), Some(20), Some(40), Some(60), None]);
        assert_eq!(waits(JobOutcome::TimedOut), [Some(10), Some(20), Some(40), Some(60), None]);
        for verdict in [
            JobOutcome::Passed,
            JobOutcome::Failed,
            JobOutcome::Inconclusive,
            JobOutcome::Invalid,
            JobOutcome::Stopped,
            JobOutcome::Replaced,
            JobOutcome::LeaseLost,
            JobOutcome::BeforeFailed,
        ] {
            assert_eq!(waits(verdict), [None; 5], "{}", verdict.name());
        }
    }

    #[test]
    fn full_jitter_draws_from_zero_to_the_longest_wait() {
        let retries = JobRetries { max: 1, when: vec![RetryOn::Fail], ..JobRetries::default() };
        let wait = |key| wait_before_next(&retries, JobOutcome::Failed, 1, key).unwrap();
        assert_eq!(wait(0), 0);
        assert_eq!(wait(u64::MAX), 10_000_000_000);
        let half = wait(1 << 63);
        assert!((4_999_999_999..=5_000_000_001).contains(&half), "{half}");
    }
}
