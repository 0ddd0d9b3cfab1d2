//! Field tables of workloads in k6's spelling.
//!
//! `load::k6` reads them.
//! Invariant: each key is one of k6's, or one of a workload's users.

use crate::scenario::nouns::load::{MAX_ITERATIONS, ONE_SOURCE, USERS_OF};
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, Count, Duration, List, Number, PositiveDuration, Table, Words,
};
use crate::scenario::nouns::noun::{EMPTY, Noun, key};
use crate::scenario::nouns::stages::MAX_USERS;
use crate::scenario::nouns::users::{ARCHETYPE, BEHAVIOUR};

/// The supported executors.
pub(crate) const EXECUTORS: [&str; 6] = [
    "constant-vus",
    "ramping-vus",
    "constant-arrival-rate",
    "ramping-arrival-rate",
    "shared-iterations",
    "per-vu-iterations",
];

/// Any number from zero.
const NUMBER: ValueShape = Number(0.0, f64::MAX);

pub(crate) static K6_WORKLOAD: Noun = Noun {
    id: "k6_workload",
    title: "a workload",
    about: "A workload in k6's spelling; a warning shows the native one.",
    groups: &[
        &[
            key("executor", Words(&EXECUTORS), "One of k6's executors.").needs("an executor"),
            key("startTime", Duration, "Native: `start`.").default("0s"),
            key("vus", Count(1, MAX_USERS), "Native: `users`.").default("1"),
            key("duration", PositiveDuration, "Native: `duration`."),
            key("iterations", Count(1, MAX_ITERATIONS), "Native: `iterations`.").default("1"),
            key("maxDuration", PositiveDuration, "Native: `duration`.").default("10m"),
            key("startVUs", Count(0, MAX_USERS), "Native: a `step` before the stages.")
                .default("1"),
            key("stages", List(0, None, &Table(&K6_STAGE)), "Native: a list of stages."),
            key("rate", NUMBER, "Starts per `timeUnit`. Native: `rate` of `arrivals`."),
            key("startRate", NUMBER, "Native: a `step` before the stages.").default("0"),
            key("timeUnit", PositiveDuration, "Unit of `rate`.").default("1s"),
            key("preAllocatedVUs", Count(0, MAX_USERS), "Native: `max_users`."),
            key("maxVUs", Count(1, MAX_USERS), "Native: `max_users`."),
            key("gracefulStop", Any, "Ignored, with a warning. Native: `grace` of the scenario."),
            key(
                "gracefulRampDown",
                Any,
                "Ignored, with a warning. Native: `grace` of the scenario.",
            ),
        ],
        USERS_OF,
        BEHAVIOUR,
    ],
    rules: &[ONE_SOURCE],
    like: Some(&ARCHETYPE),
    ..EMPTY
};

pub(crate) static K6_STAGE: Noun = Noun {
    id: "k6_stage",
    title: "a stage of k6",
    about: "A linear change to a level.",
    form: "a list such as `- { target: 50, duration: 1m }`",
    groups: &[&[
        key("target", NUMBER, "Level at its end.").needs("the level at its end"),
        key("duration", Duration, "Its duration.").needs("a duration such as 1m"),
    ]],
    ..EMPTY
};
