//! Whether what the headers of a target say agrees with what it does.
//!
//! `text` and `json` show it.
//! Invariant: a header is compared only with what was measured; else it is `Unknown`.

use super::advertised::{shown_count, shown_wait};
use super::finding::{ProbeFinding, RateFinding};

/// How far a header may be from the measurement, as a share, beyond its uncertainty.
const TOLERANCE: f64 = 0.1;

/// Windows that a header without one may mean, seconds.
const WINDOWS: [f64; 4] = [1.0, 60.0, 3_600.0, 86_400.0];

/// Whether a header agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// It agrees.
    Yes,
    /// It does not.
    No,
    /// There is nothing to compare it with.
    Unknown,
}

impl Agreement {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// A header, and whether it agrees.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderCheck {
    /// Name of the header.
    pub header: String,
    /// What it says.
    pub says: String,
    /// Whether that agrees.
    pub agrees: Agreement,
}

impl ProbeFinding {
    /// Compares the headers with what was found.
    pub fn header_checks(&self) -> Vec<HeaderCheck> {
        let mut checks = Vec::new();
        let of = if self.first_headers.limits.is_empty() {
            &self.refusal_headers
        } else {
            &self.first_headers
        };
        for limit in &of.limits {
            let says = match limit.window {
                Some(window) => {
                    format!("{} per {}", shown_count(limit.requests), shown_window(window))
                }
                None => shown_count(limit.requests),
            };
            let agrees = self.agrees_with(limit.requests, limit.window);
            checks.push(HeaderCheck { header: limit.header.to_owned(), says, agrees });
        }
        if let Some(remaining) = self.refusal_headers.remaining {
            let agrees = if remaining < 1.0 { Agreement::Yes } else { Agreement::No };
            let (header, says) = (
                "remaining requests".to_owned(),
                format!("{} when refused", shown_count(remaining)),
            );
            checks.push(HeaderCheck { header, says, agrees });
        }
        let waits = [
            ("Retry-After", self.refusal_headers.retry_after),
            ("reset", self.refusal_headers.reset.map(|reset| reset.seconds)),
        ];
        for (header, seconds) in waits {
            let Some(seconds) = seconds else { continue };
            let agrees = match (self.reopened, self.limit) {
                // Whole seconds: a wait that is up to one longer is no contradiction.
                (Some(open), _) if seconds + 1.0 < open.low => Agreement::No,
                (Some(open), RateFinding::Window { .. }) if seconds > 2.0 * open.high + 1.0 => {
                    Agreement::No
                }
                (Some(open), _) if header == "Retry-After" && seconds > 4.0 * open.high + 1.0 => {
                    Agreement::No
                }
                // A reset is when the bucket is full again.
                (Some(open), RateFinding::Bucket { rate, burst })
                    if seconds > 4.0 * (open.high + burst.high / rate.low) + 1.0 =>
                {
                    Agreement::No
                }
                (Some(_), _) => Agreement::Yes,
                (None, _) => Agreement::Unknown,
            };
            let says = shown_wait(seconds);
            checks.push(HeaderCheck { header: header.to_owned(), says, agrees });
        }
        checks
    }

    /// Whether a limit of `requests` per `window` is the one that was found.
    fn agrees_with(&self, requests: f64, window: Option<f64>) -> Agreement {
        let mut counts = Vec::new();
        match self.limit {
            RateFinding::Bucket { burst, .. } => counts.push(burst),
            RateFinding::Window { requests, .. } => counts.push(requests),
            RateFinding::NoLimit { fastest } => {
                let claimed = window.map(|window| requests / window);
                let is_exceeded = claimed.is_some_and(|claimed| fastest > claimed * 1.2)
                    && self.requests as f64 > requests * 1.2;
                return if is_exceeded { Agreement::No } else { Agreement::Unknown };
            }
            RateFinding::Delay { .. } => {}
            _ => return Agreement::Unknown,
        }
        let rate = self.rate();
        let has_rate =
            |window: f64| rate.is_some_and(|rate| rate.has(requests / window, TOLERANCE));
        let is_same = match window {
            Some(window) if rate.is_some() => has_rate(window),
            // A header of the day says nothing of a window of a second, and the reverse.
            Some(_) | None => {
                counts.iter().any(|count| count.has(requests, TOLERANCE))
                    || window.is_none() && WINDOWS.into_iter().any(has_rate)
            }
        };
        if is_same { Agreement::Yes } else { Agreement::No }
    }
}

