//! What the headers of a response say of a limit: `RateLimit` and `RateLimit-Policy` as structured
//! fields, their older forms, `X-RateLimit-*` and `Retry-After`.
//!
//! `sender` reads them from a captured head, `agreement` compares them with what was measured.
//! Invariant: a value that cannot be read is left out; at most [`MAX_POLICIES`] policies are kept.

use std::time::{SystemTime, UNIX_EPOCH};

/// Maximum number of policies that are kept of a response.
const MAX_POLICIES: usize = 8;

/// Maximum length of a value that is read, bytes.
const MAX_VALUE: usize = 1_000;

/// Numbers above this are seconds since 1970, not seconds from now: ten years.
const EPOCH_FROM: f64 = 315_360_000.0;

/// Waits from this length on are shown in days as well, seconds.
const TWO_DAYS: f64 = 172_800.0;

/// Counts from this number on are not shown.
const LARGEST_SHOWN: f64 = 1e15;

/// What the headers of a response say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advertised {
    /// The limits.
    pub limits: Vec<AdvertisedLimit>,
    /// Requests that are left.
    pub remaining: Option<f64>,
    /// Until the allowance is whole again.
    pub reset: Option<Reset>,
    /// Seconds after which a refused request may be sent again.
    pub retry_after: Option<f64>,
}

/// A limit by a header.
#[derive(Clone, Debug, PartialEq)]
pub struct AdvertisedLimit {
    /// The header.
    pub header: &'static str,
    /// Requests.
    pub requests: f64,
    /// Per these seconds; `None`: the header does not say.
    pub window: Option<f64>,
}

/// Until when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reset {
    /// Seconds from the response on.
    pub seconds: f64,
}

/// Headers of a limit, with the seconds of their window where their name says it.
const LIMITS: [(&str, Option<f64>); 8] = [
    ("ratelimit-limit", None),
    ("x-ratelimit-limit", None),
    ("x-rate-limit-limit", None),
    ("x-ratelimit-limit-second", Some(1.0)),
    ("x-ratelimit-limit-minute", Some(60.0)),
    ("x-ratelimit-limit-hour", Some(3_600.0)),
    ("x-ratelimit-limit-day", Some(86_400.0)),
    ("x-ratelimit-limit-requests", None),
];

impl Advertised {
    /// Reads the headers of a response that came at `now`; names are in lower case.
    pub fn read<'a>(
        headers: &(impl Iterator<Item = (&'a str, &'a str)> + Clone),
        now: SystemTime,
    ) -> Self {
        let mut found = Self::default();
        let values = |name: &'a str| {
            let of_name = move |(own, value): (&str, &'a str)| (own == name).then_some(value);
            headers.clone().filter_map(of_name).filter(|value| value.len() <= MAX_VALUE)
        };
        for value in values("ratelimit-policy") {
            found.read_policy("RateLimit-Policy", value);
        }
        for value in values("ratelimit") {
            found.read_ratelimit(value);
        }
        for (name, window) in LIMITS {
            for value in values(name) {
                found.read_limit(name, value, window);
            }
        }
        for name in ["ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining"] {
            let value = values(name).next().and_then(number);
            found.remaining = found.remaining.or(value);
        }
        for name in ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"] {
            let value = values(name).next().and_then(|value| seconds_until(value, now));
            found.reset = found.reset.or(value.map(|seconds| Reset { seconds }));
        }
        found.retry_after =
            values("retry-after").next().and_then(|value| seconds_until(value, now));
        found
    }

    /// Whether there is any such header.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, header: &'static str, requests: f64, window: Option<f64>) {
        let is_known = |known: &AdvertisedLimit| {
            known.requests.total_cmp(&requests).is_eq()
                && (window.is_none() || known.window == window)
        };
        if self.limits.len() < MAX_POLICIES && !self.limits.iter().any(is_known) {
            self.limits.push(AdvertisedLimit { header, requests, window });
        }
    }

    /// Reads `"name";q=100;w=60, …`, or the older `100;w=60, …`.
    fn read_policy(&mut self, header: &'static str, value: &str) {
        for item in value.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let first = parts.next().and_then(number);
            let (mut quota, mut window) = (first, None);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim() {
                    "q" => quota = number(value),
                    "w" => window = number(value),
                    _ => {}
                }
            }
            if let Some(quota) = quota {
                self.add(header, quota, window);
            }
        }
    }

    /// Reads `"name";r=50;t=30`, or the older `limit=100, remaining=50, reset=30`.
    fn read_ratelimit(&mut self, value: &str) {
        for part in value.split([';', ',']).filter_map(|part| part.split_once('=')) {
            let Some(number) = number(part.1) else { continue };
            match part.0.trim() {
                "r" | "remaining" => self.remaining = self.remaining.or(Some(number)),
                "t" | "reset" => {
                    self.reset = self.reset.or(Some(Reset { seconds: number }));
                }
                "limit" => self.add("RateLimit", number, None),
                _ => {}
            }
        }
    }

    /// Reads `100`, or `100, 100;w=60`.
    fn read_limit(&mut self, name: &'static str, value: &str, window: Option<f64>) {
        if value.contains(";w=") || value.contains("; w=") {
            let policies = value.split_once(',').map_or(value, |(_, policies)| policies);
            self.read_policy(name, policies);
        } else if let Some(requests) = value.split(',').next().and_then(number) {
            self.add(name, requests, window);
        }
    }
}

