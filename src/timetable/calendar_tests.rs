//! Due times over a table of daylight saving, leap days and special days.

use std::time::Duration;

use super::{Calendar, ScheduleZone, parse_time, show_time};

/// An expression, a zone, the time after which slots are wanted, and the next ones in local time.
type DueCase = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[DueCase] = &[
    // A time that does not exist is due at the end of the gap, once.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"],
    ),
    (
        "30 1 * * *",
        "Europe/Lisbon",
        "2026-03-28T12:00:00Z",
        &["2026-03-29 02:00:00 +01:00", "2026-03-30 01:30:00 +01:00"],
    ),
    // Real quarters and hours: none is added, none is left out.
    (
        "*/15 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:31:00Z",
        &["2026-03-29 01:45:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-29 03:15:00 +02:00"],
    ),
    (
        "0 * * * *",
        "Europe/Berlin",
        "2026-03-28T23:20:00Z",
        &["2026-03-29 01:00:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-29 04:00:00 +02:00"],
    ),
    // A time that exists twice is due at the first one.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25 02:30:00 +02:00", "2026-10-26 02:30:00 +01:00"],
    ),
    (
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:50:00Z",
        &[
            "2026-10-25 02:00:00 +02:00",
            "2026-10-25 02:30:00 +02:00",
            "2026-10-25 02:00:00 +01:00",
            "2026-10-25 02:30:00 +01:00",
            "2026-10-25 03:00:00 +01:00",
        ],
    ),
    (
        "0 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:20:00Z",
        &["2026-10-25 02:00:00 +02:00", "2026-10-25 02:00:00 +01:00", "2026-10-25 03:00:00 +01:00"],
    ),
    // Lists and ranges are fixed times, too: each once, also if it does not exist or exists twice.
    (
        "30 2,14 * * *",
        "Europe/Berlin",
        "2026-03-28T14:00:00Z",
        &["2026-03-29 03:00:00 +02:00", "2026-03-29 14:30:00 +02:00"],
    ),
    (
        "30 2,14 * * *",
        "Europe/Berlin",
        "2026-10-24T22:00:00Z",
        &["2026-10-25 02:30:00 +02:00", "2026-10-25 14:30:00 +01:00", "2026-10-26 02:30:00 +01:00"],
    ),
    (
        "0,30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29 03:00:00 +02:00", "2026-03-30 02:00:00 +02:00"],
    ),
    (
        "30 2-3 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25 02:30:00 +02:00", "2026-10-25 03:30:00 +01:00", "2026-10-26 02:30:00 +01:00"],
    ),
    // A step in the hours is for each real hour.
    (
        "30 */2 * * *",
        "Europe/Berlin",
        "2026-10-24T22:40:00Z",
        &["2026-10-25 02:30:00 +02:00", "2026-10-25 02:30:00 +01:00"],
    ),
    // A midnight that does not exist, and a shift of half an hour.
    (
        "0 0 * * *",
        "Asia/Beirut",
        "2026-03-28T12:00:00Z",
        &["2026-03-29 01:00:00 +03:00", "2026-03-30 00:00:00 +03:00"],
    ),
    (
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["2026-10-04 02:30:00 +11:00", "2026-10-05 02:15:00 +11:00"],
    ),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-05 01:45:00 +11:00", "2026-04-06 01:45:00 +10:30"],
    ),
    // A day that does not exist.
    (
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        &["2011-12-29 12:00:00 -10:00", "2011-12-31 12:00:00 +14:00"],
    ),
    // Leap days, last days, weekdays.
    (
        "0 0 29 2 *",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["2028-02-29 00:00:00 +00:00", "2032-02-29 00:00:00 +00:00"],
    ),
    (
        "0 12 L * *",
        "UTC",
        "2028-02-01T00:00:00Z",
        &["2028-02-29 12:00:00 +00:00", "2028-03-31 12:00:00 +00:00"],
    ),
    (
        "0 12 * * FRI#L",
        "UTC",
        "2028-02-01T00:00:00Z",
        &["2028-02-25 12:00:00 +00:00", "2028-03-31 12:00:00 +00:00"],
    ),
    (
        "0 12 * * MON#2",
        "UTC",
        "2028-02-01T00:00:00Z",
        &["2028-02-14 12:00:00 +00:00", "2028-03-13 12:00:00 +00:00"],
    ),
    ("0 12 15W * *", "UTC", "2026-08-01T00:00:00Z", &["2026-08-14 12:00:00 +00:00"]),
    // Both days given: either of them counts, as in Vixie cron.
    (
        "0 12 13 * FRI",
        "UTC",
        "2026-12-11T13:00:00Z",
        &["2026-12-13 12:00:00 +00:00", "2026-12-18 12:00:00 +00:00"],
    ),
    // Seconds, a year, names.
    (
        "*/20 * * * * *",
        "UTC",
        "2026-01-01T00:00:05Z",
        &["2026-01-01 00:00:20 +00:00", "2026-01-01 00:00:40 +00:00"],
    ),
    ("0 0 0 1 1 * 2030", "UTC", "2026-01-01T00:00:00Z", &["2030-01-01 00:00:00 +00:00"]),
    ("@daily", "Asia/Tokyo", "2026-01-01T00:00:00Z", &["2026-01-02 00:00:00 +09:00"]),
    (
        "0 8-18/5 * * mon-fri",
        "Europe/Lisbon",
        "2026-11-27T19:00:00Z",
        &["2026-11-30 08:00:00 +00:00", "2026-11-30 13:00:00 +00:00", "2026-11-30 18:00:00 +00:00"],
    ),
];

