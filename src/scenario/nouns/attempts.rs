//! Field tables of timeouts, retries, hedging and rate limits.
//!
//! `client::attempts` reads them.
//! Invariant: a default is the one of the policy in `plan::policy`.

use crate::scenario::nouns::noun::ValueShape::{
    self, Count, Matching, Number, OneOf, Percentile, PositiveDuration, Rate, Share, Shared, Table,
    Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeySpec, MapKeys, MapShape, Noun, key, words};
use crate::scenario::nouns::pools::FAILURES;

/// The values of `jitter`.
pub(crate) const JITTERS: [(&str, bool); 2] = [("full", true), ("none", false)];

const JITTER_WORDS: [&str; 2] = words(&JITTERS);

/// Maximum factor of a timeout or backoff.
const MAX_FACTOR: f64 = 100.0;

pub(crate) static TIMEOUTS: Noun = Noun {
    id: "timeouts",
    title: "`timeouts`",
    about: "Adaptive timeouts: `factor` times the `percentile` of an endpoint's last `window` \
            attempts, between `min` and `max`; `start` until enough attempts are known.",
    form: "`{ adaptive: true, start: 5s }`",
    groups: &[&[
        key("adaptive", Truth, "`false` switches adaptive timeouts off.").default("true"),
        key("start", PositiveDuration, "Timeout until enough attempts are known.").default("5s"),
        key("min", PositiveDuration, "Smallest timeout.").default("1s"),
        key("max", PositiveDuration, "Largest timeout.").default("30s"),
        key("percentile", Percentile, "Percentile of the latencies.").default("95"),
        key("factor", Number(1.0, MAX_FACTOR), "Multiple of that percentile.").default("1.5"),
        key("window", Count(10, 1_000), "Number of latest attempts.").default("100"),
    ]],
    ..EMPTY
};

/// The number of retries of a call.
pub(crate) const RETRY_COUNT: ValueShape = Count(0, 100);

pub(crate) static RETRIES: Noun = Noun {
    id: "retries",
    title: "`retries`",
    about: "Further attempts of failed calls.",
    form: "a number of retries, such as 2, or `{ max: 2, budget: 10% }`",
    groups: &[&[
        key("max", RETRY_COUNT, "Largest number of retries per call.").default("2"),
        key("backoff", Table(&BACKOFF), "Wait before each retry."),
        key(
            "budget",
            OneOf(&[Words(&["none"]), Share("10%, or `none`")]),
            "Largest share of retries among first attempts; `none`: unlimited.",
        )
        .default("10%"),
        key("when", Shared(&FAILURES), "Outcomes after which a call is retried.")
            .default("[connect, timeout, 429, 503]"),
        key("retry_after", Truth, "Waits as long as the Retry-After header says.").default("true"),
        key(
            "max_retry_after",
            PositiveDuration,
            "Longest such wait; a response that asks for more is not retried.",
        )
        .default("60s")
        .formerly("patience"),
        key("unsafe_methods", Truth, "Retries POST and PATCH, too.").default("false"),
    ]],
    ..EMPTY
};

/// What a backoff is.
pub(crate) const ABOUT_BACKOFF: &str =
    "Exponential backoff: `base` times `factor` for each earlier wait, at most `max`.";

/// The keys of a backoff, with the defaults of its place.
pub(crate) const fn backoff_keys(base: &'static str, max: &'static str) -> [KeySpec; 4] {
    [
        key("base", PositiveDuration, "First wait.").default(base),
        key("factor", Number(1.0, MAX_FACTOR), "Growth per wait.").default("2"),
        key("max", PositiveDuration, "Longest wait.").default(max),
        key(
            "jitter",
            Words(&JITTER_WORDS),
            "`full` draws the wait evenly between zero and its value; `none` does not.",
        )
        .default("full"),
    ]
}

static BACKOFF_KEYS: [KeySpec; 4] = backoff_keys("100ms", "10s");

pub(crate) static BACKOFF: Noun = Noun {
    id: "backoff",
    title: "a backoff",
    about: ABOUT_BACKOFF,
    form: "`{ base: 100ms, factor: 2, max: 10s, jitter: full }`",
    groups: &[&BACKOFF_KEYS],
    ..EMPTY
};

pub(crate) static HEDGING: Noun = Noun {
    id: "hedging",
    title: "`hedging`",
    about: "A second attempt while a slow first one is still running; the first response wins.",
    form: "`{ after: p95, budget: 5% }`",
    groups: &[&[
        key(
            "after",
            OneOf(&[
                Matching("^p[5-9][0-9](\\.[0-9]+)?$", "percentile such as `p95`"),
                PositiveDuration,
            ]),
            "Start of the second attempt: a percentile of the endpoint, or a duration.",
        )
        .default("p95"),
        key("budget", Share("5%"), "Largest share of second attempts.").default("5%"),
    ]],
    ..EMPTY
};

pub(crate) static LIMITS: Noun = Noun {
    id: "limits",
    title: "`limits`",
    about: "Rate limits of attempts, per second over the whole run.",
    form: "rates such as `{ global: 2000/s, per_user: 5/s }`, or `false`",
    groups: &[&[
        key("global", Rate, "All attempts."),
        key("per_user", Rate, "Attempts of each user."),
        key("per_source", Rate, "Attempts from each local address (`source` of a service)."),
        key(
            "per_endpoint",
            ValueShape::Map(MapShape { keys: MapKeys::Patterns, values: &Rate, min: 0, max: None }),
            "Attempts of the endpoints that match a pattern.",
        ),
        key("wait", PositiveDuration, "Longest wait; a call that waits longer is suppressed.")
            .otherwise("no limit"),
    ]],
    ..EMPTY
};
