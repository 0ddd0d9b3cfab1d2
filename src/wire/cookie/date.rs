//! The dates of cookies: the algorithm of RFC 6265 §5.1.1, which accepts nearly anything.
//!
//! `jar` parses `Expires` with it.
//! Invariant: any bytes are a date or `None`; nothing is allocated.

/// The parts of a date, each found at most once.
#[derive(Default)]
struct DateParts {
    time: Option<[u32; 3]>,
    day: Option<u32>,
    month: Option<u32>,
    year: Option<u32>,
}

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Returns the seconds from 1970-01-01 00:00:00 UTC to a date, negative before it; `None` if the
/// text is no date.
pub fn parse(text: &[u8]) -> Option<i64> {
    let mut found = DateParts::default();
    text.split(|byte| is_delimiter(*byte)).filter(|token| !token.is_empty()).for_each(|token| {
        found.take(token);
    });
    found.seconds()
}

/// Whether a byte separates tokens: the tab, and printable characters except letters, digits and
/// the colon.
const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'/' | b';'..=b'@' | b'['..=b'`' | b'{'..=b'~')
}

impl DateParts {
    /// Stores a token as the first part that is still missing and that the token can be.
    fn take(&mut self, token: &[u8]) {
        if self.time.is_none()
            && let Some(time) = time(token)
        {
            self.time = Some(time);
        } else if self.day.is_none()
            && let Some((day, _)) = number(token, 1, 2)
        {
            self.day = Some(day);
        } else if self.month.is_none()
            && let Some(month) = month(token)
        {
            self.month = Some(month);
        } else if self.year.is_none()
            && let Some((year, _)) = number(token, 2, 4)
        {
            self.year = Some(year);
        }
    }

    fn seconds(&self) -> Option<i64> {
        let ([hour, minute, second], day, month) = (self.time?, self.day?, self.month?);
        let year = match self.year? {
            year @ 70..=99 => 1900 + year,
            year @ 0..=69 => 2000 + year,
            year => year,
        };
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if year < 1601 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let of_day = i64::from(hour * 3_600 + minute * 60 + second);
        Some(days(i64::from(year), i64::from(month), i64::from(day)) * 86_400 + of_day)
    }
}

/// Returns the days from 1970-01-01 to a Gregorian date. Years are counted from March on, so that
/// the leap day is the last one of a year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = 365 * year + year / 4 - year / 100 + year / 400;
    // 30.6 days a month on average, rounded so that March has 31, April 30, and so on.
    let before_month = (153 * month + 2) / 5;
    before_year + before_month + day - 1 - 719_468
}

/// `1*2DIGIT ":" 1*2DIGIT ":" 1*2DIGIT`, then no digit.
fn time(token: &[u8]) -> Option<[u32; 3]> {
    let (hour, rest) = number(token, 1, 2)?;
    let (minute, rest) = number(rest.strip_prefix(b":")?, 1, 2)?;
    let (second, _) = number(rest.strip_prefix(b":")?, 1, 2)?;
    Some([hour, minute, second])
}

/// Parses `least` to `most` digits, then no digit; returns the rest too.
fn number(token: &[u8], least: usize, most: usize) -> Option<(u32, &[u8])> {
    let length = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = token.split_at(length);
    let value = || digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    (least..=most).contains(&length).then(|| (value(), rest))
}

/// Parses a month by its first three letters.
fn month(token: &[u8]) -> Option<u32> {
    let start = token.get(..3)?;
    let place = MONTHS.iter().position(|name| start.eq_ignore_ascii_case(*name))?;
    u32::try_from(place + 1).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_parsed_as_rfc_6265_defines() {
        // 1994-11-06 08:49:37 is the example of RFC 9110 §5.6.7, in its three forms and in others.
        const EXAMPLE: i64 = 784_111_777;
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "08:49:37 06 Nov 94",
            "8:49:37 6 november 1994",
            "1994 NOV 6 08:49:37",
            "6/nOv/1994;08:49:37",
            "Nov 06 94 08:49:37 +0100",
            "Mon, 06 Nov 1994 08:49:37 EST",
            "06 Nov 1994 08:49:37 2001 Dec 7 09:00:00",
            "\t06]Nov`1994~08:49:37Z",
            "06Nov Nov 1994 08:49:37",
            "6th Nov 1994th 8:49:37pm",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(EXAMPLE), "{text}");
        }
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("1 Jan 1970 00:00:01", Some(1)),
            ("31 Dec 1969 23:59:59", Some(-1)),
            ("Wed, 09 Jun 2021 10:18:14 GMT", Some(1_623_233_894)),
            ("1 Jan 70 0:0:0", Some(0)),
            ("31 Dec 69 23:59:59", Some(3_155_759_999)),
            ("1 Jan 00 00:00:00", Some(946_684_800)),
            ("1 Mar 1900 00:00:00", Some(-2_203_891_200)),
            ("29 Feb 2024 00:00:00", Some(1_709_164_800)),
            ("29 Feb 2000 00:00:00", Some(951_782_400)),
            ("31 Dec 9999 23:59:59", Some(253_402_300_799)),
            ("1 Jan 1601 00:00:00", Some(-11_644_473_600)),
        ] {
            assert_eq!(parse(text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn invalid_dates_are_none() {
        for text in [
            "",
            "soon",
            "Sun, 06 Nov 1994",
            "06 Nov 08:49:37",
            "06 1994 08:49:37",
            "Nov 1994 08:49:37",
            "06 Nov 1600 08:49:37",
            "06 Nov 100 08:49:37",
            "06 Nov 19944 08:49:37",
            "06 Nov 4 08:49:37",
            "00 Nov 1994 08:49:37",
            "32 Oct 1994 08:49:37",
            "31 Nov 1994 08:49:37",
            "29 Feb 2023 08:49:37",
            "29 Feb 1900 08:49:37",
            "06 Nov 1994 24:00:00",
            "06 Nov 1994 08:60:00",
            "06 Nov 1994 08:49:60",
            "06 Nov 1994 08:49",
            "06 Nov 1994 08:49:371",
            "006 Nov 1994 08:49:37",
            "06 Nov 1994 08.49.37",
            "06:Nov:1994 08:49:37",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_date_or_none(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let range = -11_644_473_600..253_402_300_800;
            prop_assert!(parse(&text).is_none_or(|seconds| range.contains(&seconds)));
        }

        #[test]
        fn each_day_follows_the_one_before(day in 0u64..2_900_000) {
            // As httpdate writes them, from 1970 to 9999.
            let seconds = day * 86_400 + 3_661;
            let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(date);
            prop_assert_eq!(parse(text.as_bytes()), Some(seconds as i64), "{}", text);
        }
    }
}
