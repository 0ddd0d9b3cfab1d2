//! Field tables of pools and circuit breakers.
//!
//! `client::pools` and `client::breakers` read them.
//! Invariant: a breaker counts consecutive failures or a share of failures, never both.

use crate::plan::policy::PoolStrategy;
use crate::scenario::nouns::noun::ValueShape::{
    self, Count, List, Matching, OneOf, PositiveDuration, Share, Shared, Table, Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeySpec, Noun, SharedShape, key, words};
use crate::scenario::nouns::values::PRIORITY;

/// Maximum connections of a pool.
const MAX_CONNECTIONS: u64 = 1_000_000;

/// Maximum calls at a time on a connection: HTTP/2 numbers no more streams.
const MAX_STREAMS: u64 = (1 << 31) - 1;

/// An endpoint pattern: `"POST /login"`, `/export/*`, `*`.
const PATTERN: ValueShape =
    Matching("^\\s*([A-Z]+\\s+)?(\\*|/[^\\s?#]*)\\s*$", "endpoint pattern such as `POST /login`");

pub(crate) static POOL: Noun = Noun {
    id: "pool",
    title: "a pool",
    about: "A group of endpoints and its connections; numbers are for the whole run. `idle`, \
            `wait`, `min`, `max` and `streams` apply to shared pools, `max_age`, `max_requests` \
            and `priority` to all.",
    groups: &[&[
        key(
            "match",
            OneOf(&[PATTERN, List(1, None, &PATTERN)]),
            "Patterns of its endpoints. Of several that match, the most specific one applies.",
        )
        .needs("a list of endpoint patterns, such as [\"POST /login\"]"),
        key("connections", Count(1, MAX_CONNECTIONS), "Initial number of connections.")
            .default("100"),
        key(
            "min",
            Count(0, MAX_CONNECTIONS),
            "Connections that stay open when idle; smallest size of an adaptive pool.",
        )
        .otherwise("a tenth of `connections`, at least 1"),
        key("max", Count(1, MAX_CONNECTIONS), "Largest size of an adaptive pool.")
            .otherwise("twice `connections`"),
        key(
            "streams",
            Count(1, MAX_STREAMS),
            "Maximum calls at a time on a connection of HTTP/2, within what the target allows; \
             shared pools only.",
        )
        .default("1"),
        key("idle", PositiveDuration, "Closes connections idle for this long.").otherwise("never"),
        key("max_age", PositiveDuration, "Closes connections of this age.").otherwise("never"),
        key("max_requests", Count(1, u64::MAX / 2), "Closes connections after this many requests.")
            .otherwise("never"),
        key("keep_alive", Truth, "`false` is the same as `strategy: per_request`.").default("true"),
        key(
            "strategy",
            Words(&words(&PoolStrategy::NAMES)),
            "`shared`: all users share the connections. `per_user`: each user opens its own. \
             `per_request`: each request opens one and sends `Connection: close`.",
        )
        .default("shared"),
        key(
            "wait",
            PositiveDuration,
            "Longest wait for a free connection; a call that waits longer is suppressed.",
        )
        .otherwise("no limit"),
        key("priority", PRIORITY, "Priority of its calls; a step's own wins.").default("medium"),
        key(
            "adaptive",
            OneOf(&[Truth, Table(&ADAPTIVE)]),
            "Resizes the pool with its use; shared pools only.",
        )
        .default("false"),
    ]],
    ..EMPTY
};

static ADAPTIVE_KEYS: [KeySpec; 1] =
    [key("every", PositiveDuration, "Interval between two resizings.").default("30s")];

pub(crate) static ADAPTIVE: Noun = Noun {
    id: "adaptive",
    title: "`adaptive`",
    about: "Resizing of a pool.",
    form: "`true`, `false` or `{ every: 30s }`",
    groups: &[&ADAPTIVE_KEYS],
    ..EMPTY
};

/// A breaker, `true` or `false`.
static LEVEL: SharedShape = SharedShape {
    id: "breaker_level",
    title: "[breaker](#breaker), `true` or `false`",
    shape: OneOf(&[Truth, Table(&BREAKER)]),
};

pub(crate) static BREAKERS: Noun = Noun {
    id: "breakers",
    title: "`breakers`",
    about: "Circuit breakers by level.",
    form: "levels such as `{ endpoint: { failures: 5, open: 10s } }`",
    groups: &[&[
        key("endpoint", Shared(&LEVEL), "One breaker per endpoint.")
            .default("{ failures: 5, open: 10s }"),
        key("service", Shared(&LEVEL), "One breaker per service.")
            .default("{ failures: 20, open: 30s }"),
        key("system", Shared(&LEVEL), "One breaker for all services.")
            .default("{ failures: 50, open: 60s }"),
    ]],
    ..EMPTY
};

/// Maximum failures, probes or successes that a breaker counts.
const MAX_COUNT: u64 = 1_000_000;

pub(crate) static BREAKER: Noun = Noun {
    id: "breaker",
    title: "a breaker",
    about: "A circuit breaker: it counts consecutive failures, or their share in a window.",
    form: "`{ failures: 5, open: 10s }`",
    groups: &[&[
        key("failures", Count(1, MAX_COUNT), "Opens after this many consecutive failures."),
        key("share", Share("50%"), "Opens at this share of failures instead."),
        key("window", PositiveDuration, "Period over which `share` is computed.").default("10s"),
        key("least", Count(1, MAX_COUNT), "Minimum attempts in the window to judge by.")
            .default("20"),
        key("open", PositiveDuration, "Time until an open breaker lets a probe through."),
        key("probes", Count(1, MAX_COUNT), "Concurrent probes while half-open.").default("1"),
        key("successes", Count(1, MAX_COUNT), "Consecutive successes that close it.").default("1"),
        key("when", Shared(&FAILURES), "Outcomes that count as failures.")
            .default("[connect, timeout, broken, \"500-999\"]"),
    ]],
    ..EMPTY
};

/// One criterion of failure.
const FAILURE: ValueShape = OneOf(&[
    Words(&["connect", "timeout", "broken"]),
    Count(100, 999),
    Matching(
        "^([1-9]xx|[1-9][0-9]{2}(\\s*-\\s*[1-9][0-9]{2})?)$",
        "statuses such as `5xx` or `500-504`",
    ),
]);

/// Outcomes of an attempt that count as failures.
pub(crate) static FAILURES: SharedShape = SharedShape {
    id: "failures",
    title: "`connect` (no connection), `timeout`, `broken` (incomplete response), statuses such as \
            `503`, `5xx` or `500-504`, or a list of these",
    shape: OneOf(&[FAILURE, List(1, None, &FAILURE)]),
};
