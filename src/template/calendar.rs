//! Formats points in time for `now()` and `date()`, in UTC.
//!
//! `functions` passes the intended time of the call.
//! Invariant: the time is the run's start plus an intended offset; no clock is read.

use crate::units::parse_duration;

const DAY_MS: i64 = 86_400_000;

const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Returns year, month (from 1) and day (from 1) of a day since 1970-01-01, in the Gregorian
/// calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last of its year, in eras of 400
    // years, which all have 146 097 days.
    let since = days + 719_468;
    let (era, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_month)
}

/// Formats `ms` since the epoch by `pattern`; the error names the unknown part of the pattern.
pub(super) fn format(ms: i64, pattern: &str) -> Result<String, String> {
    use std::fmt::Write;
    let pattern = if pattern == "iso" { "%Y-%m-%dT%H:%M:%S.%LZ" } else { pattern };
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    let weekday = WEEKDAYS[(days + 3).rem_euclid(7) as usize];
    let month_name = MONTHS[(month - 1) as usize];
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let written = match chars.next() {
            Some('Y') => write!(out, "{year:04}"),
            Some('y') => write!(out, "{:02}", year.rem_euclid(100)),
            Some('m') => write!(out, "{month:02}"),
            Some('d') => write!(out, "{day:02}"),
            Some('e') => write!(out, "{day}"),
            Some('H') => write!(out, "{hour:02}"),
            Some('M') => write!(out, "{minute:02}"),
            Some('S') => write!(out, "{second:02}"),
            Some('L') => write!(out, "{milli:03}"),
            Some('F') => write!(out, "{year:04}-{month:02}-{day:02}"),
            Some('T') => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            Some('s') => write!(out, "{}", ms.div_euclid(1_000)),
            Some('A') => write!(out, "{weekday}"),
            Some('a') => write!(out, "{}", &weekday[..3]),
            Some('B') => write!(out, "{month_name}"),
            Some('b') => write!(out, "{}", &month_name[..3]),
            Some('Z') => write!(out, "UTC"),
            Some('z') => write!(out, "+0000"),
            Some('%') => write!(out, "%"),
            other => {
                let other = other.map_or(String::new(), String::from);
                return Err(format!(
                    "date() does not know `%{other}`; it knows %Y %y %m %d %e %H %M %S %L %F %T \
                     %s %A %a %B %b %Z %z %%"
                ));
            }
        };
        debug_assert!(written.is_ok());
    }
    Ok(out)
}

/// Parses an offset such as `-1d`, `+2h` or `90m`, in ms.
pub(super) fn offset(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => (-1, size),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let size =
        parse_duration(size.trim()).ok().and_then(|size| i64::try_from(size.as_millis()).ok());
    size.map(|size| sign * size)
        .ok_or_else(|| format!("date() takes an offset such as \"-1d\" or \"2h\", not \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_correct_for_all_centuries() {
        for (ms, pattern, text) in [
            (0, "%F %T.%L %A %B", "1970-01-01 00:00:00.000 Thursday January"),
            (951_782_400_000, "%Y-%m-%d %a", "2000-02-29 Tue"),
            (1_763_690_583_042, "iso", "2025-11-21T02:03:03.042Z"),
            (4_107_542_400_000, "%d.%m.%y %b %e", "01.03.00 Mar 1"),
            (-1, "%F %T %s", "1969-12-31 23:59:59 -1"),
            (1_709_164_800_000, "100%% %Z%z", "100% UTC+0000"),
        ] {
            assert_eq!(format(ms, pattern).as_deref(), Ok(text));
        }
        assert!(format(0, "%Q").unwrap_err().contains("`%Q`"));
        assert!(format(0, "50%").unwrap_err().contains("`%`"));
    }

    #[test]
    fn offsets_are_signed() {
        assert_eq!(offset("-1d"), Ok(-DAY_MS));
        assert_eq!(offset("+1h30m"), Ok(5_400_000));
        assert!(offset("yesterday").is_err());
    }
}
