//! Quantities that people write and read: durations, rates, sizes, shares.
//!
//! `scenario` and `cli` parse with it, reports and `sinks` format with it.
//! Invariant: a quantity is never a bare float; a written value is kept exactly, in integers.

use std::time::Duration;

/// A frequency, kept exactly as ten-millionths of an event per hour, so that schedules can be
/// computed in integers: a rate per second, minute or hour with up to seven decimals has no
/// remainder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// One event per second in units of this type.
    pub const UNITS_PER_S: u64 = 36_000_000_000;

    /// The highest rate accepted: 100 million events per second.
    pub const MAX: Self = Self::per_s(100_000_000);

    /// Creates a rate from units: ten-millionths of an event per hour.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// Creates a rate of whole events per second.
    pub const fn per_s(events: u64) -> Self {
        Self(events * Self::UNITS_PER_S)
    }

    /// The rate in ten-millionths of an event per hour.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Events per second, for display.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::UNITS_PER_S as f64
    }
}

/// Returns events per second; `None` if no time passed.
pub fn per_second(count: u64, ns: u64) -> Option<f64> {
    (ns > 0).then(|| count as f64 * 1e9 / ns as f64)
}

/// Converts a duration to ns; durations longer than 584 years become that long.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a written quantity is invalid: a lower-case fragment that follows "expected".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuantityError(pub &'static str);

const DURATION: QuantityError = QuantityError("a duration such as 250ms, 1.5s, 2m or 1h30m");
const RATE: QuantityError = QuantityError("a rate such as 200/s, 90/m or 1000/h");
const TOO_LONG: QuantityError = QuantityError("a duration of at most 584 years, such as 10m");
const TOO_FAST: QuantityError = QuantityError("a rate of at most 100000000/s, such as 200/s");
const TOO_LARGE: QuantityError = QuantityError("a size of less than 16 EiB, such as 10MB");
const SIZE: QuantityError = QuantityError("a size such as 512B, 64KiB or 10MB");
const BANDWIDTH: QuantityError = QuantityError("a bandwidth such as 1.6Mbit/s or 200KiB/s");
const SHARE: QuantityError = QuantityError("a share such as 1% or 0.01");

/// Parses `250ms`, `1.5s`, `2m`, `1h30m`, `100us`, `5ns`, `1d`; a bare `0` is zero.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0u128;
    if rest.is_empty() {
        return Err(DURATION);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(DURATION)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ns: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(DURATION),
        };
        total += decimal_times(number, u128::from(unit_ns)).ok_or(DURATION)?;
        rest = tail;
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| TOO_LONG)
}

/// Parses `200/s`, `90/m`, `0.5/s`, `1000/h`.
pub fn parse_rate(text: &str) -> Result<Rate, QuantityError> {
    let (number, per) = text.trim().split_once('/').ok_or(RATE)?;
    let per_s = u128::from(Rate::UNITS_PER_S);
    let units: u128 = match per.trim() {
        "s" | "sec" => per_s,
        "m" | "min" => per_s / 60,
        "h" => per_s / 3_600,
        _ => return Err(RATE),
    };
    let units = decimal_times(number.trim(), units).ok_or(RATE)?;
    u64::try_from(units).map(Rate).ok().filter(|rate| *rate <= Rate::MAX).ok_or(TOO_FAST)
}

/// Parses `512`, `512B`, `64KiB`, `10MB`, `1GiB` into bytes.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u128 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" | "k" | "K" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" | "M" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" | "G" => 1 << 30,
        _ => return Err(SIZE),
    };
    let bytes = decimal_times(number, scale).ok_or(SIZE)?;
    u64::try_from(bytes).map_err(|_| TOO_LARGE)
}

/// Parses `750kbit/s`, `1.6Mbit/s`, `200KiB/s` into whole bytes per second, at least one.
pub fn parse_bandwidth(text: &str) -> Result<u64, QuantityError> {
    let amount = text.trim().strip_suffix("/s").ok_or(BANDWIDTH)?.trim_end();
    let digits = amount.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(BANDWIDTH)?;
    let (number, unit) = amount.split_at(digits);
    let bits: u128 = match unit.trim_start() {
        "bit" => 1,
        "kbit" => 1_000,
        "Mbit" => 1_000_000,
        "Gbit" => 1_000_000_000,
        "B" => 8,
        "kB" => 8_000,
        "KiB" => 8 << 10,
        "MB" => 8_000_000,
        "MiB" => 8 << 20,
        "GB" => 8_000_000_000,
        "GiB" => 8 << 30,
        _ => return Err(BANDWIDTH),
    };
    let bytes = decimal_times(number, bits).ok_or(BANDWIDTH)? / 8;
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or(BANDWIDTH)
}

/// Parses `1%`, `0.5%` or a plain `0.01` into a share of one.
pub fn parse_share(text: &str) -> Result<f64, QuantityError> {
    let text = text.trim();
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let value: f64 = number.parse().map_err(|_| SHARE)?;
    if value.is_finite() && value >= 0.0 { Ok(value / scale) } else { Err(SHARE) }
}

/// Multiplies `digits[.digits]` by an integer scale, in integers; `None` if it is not a plain
/// decimal. Digits beyond the scale's precision are dropped.
fn decimal_times(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 18 || fraction.len() > 18 {
        return None;
    }
    let digits =
        |text: &str| -> Option<u128> { if text.is_empty() { Some(0) } else { text.parse().ok() } };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let cut = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(digits(whole)? * scale + digits(fraction)? * scale / cut)
}

