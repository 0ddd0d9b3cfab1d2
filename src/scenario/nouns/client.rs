//! Field tables of the simulated client: pools, breakers, timeouts, retries and the other blocks.
//!
//! `scenario::client` reads them.
//! Invariant: most blocks are a map, `true` (its defaults) or `false` (off).

use crate::scenario::nouns::attempts::{BACKOFF, HEDGING, LIMITS, RETRIES, RETRY_COUNT, TIMEOUTS};
use crate::scenario::nouns::noun::ValueShape::{
    Constant, Duration, OneOf, Size, Table, Truth, Words,
};
use crate::scenario::nouns::noun::{KeySpec, key, map_of, words};
use crate::scenario::nouns::pools::{BREAKERS, POOL};
use crate::scenario::nouns::reactions::{ADMISSION, DEGRADATION, HEALING, MEMORY, PREWARM};

/// The values of `client`.
pub(crate) const CLIENTS: [(&str, bool); 2] = [("measure", false), ("resilient", true)];

/// The keys of a scenario for its client.
pub(crate) static BLOCKS: &[KeySpec] = &[
    key(
        "client",
        Words(&words(&CLIENTS)),
        "`measure` sends every call as scheduled: fixed timeouts, no breaker, no retry. \
         `resilient` behaves as a production client: all blocks below at their defaults, except \
         `pools`, `hedging`, `limits` and `prewarm`.",
    )
    .default("measure"),
    key("pools", map_of(&Table(&POOL)), "Shared connections, by group of endpoints."),
    key(
        "breakers",
        OneOf(&[Truth, Table(&BREAKERS)]),
        "Circuit breakers. A call is sent if each level that applies to it lets it through.",
    ),
    key("timeouts", OneOf(&[Truth, Table(&TIMEOUTS)]), "Timeouts that follow measured latency."),
    key(
        "retries",
        OneOf(&[RETRY_COUNT, Truth, Table(&RETRIES)]),
        "Further attempts after a failed one; a plain number is `max`.",
    ),
    key(
        "hedging",
        OneOf(&[Truth, Table(&HEDGING)]),
        "A second attempt while a slow first one is running, for requests that may be sent twice.",
    ),
    key("limits", OneOf(&[Constant(false), Table(&LIMITS)]), "Rate limits of attempts."),
    key(
        "connect_backoff",
        OneOf(&[Truth, Table(&BACKOFF)]),
        "Pause before the next connection to a target that accepts none.",
    ),
    key(
        "degradation",
        OneOf(&[Truth, Table(&DEGRADATION)]),
        "Suppresses calls of low priority while the target is in trouble.",
    ),
    key(
        "healing",
        OneOf(&[Truth, Table(&HEALING)]),
        "Detects trouble during the run and applies a remedy where there is one.",
    ),
    key(
        "admission",
        OneOf(&[Truth, Table(&ADMISSION)]),
        "Delays work of low priority while the load generator itself is overloaded.",
    ),
    key(
        "memory",
        OneOf(&[Size, Truth, Table(&MEMORY)]),
        "Memory budget; `true`: the limit of the control group or machine. Above 80 % idle \
         connections and buffers are released; above 90 %, or if usage is projected to exceed it \
         within 1 s, no new users are admitted until usage falls below 85 %.",
    ),
    key(
        "prewarm",
        OneOf(&[Duration, Table(&PREWARM)]),
        "Prepares users and their connections this long before they are due.",
    )
    .default("0s")
    .formerly("provision"),
];
