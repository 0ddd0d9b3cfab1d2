//! Field tables of load stages.
//!
//! `load::stages` reads them, for users and for rates.
//! Invariant: both kinds of stages have the same keys; only their levels differ.

use crate::scenario::nouns::noun::ValueShape::{
    Count, Duration, PositiveDuration, Rate, Shared, Table,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, SharedShape, key, list_of};

/// Maximum users of a workload.
pub(crate) const MAX_USERS: u64 = 10_000_000;

/// Maximum stairs of a stage, and maximum repeats of a list.
pub(crate) const MAX_TIMES: u64 = 1_000;

/// The keys of a stage that name its kind.
pub(crate) const KINDS: [&str; 7] = ["ramp", "hold", "step", "spike", "stairs", "sine", "repeat"];

/// The tables of one kind of stages.
#[derive(Debug)]
pub(crate) struct StageTables {
    /// The levels, in messages: `users`.
    pub levels: &'static str,
    pub list: SharedShape,
    pub stage: Noun,
    pub stairs: Noun,
    pub sine: Noun,
    pub repeat: Noun,
}

/// Defines the tables of stages with levels of a shape; `$of` names them.
macro_rules! stage_tables {
    ($name:ident, $levels:literal, $level:expr, $of:literal) => {
        pub(crate) static $name: StageTables = StageTables {
            levels: $levels,
            list: SharedShape {
                id: concat!($of, "_stages"),
                title: concat!("list of [stages](#", $of, "-stage)"),
                shape: list_of(&Table(&$name.stage)),
            },
            stage: Noun {
                id: concat!($of, "_stage"),
                like: Some(&USER_STAGES.stage),
                title: "a stage",
                about: "A stage of a load. A load begins at level 0.",
                form: "`{ ramp: 500, over: 30s }`, `{ hold: 2m }`, `{ step: 500, over: 1m }`, \
                       `{ spike: 1000, over: 5s }`, `stairs`, `sine` or `repeat`",
                groups: &[&[
                    key("ramp", $level, "Changes linearly to this level."),
                    key("hold", Duration, "Keeps the level."),
                    key("step", $level, "Jumps to this level, and keeps it if `over` is given."),
                    key("spike", $level, "Jumps to this level, keeps it, and falls back."),
                    key("stairs", Table(&$name.stairs), "Levels of equal duration."),
                    key("sine", Table(&$name.sine), "Oscillates around a level."),
                    key("repeat", Table(&$name.repeat), "Repeats a list of stages."),
                    key("over", Duration, "Duration of a `ramp`, `step` or `spike`."),
                ]],
                rules: &[
                    KeyRule::ExactlyOne(&KINDS),
                    KeyRule::Needs("ramp", "over"),
                    KeyRule::Needs("spike", "over"),
                    KeyRule::Excludes("over", &["hold", "stairs", "sine", "repeat"]),
                ],
            },
            stairs: Noun {
                id: concat!($of, "_stairs"),
                like: Some(&USER_STAGES.stairs),
                title: "`stairs`",
                about: "Levels of equal duration, from one stair after `from` to `to`.",
                form: "`{ to: 500, steps: 5, over: 5m }`",
                groups: &[&[
                    key("from", $level, "Level before the first stair.")
                        .otherwise("the current level"),
                    key("to", $level, "Level of the last stair.")
                        .needs("the level of the last stair"),
                    key("steps", Count(1, MAX_TIMES), "Number of stairs.")
                        .needs("the number of stairs"),
                    key("over", Duration, "Duration of all stairs together.")
                        .needs("the duration of all of them"),
                ]],
                ..EMPTY
            },
            sine: Noun {
                id: concat!($of, "_sine"),
                like: Some(&USER_STAGES.sine),
                title: "`sine`",
                about: "A sine wave, upwards from its base at first.",
                form: "`{ base: 100, amplitude: 50, period: 1m, over: 10m }`",
                groups: &[&[
                    key("base", $level, "Mean level."),
                    key("mean", $level, "The same as `base`."),
                    key("amplitude", $level, "Largest distance from the base.")
                        .needs("the largest distance from the base"),
                    key("period", PositiveDuration, "Duration of one wave.")
                        .needs("the duration of one wave"),
                    key("over", Duration, "Duration of all waves together.")
                        .needs("the duration of all of them"),
                ]],
                rules: &[KeyRule::ExactlyOne(&["base", "mean"])],
            },
            repeat: Noun {
                id: concat!($of, "_repeat"),
                like: Some(&USER_STAGES.repeat),
                title: "`repeat`",
                about: "A list of stages, repeated.",
                form: "`{ times: 3, do: [ { spike: 500, over: 5s }, { hold: 1m } ] }`",
                groups: &[&[
                    key("times", Count(1, MAX_TIMES), "Number of rounds.").needs("how often"),
                    key("do", Shared(&$name.list), "Stages of a round.").needs("a list of stages"),
                ]],
                ..EMPTY
            },
        };
    };
}

stage_tables!(USER_STAGES, "users", Count(0, MAX_USERS), "user");
stage_tables!(RATE_STAGES, "arrivals", Rate, "rate");