/// The window of a limit as text: of a day or less as it is, as counts are.
fn shown_window(seconds: f64) -> String {
    if seconds <= 86_400.0 { format!("{seconds} s") } else { shown_wait(seconds) }
}

#[cfg(test)]
mod tests {
    use super::super::advertised::{Advertised, AdvertisedLimit, Reset};
    use super::super::bounds::Bounds;
    use super::*;

    fn bucket(limits: &[(f64, Option<f64>)]) -> Vec<Agreement> {
        let limit = |(requests, window): &(f64, Option<f64>)| AdvertisedLimit {
            header: "RateLimit-Policy",
            requests: *requests,
            window: *window,
        };
        let headers =
            Advertised { limits: limits.iter().map(limit).collect(), ..Advertised::default() };
        let limit = RateFinding::Bucket {
            rate: Bounds { low: 19.5, high: 20.5 },
            burst: Bounds::exact(10.0),
        };
        let finding = ProbeFinding { limit, first_headers: headers, ..ProbeFinding::default() };
        finding.header_checks().iter().map(|check| check.agrees).collect()
    }

    #[test]
    fn headers_agree_by_rate_if_they_name_a_window_else_by_any_figure() {
        use Agreement::{No, Yes};
        let found = bucket(&[
            (20.0, Some(1.0)),
            (1_200.0, Some(60.0)),
            (100.0, Some(1.0)),
            (20.0, None),
            (1_200.0, None),
            (10.0, None),
            (100.0, None),
        ]);
        assert_eq!(found, [Yes, Yes, No, Yes, Yes, Yes, No]);
    }

    #[test]
    fn a_reset_long_after_a_bucket_is_full_does_not_agree() {
        for (seconds, agrees) in [(1.0, Agreement::Yes), (3_600.0, Agreement::No)] {
            let reset = Some(Reset { seconds });
            let refusal_headers = Advertised { reset, ..Advertised::default() };
            let limit = RateFinding::Bucket {
                rate: Bounds { low: 19.5, high: 20.5 },
                burst: Bounds::exact(10.0),
            };
            let reopened = Some(Bounds { low: 0.02, high: 0.05 });
            let finding =
                ProbeFinding { limit, refusal_headers, reopened, ..ProbeFinding::default() };
            assert_eq!(finding.header_checks()[0].agrees, agrees, "{seconds}");
        }
    }

    #[test]
    fn huge_numbers_of_headers_are_shown_as_such() {
        for (retry_after, limit, window, says) in [
            (90.0, 100.0, 60.0, ["100 per 60 s", "90 s"]),
            (172_800.0, 0.5, 0.25, ["0.5 per 0.25 s", "172800 s (2 days)"]),
            (
                31_536_000.0,
                1e15,
                86_400.0,
                ["1000000000000000 per 86400 s", "31536000 s (365 days)"],
            ),
            (1e17, 1e300, 1e300, ["more than 10^15 per more than 10 years", "more than 10 years"]),
        ] {
            let limit =
                AdvertisedLimit { header: "ratelimit", requests: limit, window: Some(window) };
            let headers = Advertised { limits: vec![limit], ..Advertised::default() };
            let refusal_headers =
                Advertised { retry_after: Some(retry_after), ..Advertised::default() };
            let finding =
                ProbeFinding { first_headers: headers, refusal_headers, ..ProbeFinding::default() };
            let said: Vec<String> =
                finding.header_checks().into_iter().map(|check| check.says).collect();
            assert_eq!(said, says);
        }
    }

    #[test]
    fn a_wait_that_is_too_short_or_far_too_long_does_not_agree() {
        for (seconds, open, agrees) in [
            (1.0, Some((0.02, 0.05)), Agreement::Yes),
            (10.0, Some((9.5, 10.2)), Agreement::Yes),
            (1.0, Some((9.5, 10.2)), Agreement::No),
            (60.0, Some((0.02, 0.05)), Agreement::No),
            (60.0, None, Agreement::Unknown),
        ] {
            let refusal_headers =
                Advertised { retry_after: Some(seconds), ..Advertised::default() };
            let reopened = open.map(|(low, high)| Bounds { low, high });
            let finding = ProbeFinding { refusal_headers, reopened, ..ProbeFinding::default() };
            assert_eq!(finding.header_checks()[0].agrees, agrees, "{seconds} {open:?}");
        }
    }
}
