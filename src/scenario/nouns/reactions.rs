//! Field tables of degradation, healing, admission, memory and prewarming.
//!
//! `client::degradation` reads them.
//! Invariant: a default is the one of the policy in `plan::policy`.

use crate::scenario::nouns::noun::ValueShape::{List, PositiveDuration, Share, Size, Truth};
use crate::scenario::nouns::noun::{EMPTY, KeySpec, Noun, key};

pub(crate) static DEGRADATION: Noun = Noun {
    id: "degradation",
    title: "`degradation`",
    about: "Levels of degradation: light suppresses `low` priority, heavy `medium`, too, emergency \
            all but `critical`.",
    form: "`{ errors: [5%, 15%, 30%], p95: [2s, 5s] }`",
    groups: &[&[
        key("enabled", Truth, "`false` switches degradation off.").default("true"),
        key(
            "errors",
            List(3, Some(3), &Share("5%")),
            "Error rates at which light, heavy, emergency begin.",
        )
        .default("[5%, 15%, 30%]"),
        key(
            "p95",
            List(2, Some(2), &PositiveDuration),
            "Latencies at which light and heavy begin.",
        )
        .default("[2s, 5s]"),
        key("memory", Share("90%"), "Share of the memory budget at which emergency begins.")
            .default("90%"),
        key("window", PositiveDuration, "Period over which errors and latency are measured.")
            .default("10s"),
        key("recover", PositiveDuration, "Time below a level until the next better one.")
            .default("10s"),
    ]],
    ..EMPTY
};

static HEALING_KEYS: [KeySpec; 1] =
    [key("every", PositiveDuration, "Interval between two checks.").default("10s")];

pub(crate) static HEALING: Noun = Noun {
    id: "healing",
    title: "`healing`",
    about: "Checks for full pools, high memory use, and services that became slow or fail; \
            measures whether a remedy helped.",
    form: "`{ every: 10s }`",
    groups: &[&HEALING_KEYS],
    ..EMPTY
};

pub(crate) static ADMISSION: Noun = Noun {
    id: "admission",
    title: "`admission`",
    about: "Delays work of `low` priority after `after` in overload, `medium` after twice as long.",
    form: "`{ lag: 100ms, cpu: 97% }`",
    groups: &[&[
        key("lag", PositiveDuration, "p99 of the lag that counts as overload.").default("100ms"),
        key("cpu", Share("97%"), "CPU use of a shard that counts as overload.").default("97%"),
        key("after", PositiveDuration, "Duration of overload before work is delayed.")
            .default("3s"),
        key("recover", PositiveDuration, "Time without overload until all work is admitted.")
            .default("10s"),
    ]],
    ..EMPTY
};

pub(crate) static MEMORY: Noun = Noun {
    id: "memory",
    title: "`memory`",
    about: "The memory budget of the run.",
    groups: &[&[key("budget", Size, "Bytes, at least 16MiB.")
        .otherwise("the limit of the control group or machine")]],
    ..EMPTY
};

static PREWARM_KEYS: [KeySpec; 2] = [
    key("lead", PositiveDuration, "How long before users are due.").default("2s"),
    key(
        "predict",
        Truth,
        "Prepares also for load that no curve announces: users that live control is likely to add, \
         users that a slower target is likely to keep, connections that an adaptive pool is likely \
         to need. Predicted from the last minute and the same time of earlier days of the run. \
         Connections of users that have not been expected for 5 s are closed.",
    )
    .default("false"),
];

pub(crate) static PREWARM: Noun = Noun {
    id: "prewarm",
    title: "`prewarm`",
    about: "Prepares users and their connections before they are due.",
    form: "`2s` or `{ lead: 2s, predict: true }`",
    groups: &[&PREWARM_KEYS],
    ..EMPTY
};
