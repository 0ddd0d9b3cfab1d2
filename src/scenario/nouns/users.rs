//! Field tables of archetypes, their states, sessions, networks and data.
//!
//! `flow::archetype`, `flow::states`, `flow::data` and `flow::link` read them.
//! Invariant: an archetype has a `flow` or `states`.

use crate::plan::data::sanitize::FakeForm;
use crate::plan::data::{AtEnd, RowPick};
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, AnyMap, Bandwidth, Count, Duration, Fixed, Name, OneOf, PositiveDuration, Shared,
    Table, Template, Weight, Words,
};
use crate::scenario::nouns::noun::{
    EMPTY, KeyRule, KeySpec, Noun, key, list_of, map_of, some_of, words,
};
use crate::scenario::nouns::steps::{STEP, STEPS, STEPS_FORM};
use crate::scenario::nouns::values::TAGS;

/// The keys of an archetype, and of a workload with its own flow.
pub(crate) static BEHAVIOUR: &[KeySpec] = &[
    key("description", Template, "A sentence about these users."),
    key(
        "think",
        Shared(&DISTRIBUTION),
        "Wait after each call but the last of an iteration; in the closed model after the last, \
         too.",
    )
    .otherwise("none"),
    key("pace", PositiveDuration, "Interval between the starts of two iterations of a user."),
    key("tags", TAGS, "Tags of all its series, for thresholds and reports."),
    key("network", Table(&NETWORK), "Emulated network of its users."),
    key(
        "session",
        Table(&SESSION),
        "End of a user; in the closed model a new user takes its place.",
    ),
    key("vars", map_of(&Any), "Variables and their initial values."),
    key("data", map_of(&Table(&FEED)), "Variables filled with rows of data."),
    key("on_start", Shared(&STEPS), "Steps of a user's first iteration, before the flow."),
    key("flow", list_of(&Shared(&STEP)), "Steps of an iteration, in order."),
    key("on_stop", Shared(&STEPS), "Steps after a user's last iteration."),
    key("states", some_of(&Table(&STATE)), "States of an iteration, instead of a `flow`."),
];

/// The start state, which a workload cannot have: its `start` is a time.
static START: &[KeySpec] =
    &[key("start", Fixed, "State in which an iteration begins.").otherwise("the first state")];

pub(crate) static ARCHETYPE: Noun = Noun {
    id: "archetype",
    title: "an archetype",
    about: "The behaviour of one kind of virtual user.",
    groups: &[BEHAVIOUR, START],
    rules: &[KeyRule::ExactlyOne(&["flow", "states"])],
    ..EMPTY
};

pub(crate) static ARCHETYPE_FILE: Noun = Noun {
    id: "archetype_file",
    title: "an archetype",
    about: "An archetype in a file of its own.",
    groups: &[
        &[key("archetype", Name, "Its name, the same as the file's.")
            .needs("its name, the same as the file's")],
        BEHAVIOUR,
        START,
    ],
    rules: &[KeyRule::ExactlyOne(&["flow", "states"])],
    like: Some(&ARCHETYPE),
    ..EMPTY
};

pub(crate) static NETWORK: Noun = Noun {
    id: "network",
    title: "`network`",
    about: "The emulated network of a user, shared by its connections; HTTP/1.1 only. Without \
            packet loss and TCP slow start.",
    form: "`{ latency: 150ms, down: 1.6Mbit/s, up: 750kbit/s }`",
    groups: &[&[
        key("latency", Duration, "Added to each round trip: connect, TLS, request.").default("0s"),
        key("down", Bandwidth, "Bandwidth towards the user.").otherwise("no limit"),
        key("up", Bandwidth, "Bandwidth from the user.").otherwise("no limit"),
    ]],
    rules: &[KeyRule::AtLeastOne],
    ..EMPTY
};

/// The expected form of the next states.
pub(crate) const NEXT_FORM: &str =
    "a map of states with their weights, such as `{ home: 0.7, exit: 0.3 }`";

pub(crate) static STATE: Noun = Noun {
    id: "state",
    title: "a state",
    about: "A state of a Markov chain.",
    form: "`{ do: [ … ], next: { exit: 1 } }`",
    groups: &[&[
        key("do", Shared(&STEPS), "Steps of the state.").needs(STEPS_FORM),
        key("next", some_of(&Weight), "Next states with their weights; `exit` ends the iteration.")
            .needs(NEXT_FORM),
    ]],
    ..EMPTY
};

pub(crate) static SESSION: Noun = Noun {
    id: "session",
    title: "a session",
    about: "The lifetime of a user.",
    form: "`{ iterations: 10 }` or `{ duration: 5m }`",
    groups: &[&[
        key("iterations", Count(1, 1 << 32), "Number of iterations."),
        key("duration", Shared(&DISTRIBUTION), "Time after which no further iteration begins."),
    ]],
    rules: &[KeyRule::ExactlyOne(&["iterations", "duration"])],
    ..EMPTY
};

/// The values of `per` of a feed: whether each iteration takes a row.
pub(crate) const TAKERS: [(&str, bool); 2] = [("user", false), ("iteration", true)];

pub(crate) static FEED: Noun = Noun {
    id: "feed",
    title: "a feed",
    about: "Rows of data for a variable: `{{ account.user }}` is a cell of the row.",
    form: "`{ csv: accounts.csv }`",
    groups: &[&[
        key("csv", Fixed, "CSV file whose first row names its columns."),
        key("json", Fixed, "JSON file: an array of objects, or one object per line."),
        key("inline", list_of(&AnyMap), "Rows in place."),
        key(
            "pick",
            Words(&words(&RowPick::NAMES)),
            "Row of item k: `queue` row k; `circular` row k, starting over; `shuffle` row k of a \
             random order; `random` any row; `unique` a row that is used once in the run.",
        )
        .default("queue"),
        key("per", Words(&words(&TAKERS)), "What takes a row.").default("user"),
        key(
            "at_end",
            Words(&words(&AtEnd::NAMES)),
            "After the last row: `stop` the user, `wrap` around, or `stop run`.",
        )
        .default("stop"),
        key(
            "sanitize",
            map_of(&COLUMN_RULE),
            "What the rows have in place of a column's values: `drop`, `hash`, `mask`, \
             `{ replace: VALUE }` or `{ fake: FORM }`.",
        ),
    ]],
    rules: &[KeyRule::ExactlyOne(&["csv", "json", "inline"])],
    ..EMPTY
};

/// The rule of a column.
pub(crate) const COLUMN_RULE: ValueShape =
    OneOf(&[Words(&["drop", "hash", "mask"]), Table(&COLUMN_RULE_MAP)]);

pub(crate) static COLUMN_RULE_MAP: Noun = Noun {
    id: "column_rule",
    title: "a rule of `sanitize`",
    about: "A value in place of those of a column.",
    form: "`drop`, `hash`, `mask`, `{ replace: VALUE }` or `{ fake: email }`",
    groups: &[&[
        key("replace", Fixed, "The same constant in each row."),
        key(
            "fake",
            Words(&words(&FakeForm::NAMES)),
            "A value that follows from the column's: `email` of example.com, other `digits`, or a \
             `uuid`.",
        ),
    ]],
    rules: &[KeyRule::ExactlyOne(&["replace", "fake"])],
    ..EMPTY
};
