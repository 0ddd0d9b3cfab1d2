//! Formats points in time for `now()` and `date()`, in UTC.
//!
//! `functions` passes the intended time of the call.
//! Invariant: the time is the run's start plus an intended offset; no clock is read.

use chrono::DateTime;

use crate::units::parse_duration;

/// The letters that a pattern may have after a `%`.
const KNOWN: &str = "YymdeHMSLFTsAaBbZz%";

/// Formats `ms` since the epoch by `pattern`; the error names the unknown part of the pattern.
pub(super) fn format(ms: i64, pattern: &str) -> Result<String, String> {
    let pattern = if pattern == "iso" { "%Y-%m-%dT%H:%M:%S.%LZ" } else { pattern };
    let time = DateTime::from_timestamp_millis(ms)
        .ok_or_else(|| format!("date() cannot represent {ms} ms after 1970"))?;
    let mut of_chrono = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        of_chrono.push(c);
        if c != '%' {
            continue;
        }
        match chars.next() {
            Some('L') => of_chrono.push_str("3f"),
            // Without a space before one digit.
            Some('e') => of_chrono.push_str("-d"),
            Some(letter) if KNOWN.contains(letter) => of_chrono.push(letter),
            other => {
                let other = other.map_or(String::new(), String::from);
                return Err(format!(
                    "date() does not support `%{other}`; it supports %Y %y %m %d %e %H %M %S %L %F \
                     %T %s %A %a %B %b %Z %z %%"
                ));
            }
        }
    }
    Ok(time.format(&of_chrono).to_string())
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
        assert!(format(i64::MAX, "%F").unwrap_err().contains("9223372036854775807 ms"));
        assert!(format(0, "%Q").unwrap_err().contains("`%Q`"));
        assert!(format(0, "50%").unwrap_err().contains("`%`"));
    }

    #[test]
    fn offsets_are_signed() {
        assert_eq!(offset("-1d"), Ok(-86_400_000));
        assert_eq!(offset("+1h30m"), Ok(5_400_000));
        assert!(offset("yesterday").is_err());
    }
}
