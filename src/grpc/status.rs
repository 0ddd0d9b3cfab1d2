//! Statuses of gRPC as they stand in trailers, and timeouts as they stand in requests.
//!
//! `wire` reads them; `engine` writes timeouts.
//! Invariant: whatever a target sends is one of the statuses of gRPC.

use std::time::Duration;

use crate::protocol::{Protocol, status};

/// The code of an unknown error.
const UNKNOWN: usize = 2;

/// The last code.
const LAST: usize = 16;

/// The largest number of a timeout: 8 digits.
const MAX_DIGITS: u128 = 99_999_999;

/// The status of `grpc-status`; UNKNOWN if it is no code of gRPC.
pub fn of_trailer(value: &[u8]) -> u16 {
    let code = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    let code = code.filter(|code| *code <= LAST).unwrap_or(UNKNOWN);
    status::of_code(Protocol::Grpc, code)
}

/// The status of a response without `grpc-status`, by its HTTP status other than 200
/// (doc/http-grpc-status-mapping.md of gRPC).
pub fn of_http(http: u16) -> u16 {
    let code = match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => UNKNOWN,
    };
    status::of_code(Protocol::Grpc, code)
}

/// Whether a status is OK.
pub fn is_ok(status: u16) -> bool {
    status == status::of_code(Protocol::Grpc, 0)
}

/// The text of `grpc-message`.
pub fn message(value: &[u8]) -> Vec<u8> {
    let decoded: Vec<u8> = percent_encoding::percent_decode(value).collect();
    String::from_utf8_lossy(&decoded).into_owned().into_bytes()
}

/// The value of `grpc-timeout`, in the finest unit whose number has at most 8 digits.
pub fn timeout(timeout: Duration) -> String {
    let nanos = timeout.as_nanos();
    let units = [(1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S'), (60_000_000_000, 'M')];
    for (unit, name) in units {
        let number = nanos.div_ceil(unit);
        if number <= MAX_DIGITS {
            return format!("{number}{name}");
        }
    }
    format!("{}H", nanos.div_ceil(3_600_000_000_000).min(MAX_DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_and_http_statuses_are_statuses_of_grpc() {
        let words = |status: u16| status::word(status).into_owned();
        for (value, word) in [
            ("0", "OK"),
            ("4", "DEADLINE_EXCEEDED"),
            ("16", "UNAUTHENTICATED"),
            ("17", "UNKNOWN"),
            ("-1", "UNKNOWN"),
            ("", "UNKNOWN"),
            ("99999999999999999999999", "UNKNOWN"),
        ] {
            assert_eq!(words(of_trailer(value.as_bytes())), word, "{value}");
        }
        assert_eq!(words(of_trailer(b"\xff")), "UNKNOWN");
        for (http, word) in [
            (400, "INTERNAL"),
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "UNIMPLEMENTED"),
            (429, "UNAVAILABLE"),
            (502, "UNAVAILABLE"),
            (503, "UNAVAILABLE"),
            (504, "UNAVAILABLE"),
            (500, "UNKNOWN"),
            (302, "UNKNOWN"),
        ] {
            assert_eq!(words(of_http(http)), word, "{http}");
        }
        assert!(is_ok(of_trailer(b"0")) && !is_ok(of_http(500)));
    }

    #[test]
    fn messages_are_percent_decoded_whatever_they_hold() {
        assert_eq!(message(b"so be it: %C3%BC %2541"), "so be it: ü %41".as_bytes());
        assert_eq!(message(b"50% of %zz%"), b"50% of %zz%");
        assert_eq!(message(b"%ff"), "\u{fffd}".as_bytes());
    }

    #[test]
    fn timeouts_have_at_most_eight_digits() {
        for (given, shown) in [
            (Duration::from_millis(250), "250000u"),
            (Duration::from_nanos(1), "1u"),
            (Duration::from_secs(99), "99000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::from_secs(100_000_000), "1666667M"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(timeout(given), shown);
        }
    }
}
