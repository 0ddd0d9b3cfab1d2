//! Sentences of changes, and sentences of former records.

use super::*;
use crate::clock::RunOffset;

#[test]
fn sentences_of_former_records_are_read() {
    let text = "normal → light: nothing of low priority is sent";
    let change = Change::former(ChangeKind::Degradation, text.to_owned());
    let (from, to) = (DegradationLevel::Normal, DegradationLevel::Light);
    assert_eq!(change, Change::Degradation { from, to });
    assert_eq!(change.to_string(), "normal → light: low-priority calls are suppressed");
    for (kind, text) in [
        (ChangeKind::Degradation, "something else"),
        (ChangeKind::Pool, "normal → light"),
        (ChangeKind::Control, "100 % → paused"),
    ] {
        let change = Change::former(kind, text.to_owned());
        assert_eq!((change.kind(), change.to_string().as_str()), (kind, text));
    }
}

#[test]
fn sentences_follow_from_the_figures() {
    let wait = ChangeCause::PoolWait { p95_us: 101_900 };
    let change = StateChange {
        at: RunOffset::ZERO,
        subject: ChangeSubject::Pool("auth".to_owned()),
        change: Change::PoolSize { from: 50, to: 60 },
        cause: wait,
    };
    let sentence = "pool auth: 50 → 60 connections (wait p95 101 ms)";
    assert_eq!((change.kind(), change.to_string().as_str()), (ChangeKind::Pool, sentence));
    let share = ChangeCause::MemoryInUse { share: 0.854, full_in_s: Some(12.4) };
    let sentence = "memory budget 85 % used, projected to be full in 12 s";
    assert_eq!(share.to_string(), sentence);
    assert_eq!(HealthFigure::P95(f64::NAN).to_string(), "p95 0ms");
}
