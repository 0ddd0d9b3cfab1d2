//! Field tables of workloads and load stages.
//!
//! `load::workload`, `load::model` and `load::stages` read them.
//! Invariant: a workload has `users` or `arrivals`, and takes its users from one place.

use crate::plan::load::ArrivalProcess;
use crate::scenario::nouns::noun::ValueShape::{
    Count, Duration, OneOf, PositiveDuration, Rate, Shared, Table, Weight, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, Noun, key, some_of, words};
use crate::scenario::nouns::stages::{MAX_USERS, RATE_STAGES, USER_STAGES};
use crate::scenario::nouns::users::{ARCHETYPE, BEHAVIOUR};
use crate::scenario::nouns::values::PRIORITY;

/// Maximum iterations of a workload.
pub(crate) const MAX_ITERATIONS: u64 = u64::MAX / 2;

/// The keys of a workload for its users, in both spellings.
pub(crate) static USERS_OF: &[KeySpec] = &[
    key(
        "archetypes",
        some_of(&Weight),
        "Archetypes with their weights, instead of a `flow` or `states` of the workload's own.",
    ),
    key("priority", PRIORITY, "Priority of its users while the load generator is overloaded.")
        .default("medium"),
];

/// A workload takes its users from one place.
pub(crate) const ONE_SOURCE: KeyRule = KeyRule::ExactlyOne(&["archetypes", "flow", "states"]);

pub(crate) static WORKLOAD: Noun = Noun {
    id: "workload",
    title: "a workload",
    about: "A load: users of one or more archetypes over time. The keys of an archetype are \
            allowed beside a `flow` or `states` of its own.",
    groups: &[
        &[
            key("start", Duration, "Offset from the start of the run.").default("0s"),
            key(
                "users",
                OneOf(&[Count(1, MAX_USERS), Shared(&USER_STAGES.list)]),
                "Closed model: number of concurrent users, or stages.",
            ),
            key(
                "arrivals",
                Table(&ARRIVALS),
                "Open model: iterations started at a rate, whatever the response times.",
            ),
            key("duration", PositiveDuration, "Duration of a constant level."),
            key("iterations", Count(1, MAX_ITERATIONS), "Total number of iterations.")
                .otherwise("one per user, in a closed workload without `duration`"),
        ],
        USERS_OF,
        BEHAVIOUR,
    ],
    rules: &[KeyRule::ExactlyOne(&["users", "arrivals"]), ONE_SOURCE, KeyRule::ConstantRateEnds],
    like: Some(&ARCHETYPE),
    ..EMPTY
};

/// The values of `process`.
pub(crate) const PROCESSES: [(&str, ArrivalProcess); 2] =
    [("constant", ArrivalProcess::Constant), ("poisson", ArrivalProcess::Poisson)];

/// The values of `connections` of arrivals: whether each user opens its own.
pub(crate) const CONNECTIONS: [(&str, bool); 2] = [("kept", false), ("fresh", true)];

pub(crate) static ARRIVALS: Noun = Noun {
    id: "arrivals",
    title: "`arrivals`",
    about: "Iterations that start at a rate; each is a new user.",
    form: "`{ rate: 100/s }`",
    groups: &[&[
        key("process", Words(&words(&PROCESSES)), "Spacing of the starts: even, or random.")
            .default("constant"),
        key("rate", OneOf(&[Rate, Shared(&RATE_STAGES.list)]), "Starts per second, or stages.")
            .needs("a rate such as 100/s, or a list of stages"),
        key(
            "max_users",
            Count(1, MAX_USERS),
            "Largest number of concurrent users; further starts \
                                               are dropped.",
        )
        .default("10000"),
        key(
            "connections",
            Words(&words(&CONNECTIONS)),
            "`kept`: reuse connections of users that finished. `fresh`: every new user opens its \
             own.",
        )
        .default("kept"),
    ]],
    ..EMPTY
};
