//! What changes, as a screen shows it: a few lines each second, the rest as a count.
//!
//! `progress` shows them; the report has them all.
//! Invariant: a breaker that flaps takes no more than [`FEW`] lines and a count from a screen in
//! a second, and what is not shown is counted.

use crate::report::ansi::plain;
use crate::stats::StateChanges;
use crate::units::show_count;

/// How many are shown of a second.
const FEW: usize = 5;

/// What was shown of this second, and what was not.
#[derive(Debug, Default)]
pub(super) struct NoticeThrottle {
    shown: usize,
    hidden: u64,
}

impl NoticeThrottle {
    /// The lines that are shown of these.
    pub(super) fn take(&mut self, notices: &StateChanges) -> Vec<String> {
        let room = FEW - self.shown;
        let lines: Vec<String> =
            notices.list.iter().take(room).map(|notice| plain(&notice.to_string())).collect();
        self.shown += lines.len();
        self.hidden += (notices.list.len() - lines.len()) as u64 + notices.lost;
        lines
    }

    /// A second is over: what was not shown of it.
    pub(super) fn second(&mut self) -> Option<String> {
        self.shown = 0;
        let hidden = std::mem::take(&mut self.hidden);
        (hidden > 0).then(|| format!("… and {} events more in this second", show_count(hidden)))
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