/// A time that a header says, as text; one of more than ten years only as such.
pub(super) fn shown_wait(seconds: f64) -> String {
    match seconds {
        long if long > EPOCH_FROM => "more than 10 years".to_owned(),
        long if long >= TWO_DAYS => format!("{long:.0} s ({:.0} days)", long / 86_400.0),
        short => format!("{short:.0} s"),
    }
}

/// A number of requests that a header says, as text; a huge one only as such.
pub(super) fn shown_count(requests: f64) -> String {
    if requests > LARGEST_SHOWN { "more than 10^15".to_owned() } else { requests.to_string() }
}

/// A number that is neither negative nor without end.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| is_number && number.is_finite())
}

/// Seconds from `now` until what a header says: seconds, seconds or milliseconds since 1970, or a
/// date.
fn seconds_until(text: &str, now: SystemTime) -> Option<f64> {
    let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
    let now_s = since_epoch(now)?.as_secs_f64();
    let text = text.trim();
    match number(text.trim_end_matches('s')) {
        Some(number) if number > EPOCH_FROM * 1_000.0 => Some((number / 1_000.0 - now_s).max(0.0)),
        Some(number) if number > EPOCH_FROM => Some((number - now_s).max(0.0)),
        Some(number) => Some(number),
        None => {
            let at = since_epoch(httpdate::parse_http_date(text).ok()?)?;
            Some((at.as_secs_f64() - now_s).max(0.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(headers: &[(&str, &str)]) -> Advertised {
        let now = UNIX_EPOCH + Duration::from_hours(500_000);
        Advertised::read(&headers.iter().copied(), now)
    }

    fn limit(found: &Advertised) -> Vec<(f64, Option<f64>)> {
        found.limits.iter().map(|limit| (limit.requests, limit.window)).collect()
    }

    #[test]
    fn structured_fields_and_their_older_forms_are_read() {
        let found = read(&[
            ("ratelimit-policy", "\"burst\";q=100;w=60,\"day\";q=5000;w=86400"),
            ("ratelimit", "\"burst\";r=50;t=30"),
        ]);
        assert_eq!(limit(&found), [(100.0, Some(60.0)), (5_000.0, Some(86_400.0))]);
        assert_eq!((found.remaining, found.reset), (Some(50.0), Some(Reset { seconds: 30.0 })));
        let found = read(&[("ratelimit", "limit=100, remaining=7, reset=5")]);
        assert_eq!(limit(&found), [(100.0, None)]);
        assert_eq!((found.remaining, found.reset), (Some(7.0), Some(Reset { seconds: 5.0 })));
        let found = read(&[("ratelimit-limit", "10, 10;w=1, 50;w=60"), ("ratelimit-reset", "1")]);
        assert_eq!(limit(&found), [(10.0, Some(1.0)), (50.0, Some(60.0))]);
        let found = read(&[("ratelimit-policy", "20;w=1"), ("ratelimit-limit", "20")]);
        assert_eq!(limit(&found), [(20.0, Some(1.0))]);
    }

    #[test]
    fn resets_are_seconds_times_or_dates() {
        for (text, seconds) in [
            ("30", Some(30.0)),
            ("30s", Some(30.0)),
            ("1800000030", Some(30.0)),
            ("1800000030000", Some(30.0)),
            ("1799999999", Some(0.0)),
            ("Fri, 15 Jan 2027 08:00:30 GMT", Some(30.0)),
            ("-3", None),
            ("1e400", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            let found = read(&[("x-ratelimit-reset", text), ("retry-after", text)]);
            assert_eq!(found.reset.map(|reset| reset.seconds), seconds, "{text}");
            assert_eq!(found.retry_after, seconds, "{text}");
        }
    }

    #[test]
    fn hostile_values_are_bounded() {
        let many = vec!["5;w=1"; 400].join(",");
        let different: Vec<String> = (0..100).map(|n| format!("{n};w=1")).collect();
        assert!(read(&[("ratelimit-policy", &many)]).is_empty(), "too long");
        let found = read(&[("ratelimit-policy", &different.join(","))]);
        assert_eq!(found.limits.len(), MAX_POLICIES);
        assert!(read(&[("ratelimit-policy", ";;=,=;q"), ("ratelimit", "===")]).is_empty());
        let found = read(&[("x-ratelimit-limit-minute", "60"), ("x-ratelimit-remaining", "59")]);
        assert_eq!(limit(&found), [(60.0, Some(60.0))]);
    }
}
