//! Any bytes as the date of a cookie: a date between 1601 and 9999, or `None`.
//!
//! Input: the value of `Expires`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::cookie::date::parse;

/// 1601-01-01 00:00:00 and 9999-12-31 23:59:59 UTC.
const RANGE: std::ops::RangeInclusive<i64> = -11_644_473_600..=253_402_300_799;

fuzz_target!(|data: &[u8]| {
    let Some(seconds) = parse(data) else { return };
    assert!(RANGE.contains(&seconds), "{seconds}");
    // The first of each part counts, so bytes after a complete date do not change it.
    let longer = [data, b" 11:12:13 14 Dec 2015 GMT"].concat();
    assert_eq!(parse(&longer), Some(seconds), "what follows changed it");
    let upper = data.to_ascii_uppercase();
    assert_eq!(parse(&upper), Some(seconds), "capitals changed it");
});
