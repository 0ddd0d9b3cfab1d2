//! State changes as a screen shows them: a few lines per second, the rest as a count.
//!
//! `progress` prints them; the report has all of them.
//! Invariant: a breaker that flaps takes at most [`FEW`] lines and a count per second, and every
//! change that is not shown is counted.

use crate::report::ansi::plain;
use crate::stats::StateChanges;
use crate::units::counted;

/// Maximum lines per second.
const FEW: usize = 5;

/// The lines of the current second.
#[derive(Debug, Default)]
pub(super) struct NoticeThrottle {
    shown: usize,
    hidden: u64,
}

impl NoticeThrottle {
    /// Returns the changes that still fit into the current second.
    pub(super) fn take(&mut self, notices: &StateChanges) -> Vec<String> {
        let room = FEW - self.shown;
        let lines: Vec<String> =
            notices.list.iter().take(room).map(|notice| plain(&notice.to_string())).collect();
        self.shown += lines.len();
        self.hidden += (notices.list.len() - lines.len()) as u64 + notices.lost;
        lines
    }

    /// Ends a second and returns a line with the number of changes that were not shown, if any.
    pub(super) fn second(&mut self) -> Option<String> {
        self.shown = 0;
        let hidden = std::mem::take(&mut self.hidden);
        (hidden > 0).then(|| format!("… and {} more in this second", counted(hidden, "event")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunOffset;
    use crate::stats::{BreakerState, Change, ChangeCause, ChangeSubject, StateChange};

    fn notices(count: usize, lost: u64) -> StateChanges {
        let notice = |at: usize| StateChange {
            at: RunOffset::from_ns(at as u64),
            subject: ChangeSubject::Endpoint(format!("{at}\u{1b}")),
            change: Change::Breaker { from: BreakerState::Closed, to: BreakerState::Open },
            cause: ChangeCause::BusyShard,
        };
        StateChanges { list: (0..count).map(notice).collect(), lost }
    }

    #[test]
    fn five_are_shown_and_the_rest_is_counted() {
        let mut few = NoticeThrottle::default();
        assert_eq!(
            few.take(&notices(1, 0)),
            ["endpoint 0\u{fffd}: closed → open (the shard was busy)"]
        );
        assert_eq!(few.take(&notices(3, 0)).len(), 3);
        assert_eq!(few.take(&notices(3, 0)).len(), 1);
        assert_eq!(few.take(&notices(64, 10)).len(), 0);
        assert_eq!(few.second().as_deref(), Some("… and 76 events more in this second"));
        assert_eq!((few.second(), few.take(&notices(2, 0)).len()), (None, 2));
    }
}
