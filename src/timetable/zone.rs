//! Time zones, and times as texts.
//!
//! `calendar` computes in a zone; `scenario` and `cli` parse and show times.
//! Invariant: zones are those of the program, never those of the machine, so that all machines
//! with one version compute the same times.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{self, TimeZone};

use crate::suggest::nearest;

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleZone {
    name: String,
    pub(super) zone: TimeZone,
}

impl ScheduleZone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The zone of this name, such as `Europe/Lisbon`; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("utc") {
            return Some(Self::utc());
        }
        let zone = tz::db().get(name).ok()?;
        // The database finds names in any case; what is shown is its own spelling.
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Some(Self { name, zone })
    }

    /// The name of a zone that resembles `name`.
    pub fn suggestion(name: &str) -> Option<String> {
        let known: Vec<String> = tz::db().available().map(|zone| zone.to_string()).collect();
        let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase();
        let wanted = city(name);
        let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        near.or_else(|| known.iter().find(|zone| city(zone) == wanted).cloned())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Shows a time, seconds since the epoch, in a zone: `2026-03-29 03:00:00 +02:00`.
pub fn show_time(seconds: u64, zone: &ScheduleZone) -> String {
    match timestamp(seconds) {
        Some(time) => time.to_zoned(zone.zone.clone()).strftime("%F %T %:z").to_string(),
        None => "never".to_owned(),
    }
}

/// A time in UTC, ms since the epoch, by RFC 3339: `2026-03-29T01:00:00.250Z`.
pub fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// A time in UTC as a part of a file's name: `20260329T010000Z`.
pub fn stamp(seconds: u64) -> String {
    timestamp(seconds).map_or_else(String::new, |time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Parses a time with its offset (`2026-03-29T01:00:00Z`), or a time of the zone
/// (`2026-03-29T03:00`); seconds since the epoch.
pub fn parse_time(text: &str, zone: &ScheduleZone) -> Option<u64> {
    let time = text.parse::<Timestamp>().ok();
    let local = || text.parse::<DateTime>().ok()?.to_zoned(zone.zone.clone()).ok();
    let seconds = time.or_else(|| Some(local()?.timestamp()))?.as_second();
    u64::try_from(seconds).ok()
}

/// A time of jiff; `None` if it is out of its range.
pub(super) fn timestamp(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name_and_suggested() {
        assert_eq!(ScheduleZone::parse("europe/lisbon").unwrap().name(), "Europe/Lisbon");
        assert!(ScheduleZone::parse("Europe/Lisboa").is_none());
        assert_eq!(ScheduleZone::suggestion("Europe/Lisbn").as_deref(), Some("Europe/Lisbon"));
        assert_eq!(ScheduleZone::suggestion("lisbon").as_deref(), Some("Europe/Lisbon"));
        assert_eq!(ScheduleZone::suggestion("Middle-earth/Bree"), None);
    }

    #[test]
    fn times_are_parsed_and_shown() {
        let zone = ScheduleZone::parse("Europe/Berlin").unwrap();
        let seconds = parse_time("2026-03-29T01:00:00Z", &zone).unwrap();
        assert_eq!(show_time(seconds, &zone), "2026-03-29 03:00:00 +02:00");
        assert_eq!(rfc3339(seconds * 1_000 + 7), "2026-03-29T01:00:00.007Z");
        assert_eq!(stamp(seconds), "20260329T010000Z");
        assert_eq!(parse_time("2026-03-29T03:00", &zone), Some(seconds));
        assert_eq!(parse_time("2026-03-29 03:00+02:00", &zone), Some(seconds));
        for wrong in ["", "noon", "2026-02-30T00:00", "1960-01-01T00:00:00Z"] {
            assert_eq!(parse_time(wrong, &zone), None, "{wrong}");
        }
        assert_eq!(show_time(u64::MAX, &zone), "never");
    }
}