#[test]
fn slots_are_due_as_the_table_says() {
    for (text, zone, from, expected) in CASES {
        let zone = ScheduleZone::parse(zone).unwrap();
        let calendar = Calendar::cron(text, &zone, 0).unwrap();
        let mut at = parse_time(from, &zone).unwrap();
        for time in *expected {
            at = calendar.after(at).unwrap_or_else(|| panic!("{text}: no more slots"));
            assert_eq!(show_time(at, &zone), *time, "{text} in {}", zone.name());
            assert_eq!(calendar.last_between(0, at), Some(at), "{text}");
            assert_eq!(calendar.last_between(0, at + 1), Some(at), "{text}");
        }
    }
}

/// Over years of changes: the number of quarters is that of real quarters, and of nightly runs
/// that of days.
#[test]
fn each_real_quarter_and_each_day_has_one_slot() {
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"] {
        let zone = ScheduleZone::parse(zone).unwrap();
        let begin = parse_time("2025-01-01T00:00:00Z", &zone).unwrap();
        for (text, seconds) in [("*/15 * * * *", 900), ("*/30 * * * *", 1_800)] {
            let calendar = Calendar::cron(text, &zone, begin).unwrap();
            let mut at = begin;
            for _ in 0..365 * 24 * 4 {
                let next = calendar.after(at).unwrap();
                assert_eq!(next, at + seconds, "{text} after {}", show_time(at, &zone));
                at = next;
            }
        }
        for text in ["30 2 * * *", "0 0 * * *", "59 1 * * *"] {
            let calendar = Calendar::cron(text, &zone, begin).unwrap();
            let (mut at, mut days) = (calendar.after(begin).unwrap(), 1);
            while let Some(next) = calendar.after(at).filter(|at| *at < begin + 730 * 86_400) {
                let day = |time| show_time(time, &zone)[..10].to_owned();
                assert_ne!(day(next), day(at), "{text}: twice on a day");
                (at, days) = (next, days + 1);
            }
            assert!((729..=731).contains(&days), "{text} in {}: {days} days", zone.name());
        }
    }
}

#[test]
fn every_counts_from_the_epoch() {
    let calendar = Calendar::every(Duration::from_mins(5)).unwrap();
    assert_eq!(calendar.after(0), Some(300));
    assert_eq!((calendar.after(299), calendar.after(300)), (Some(300), Some(600)));
    assert_eq!(calendar.last_between(0, 899), Some(600));
    assert_eq!(calendar.last_between(600, 899), None);
    let written = Calendar::cron("@every 5m", &ScheduleZone::utc(), 0).unwrap();
    assert_eq!(written.after(299), Some(300));
    assert!(Calendar::every(Duration::from_millis(1_500)).is_none());
    assert!(Calendar::every(Duration::ZERO).is_none());
}

#[test]
fn wrong_expressions_are_explained() {
    let explained = |text: &str| {
        let utc = ScheduleZone::utc();
        let now = parse_time("2026-11-30T12:00:00Z", &utc).unwrap();
        let found = Calendar::cron(text, &utc, now).unwrap_err();
        (found.message, found.did_you_mean)
    };
    let near = |word: &str| Some(word.to_owned());
    for (text, message, hint) in [
        ("0 0 31 2 *", "`0 0 31 2 *` is never due", None),
        ("0 0 30 FEB *", "`0 0 30 FEB *` is never due", None),
        ("0 0 0 29 2 * 2027", "`0 0 0 29 2 * 2027` is never due", None),
        (
            "* * * * * * 2020",
            "`* * * * * * 2020` is never due after 2026-11-30 12:00:00 +00:00",
            None,
        ),
        (
            "0 59 11 30 11 * 2026",
            "`0 59 11 30 11 * 2026` is never due after 2026-11-30 12:00:00 +00:00",
            None,
        ),
        ("60 0 * * *", "invalid minute `60`", None),
        ("0 24 * * *", "invalid hour `24`", None),
        ("0 0 0 * *", "invalid day of the month `0`", None),
        ("0 0 * FEV *", "invalid month `FEV`", near("FEB")),
        ("0 0 * * MONDAY", "invalid day of the week `MONDAY`", near("MON")),
        ("0 0 * * MON-FRU", "invalid day of the week `MON-FRU`", near("FRI")),
        ("0 0 * * MON#6", "invalid day of the week `MON#6`", None),
        ("61 0 0 * * *", "invalid second `61`", None),
        ("* * * *", "a cron expression of 4 fields", None),
        ("", "a cron expression of 0 fields", None),
        ("@dayly", "unknown expression `@dayly`", near("@daily")),
        ("@reboot", "unknown expression `@reboot`", None),
        ("@every", "invalid `@every`", None),
        ("@every 1.5s", "invalid `@every`", None),
    ] {
        assert_eq!(explained(text), (message.to_owned(), hint), "{text}");
    }
    let hostile = "1,".repeat(100_000) + " * * * *";
    assert!(Calendar::cron(&hostile, &ScheduleZone::utc(), 0).is_err());
}
