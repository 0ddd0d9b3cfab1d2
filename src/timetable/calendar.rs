//! When a job is due: a cron expression in a time zone, or every so often.
//!
//! `scenario` parses it, `schedule` asks it.
//! Invariant: slots rise strictly. `every` counts from the epoch, not from a start, so that all
//! machines have the same slots.
//!
//! Daylight saving: an expression with fixed hours and minutes that falls into a skipped hour is
//! due at the end of the gap; one that occurs twice is due at the first of the two. With `*` or a
//! step in hours or minutes each real hour or quarter counts, also those of a repeated hour.

use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::zone::{ScheduleZone, show_time, timestamp};
use crate::suggest::nearest;
use crate::units;

/// How far back the last slot is looked for, each next one if the former has none, seconds.
const WINDOWS: [u64; 5] = [3_600, 25 * 3_600, 32 * 86_400, 367 * 86_400, 9 * 366 * 86_400];

/// A day that a zone has skipped ends a search of the library; it goes on so many hours later.
const SKIPPED_DAY: u64 = 36;

/// The most that a zone has changed its clock by, seconds: Samoa, in 2011.
const LONGEST_CHANGE: u64 = 25 * 3_600;

/// A gap of this length, seconds, is a day that a zone has skipped: its times are left out.
const HALF_A_DAY: i32 = 12 * 3_600;

/// The longest expression, bytes.
const MAX_TEXT: usize = 200;

/// Where a search begins that finds out whether the days of an expression exist: 2000-01-01.
const MILLENNIUM: u64 = 946_684_800;

/// The names of the fields, from minutes on.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L or 15W"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT, 5L or MON#2"),
];

/// Words of the last two fields.
const WORDS: [&str; 19] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "SUN",
    "MON", "TUE", "WED", "THU", "FRI", "SAT",
];

/// Expressions with a name.
const NICKNAMES: [&str; 8] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every"];

/// The times at which a job is due.
#[derive(Clone, Debug)]
pub struct Calendar {
    rule: CalendarRule,
    zone: ScheduleZone,
    /// As written.
    shown: String,
}

#[derive(Clone, Debug)]
enum CalendarRule {
    /// Each multiple of so many seconds since the epoch.
    Every(u64),
    Cron(Box<Cron>),
    /// An expression with fixed hours and minutes.
    Fixed(Box<Cron>),
}

/// Why a text is no calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CalendarError {
    /// What is wrong.
    pub message: String,
    /// What is expected.
    pub expected: String,
    /// What was perhaps meant.
    pub did_you_mean: Option<String>,
}

impl Calendar {
    /// A calendar of each multiple of a time since the epoch; `None` unless it has whole seconds.
    pub fn every(interval: Duration) -> Option<Self> {
        let seconds = interval.as_secs();
        let is_whole = seconds > 0 && interval.subsec_nanos() == 0;
        is_whole.then(|| Self {
            rule: CalendarRule::Every(seconds),
            zone: ScheduleZone::utc(),
            shown: format!("every {}", units::show_duration(interval)),
        })
    }

    /// Parses an expression of five fields, six with seconds before, seven with a year behind, or
    /// one with a name, such as `@daily` or `@every 5m`.
    ///
    /// # Errors
    /// If it is no such expression, or is never due after `now`, in seconds since the epoch.
    pub fn cron(text: &str, zone: &ScheduleZone, now: u64) -> Result<Self, CalendarError> {
        let text = text.trim();
        if let Some(interval) = text.strip_prefix("@every") {
            let expected = "@every with a duration of whole seconds, such as `@every 5m`";
            let parsed = units::parse_duration(interval.trim()).ok().and_then(Self::every);
            return parsed
                .map(|calendar| Self { shown: text.to_owned(), ..calendar })
                .ok_or_else(|| error("invalid `@every`", expected, None));
        }
        if text.len() > MAX_TEXT {
            let expected = format!("at most {MAX_TEXT} characters");
            return Err(error("the cron expression is too long", &expected, None));
        }
        let parser = CronParser::new();
        let cron = parser.parse(text).map_err(|_| explain(text, parser))?;
        let cron = Box::new(cron);
        let rule =
            if is_fixed(text) { CalendarRule::Fixed(cron) } else { CalendarRule::Cron(cron) };
        let calendar = Self { rule, zone: zone.clone(), shown: text.to_owned() };
        if calendar.after(MILLENNIUM).is_none() {
            let expected = "days that exist, such as `L` for the last day of a month";
            return Err(error(&format!("`{text}` is never due"), expected, None));
        }
        if calendar.after(now).is_none() {
            let message = format!("`{text}` is never due after {}", show_time(now, zone));
            return Err(error(&message, "a year to come, or no year", None));
        }
        Ok(calendar)
    }

    /// The first slot later than `time`, both in seconds since the epoch; `None` if there is none.
    pub fn after(&self, time: u64) -> Option<u64> {
        match &self.rule {
            CalendarRule::Every(seconds) => {
                (time / seconds).checked_add(1)?.checked_mul(*seconds).filter(|at| *at < 1 << 40)
            }
            CalendarRule::Cron(cron) => {
                // Samoa had no 30 December 2011.
                let later = |hours| self.search(cron, time.checked_add(hours * 3_600)?);
                let found = self.search(cron, time);
                found.or_else(|| (1..=SKIPPED_DAY).find_map(later)).filter(|at| *at > time)
            }
            CalendarRule::Fixed(cron) => self.fixed_after(cron, time),
        }
    }

