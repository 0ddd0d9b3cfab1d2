//! The state changes of the run that tests of the dashboard show.
//!
//! `fixture` puts them into its deltas.
//! Invariant: a function of the second alone.

use std::time::Duration;

use crate::clock::RunOffset;
use crate::stats::{
    BreakerState, Change, ChangeCause, ChangeSubject, ControlOrigin, DegradationLevel,
    LoadOverride, StateChange, TransitionCause,
};

/// Characters that must never reach a terminal.
pub(super) const HOSTILE: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\u{202e}evil\r\n\u{200b}\u{9b}2J";

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// 10 % more load than planned.
pub(super) fn more_load() -> Change {
    let planned = LoadOverride::PLANNED;
    Change::Load { from: planned, to: LoadOverride { permille: 1_100, ..planned } }
}

/// The state changes of a second.
pub(super) fn notices(second: u64) -> Vec<StateChange> {
    use DegradationLevel::{Light, Normal};
    let notice = |subject, change, cause| StateChange {
        at: RunOffset::from_ns(second * S + 400 * MS),
        subject,
        change,
        cause,
    };
    let key = ChangeCause::Control { origin: ControlOrigin::Key };
    match second {
        10 => vec![notice(ChangeSubject::Workload("partners".to_owned()), more_load(), key)],
        15 => vec![notice(
            ChangeSubject::Mark,
            Change::Mark { text: format!("cache off {HOSTILE}") },
            key,
        )],
        18 => vec![
            notice(
                ChangeSubject::Endpoint("POST /cart".to_owned()),
                Change::Breaker { from: BreakerState::Closed, to: BreakerState::Open },
                ChangeCause::Breaker { why: TransitionCause::InARow { failures: 5 }, last: None },
            ),
            notice(
                ChangeSubject::Client,
                Change::Degradation { from: Normal, to: Light },
                ChangeCause::CallErrors { share: 0.31, calls: 170 },
            ),
        ],
        38 => vec![notice(
            ChangeSubject::Backend {
                service: "stock".to_owned(),
                backend: "http://127.0.0.1:8082".to_owned(),
            },
            Change::BackendEjected { lasts: Duration::from_secs(30) },
            ChangeCause::CallErrors { share: 0.6, calls: 20 },
        )],
        26 => {
            let cause = ChangeCause::NotNeeded { lasted: Duration::from_secs(8) };
            vec![notice(
                ChangeSubject::Client,
                Change::Degradation { from: Light, to: Normal },
                cause,
            )]
        }
        _ => Vec::new(),
    }
}