/// Formats a duration with three significant digits: `42 µs`, `1.25 ms`, `2.50 s`, `3m 20s`.
pub fn show_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => three_digits(us as f64 / 1e3, "ms"),
        1_000_000..100_000_000 => three_digits(us as f64 / 1e6, "s"),
        _ => show_duration(Duration::from_micros(us)),
    }
}

/// Formats a long duration: `850ms`, `12s`, `1m30s`, `2h05m`.
pub fn show_duration(duration: Duration) -> String {
    let total = duration.as_secs();
    match total {
        0 => format!("{}ms", duration.as_millis()),
        1..60 if duration.subsec_millis() >= 50 && duration.subsec_millis() < 950 => {
            format!("{:.1}s", duration.as_secs_f64())
        }
        1..60 if duration.subsec_millis() >= 950 => show_duration(Duration::from_secs(total + 1)),
        1..60 => format!("{total}s"),
        60..3_600 if total.is_multiple_of(60) => format!("{}m", total / 60),
        60..3_600 => format!("{}m{:02}s", total / 60, total % 60),
        _ => format!("{}h{:02}m", total / 3_600, total % 3_600 / 60),
    }
}

/// Formats a count and its noun, such as `1 user` or `2 users`; `noun` takes an `s` in the plural.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", show_count(count)) }
}

/// Formats a count, grouped: `12 345 678`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Formats bytes in binary units: `17.2 MiB`.
pub fn show_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { three_digits(value, unit) };
        }
        value /= 1024.0;
    }
    three_digits(value, "TiB")
}

/// Formats a rate: `0.50`, `12.3`, `9 876`.
pub fn show_rate(per_s: f64) -> String {
    if per_s >= 1_000.0 { show_count(per_s.round() as u64) } else { three_digits(per_s, "") }
}

fn three_digits(value: f64, unit: &str) -> String {
    let decimals = match value {
        // `0.0526`: low rates have significant digits, too.
        0.000_001..0.1 => (2.0 - value.log10().floor()) as usize,
        0.0..10.0 => 2,
        _ => usize::from(value < 100.0),
    };
    format!("{value:.decimals$} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_and_errors_are_specific() {
        for (text, ns) in [
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("5us", 5_000),
            ("5µs", 5_000),
            ("0", 0),
            ("0s", 0),
            ("0.1s", 100_000_000),
            ("2d", 172_800_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
        for text in ["", "5", "-5s", "5 s", "s", "1..5s", "1e3s", "5x"] {
            assert_eq!(parse_duration(text), Err(DURATION), "{text}");
        }
        assert_eq!(parse_duration("999999999999999999d"), Err(TOO_LONG));
    }

    #[test]
    fn rates_are_exact_in_each_unit() {
        for (text, per_hour) in [
            ("200/s", 720_000.0),
            ("90/m", 5_400.0),
            ("0.5/s", 1_800.0),
            ("1000/h", 1_000.0),
            ("0.0000001/h", 0.000_000_1),
            ("7/m", 420.0),
            ("0/s", 0.0),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate((per_hour * 1e7) as u64)), "{text}");
        }
        assert_eq!(parse_rate("100000000/s"), Ok(Rate::MAX));
        for text in ["200", "-1/s", "5/x", "/s"] {
            assert_eq!(parse_rate(text), Err(RATE), "{text}");
        }
        assert_eq!(parse_rate("200000000/s"), Err(TOO_FAST));
    }

    #[test]
    fn sizes_and_shares_are_parsed() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1.5MB"), Ok(1_500_000));
        assert_eq!(parse_size("7"), Ok(7));
        assert_eq!(parse_size("7X"), Err(SIZE));
        assert_eq!(parse_share("1%"), Ok(0.01));
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert_eq!(parse_share("-1%"), Err(SHARE));
    }

    #[test]
    fn bandwidths_are_bytes_per_second() {
        for (text, bytes) in [
            ("8bit/s", 1),
            ("1.6Mbit/s", 200_000),
            ("750kbit/s", 93_750),
            ("750 kbit/s", 93_750),
            ("1Gbit/s", 125_000_000),
            ("5B/s", 5),
            ("1.5kB/s", 1_500),
            ("2KiB/s", 2_048),
            ("1MiB/s", 1_048_576),
        ] {
            assert_eq!(parse_bandwidth(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "1Mbit", "Mbit/s", "1Mbps", "1mbit/s", "0B/s", "7bit/s", "-1B/s"] {
            assert_eq!(parse_bandwidth(text), Err(BANDWIDTH), "{text}");
        }
    }

    #[test]
    fn quantities_have_three_significant_digits() {
        for (us, text) in [
            (42, "42 µs"),
            (1_250, "1.25 ms"),
            (12_500, "12.5 ms"),
            (2_500_000, "2.50 s"),
            (200_000_000, "3m20s"),
        ] {
            assert_eq!(show_us(us), text);
        }
        for (rate, text) in [(0.0526, "0.0526"), (1.0 / 3_600.0, "0.000278"), (0.5, "0.50")] {
            assert_eq!(show_rate(rate), text);
        }
        assert_eq!(show_count(12_345_678), "12 345 678");
        assert_eq!(show_bytes(18_035_507), "17.2 MiB");
    }
}