    /// The first slot after `time` of an expression with fixed hours and minutes: its times by a
    /// clock without changes, each moved to where this zone has it.
    fn fixed_after(&self, cron: &Cron, time: u64) -> Option<u64> {
        let zone = &self.zone.zone;
        let local = |at: u64| timestamp(at).map(|at| at.to_zoned(zone.clone()));
        let (now, before) = (local(time)?, local(time.saturating_sub(LONGEST_CHANGE)));
        // After a change of the clock earlier times may still be to come, or have been.
        let is_near = before.as_ref().is_some_and(|before| before.offset() != now.offset());
        let from = if is_near { before? } else { now };
        let mut clock = from.datetime().to_zoned(TimeZone::UTC).ok()?;
        loop {
            clock = cron.find_next_occurrence(&clock, false).ok()?;
            let at = instant(zone, clock.datetime()).map_or(0, Timestamp::as_second);
            if let Some(at) = u64::try_from(at).ok().filter(|at| *at > time) {
                return Some(at);
            }
        }
    }

    /// The first slot of an expression after `time`, if the library finds one.
    fn search(&self, cron: &Cron, time: u64) -> Option<u64> {
        let zoned = timestamp(time)?.to_zoned(self.zone.zone.clone());
        let found = cron.find_next_occurrence(&zoned, false).ok()?;
        u64::try_from(found.timestamp().as_second()).ok()
    }

    /// The last slot at or before `now` that is later than `from`; `None` if there is none.
    pub fn last_between(&self, from: u64, now: u64) -> Option<u64> {
        if let CalendarRule::Every(seconds) = &self.rule {
            return Some(now / seconds * seconds).filter(|at| *at > from);
        }
        let is_there = |slot: &u64| *slot <= now;
        WINDOWS.into_iter().find_map(|window| {
            let begin = from.max(now.saturating_sub(window));
            let mut last = self.after(begin).filter(is_there)?;
            while let Some(next) = self.after(last).filter(is_there) {
                last = next;
            }
            Some(last)
        })
    }

    /// The zone that its fields are read in.
    pub fn zone(&self) -> &ScheduleZone {
        &self.zone
    }

    /// The calendar as it was written.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The time between slots, if it is always the same, seconds.
    pub fn interval(&self) -> Option<u64> {
        match self.rule {
            CalendarRule::Every(seconds) => Some(seconds),
            CalendarRule::Cron(_) | CalendarRule::Fixed(_) => None,
        }
    }
}

/// Whether an expression has numbers, ranges or lists alone as minutes and hours: `*` and steps are
/// for each real hour.
fn is_fixed(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let first = usize::from(fields.len() > 5);
    let is_number = |field: &&str| !field.contains(['*', '/']);
    match fields.get(first..first + 2) {
        Some(times) => times.iter().all(is_number),
        None => text != "@hourly",
    }
}

/// The instant of a local time: the end of the gap if it is skipped, the first if there are two;
/// `None` if its whole day is skipped.
fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let AmbiguousOffset::Gap { before, after } = ambiguous.offset() else {
        return ambiguous.earlier().ok();
    };
    if after.seconds() - before.seconds() >= HALF_A_DAY {
        return None;
    }
    // As if the clock had not been changed: at the change or later, so that the last one is meant.
    let after = ambiguous.later().ok()?.checked_add(SignedDuration::from_secs(1)).ok()?;
    zone.preceding(after).next().map(|change| change.timestamp())
}

fn error(message: &str, expected: &str, did_you_mean: Option<&str>) -> CalendarError {
    CalendarError {
        message: message.to_owned(),
        expected: expected.to_owned(),
        did_you_mean: did_you_mean.map(str::to_owned),
    }
}

/// Finds out which field is wrong: the one that is not accepted alone.
fn explain(text: &str, parser: CronParser) -> CalendarError {
    if text.starts_with('@') {
        let near = nearest(text, NICKNAMES);
        let names = NICKNAMES.join(", ");
        return error(&format!("unknown expression `{text}`"), &format!("one of {names}"), near);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if !(5..=7).contains(&fields.len()) {
        let count = units::counted(fields.len() as u64, "field");
        let expected = "minute, hour, day of the month, month and day of the week, such as \
                        `*/15 8-18 * * MON-FRI`; seconds may stand before them, and then a year \
                        behind them";
        return error(&format!("a cron expression of {count}"), expected, None);
    }
    let first = usize::from(fields.len() > 5);
    if first == 1 && !is_accepted(parser, fields[0], 0) {
        return wrong_field("second", "0-59", fields[0]);
    }
    for (at, (name, values)) in FIELDS.iter().enumerate() {
        let field = fields[first + at];
        if !is_accepted(parser, field, at + 1) {
            return wrong_field(name, values, field);
        }
    }
    wrong_field("year", "1-9999", fields.get(6).copied().unwrap_or(text))
}

/// Whether an expression is valid that has this field at a place, and `*` in all others.
fn is_accepted(parser: CronParser, field: &str, place: usize) -> bool {
    let mut fields = ["*"; 6];
    fields[place] = field;
    parser.parse(&fields.join(" ")).is_ok()
}

fn wrong_field(name: &str, values: &str, field: &str) -> CalendarError {
    let is_word = |part: &&str| part.len() > 2 && part.chars().all(char::is_alphabetic);
    let mut words = field.split([',', '-', '/', '#']).filter(is_word);
    let near = words.find_map(|word| {
        let upper = word.to_uppercase();
        let begin: String = upper.chars().take(3).collect();
        let known = WORDS.iter().copied();
        if WORDS.contains(&upper.as_str()) {
            return None;
        }
        nearest(&upper, known.clone()).or_else(|| known.clone().find(|name| *name == begin))
    });
    let expected = format!("{values}; also `*`, lists, ranges and steps");
    error(&format!("invalid {name} `{field}`"), &expected, near)
}
