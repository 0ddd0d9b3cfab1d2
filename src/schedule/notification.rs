//! What a webhook gets, and when.
//!
//! `execution` asks after each run, `notifier` sends.
//! Invariant: whether there is a notification follows from two outcomes, the former and the last.

use serde_json::{Value, json};

use super::entry::HistoryEntry;
use super::outcome::JobOutcome;
use crate::timetable::NotifyOn;

/// The version of the form of the body.
const VERSION: u32 = 1;

/// The occasions that an outcome is, after the former verdict of the job.
pub(super) fn occasions(former: Option<JobOutcome>, outcome: JobOutcome) -> Vec<NotifyOn> {
    if !outcome.is_verdict() {
        return Vec::new();
    }
    let (is_good, was_good) = (outcome == JobOutcome::Passed, former == Some(JobOutcome::Passed));
    let mut occasions = Vec::new();
    if !is_good {
        occasions.push(NotifyOn::Failure);
    }
    if is_good && former.is_some() && !was_good {
        occasions.push(NotifyOn::Recovery);
    }
    if former.is_some_and(|former| former != outcome) {
        occasions.push(NotifyOn::Change);
    }
    occasions
}

/// The body of a notification. `text` is what chats show.
pub(super) fn body(
    schedule: &str,
    occasions: &[NotifyOn],
    former: Option<JobOutcome>,
    entry: &HistoryEntry,
) -> Value {
    let outcome = entry.outcome.map_or("running", JobOutcome::name);
    let before = former.map_or(String::new(), |former| format!(" (before: {})", former.name()));
    let due = entry.due.as_deref().unwrap_or("by hand");
    let why = entry.why.as_deref().map_or(String::new(), |why| format!(": {why}"));
    let job = &entry.job;
    json!({
        "version": VERSION,
        "text": format!("{schedule}: {job} {outcome}{before}, slot {due}{why}"),
        "schedule": schedule,
        "occasions": occasions.iter().map(|one| one.name()).collect::<Vec<_>>(),
        "former": former.map(JobOutcome::name),
        "run": entry,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timetable::TimeSlot;
    use JobOutcome::{Broken, Failed, Lost, Passed, Replaced, Skipped, Stopped};
    use NotifyOn::{Change, Failure, Recovery};

    #[test]
    fn occasions_follow_from_two_outcomes() {
        for (former, outcome, expected) in [
            (None, Passed, &[][..]),
            (None, Failed, &[Failure]),
            (Some(Passed), Passed, &[]),
            (Some(Passed), Failed, &[Failure, Change]),
            (Some(Failed), Failed, &[Failure]),
            (Some(Failed), Broken, &[Failure, Change]),
            (Some(Failed), Passed, &[Recovery, Change]),
            (Some(Lost), Passed, &[Recovery, Change]),
            (Some(Passed), Lost, &[Failure, Change]),
            (Some(Failed), Skipped, &[]),
            (Some(Passed), Stopped, &[]),
            (Some(Passed), Replaced, &[]),
        ] {
            assert_eq!(occasions(former, outcome), expected, "{former:?} {outcome:?}");
        }
    }

    #[test]
    fn body_has_a_text_for_chats() {
        let entry = HistoryEntry::new("pay", Some(TimeSlot(1_700_000_000)), "h:1", 0)
            .because("exit code 4")
            .ended(Failed, 1);
        let body = body("nightly", &[Failure], Some(Passed), &entry);
        assert_eq!(
            body["text"],
            "nightly: pay failed (before: passed), slot 2023-11-14T22:13:20.000Z: exit code 4"
        );
        assert_eq!(body["occasions"], json!(["failure"]));
        assert_eq!(body["run"]["outcome"], "failed");
    }
}
