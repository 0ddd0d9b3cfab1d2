//! Field table of a scenario.
//!
//! `compile` reads it.
//! Invariant: a scenario has services and workloads.

use crate::scenario::nouns::cache::CACHE;
use crate::scenario::nouns::client::BLOCKS;
use crate::scenario::nouns::k6::K6_WORKLOAD;
use crate::scenario::nouns::load::WORKLOAD;
use crate::scenario::nouns::noun::ValueShape::{
    Any, AnyMap, Count, Duration, Fixed, IfKey, List, Name, OneOf, Shared, Table, Template,
    Threshold,
};
use crate::scenario::nouns::noun::{
    EMPTY, KeySpec, Noun, SharedShape, key, list_of, map_of, named, some_of,
};
use crate::scenario::nouns::safety::SAFETY;
use crate::scenario::nouns::services::SERVICE_FORM;
use crate::scenario::nouns::shift::SHIFT;
use crate::scenario::nouns::steps::STEPS;
use crate::scenario::nouns::users::ARCHETYPE;
use crate::seed::Seed;

pub(crate) static SCENARIO: Noun = Noun {
    id: "scenario",
    title: "a scenario",
    about: "One run: services, workloads, thresholds.",
    groups: &[RUN, BLOCKS],
    ..EMPTY
};

/// A workload in our spelling or k6's.
pub(crate) static WORKLOAD_FORM: SharedShape = SharedShape {
    id: "workload_form",
    title: "[workload](#workload), or one in [k6's spelling](#k6-workload)",
    shape: IfKey("executor", &Table(&K6_WORKLOAD), &Table(&WORKLOAD)),
};

/// The keys of the run itself.
static RUN: &[KeySpec] = &[
    key("scenario", Name, "Its name, and the name of the report folder.")
        .otherwise("the file's name"),
    key("description", Template, "A sentence for the report."),
    key("seed", Count(0, Seed::END - 1), "Seed of all random choices.")
        .otherwise("random, printed"),
    key("services", some_of(&Shared(&SERVICE_FORM)), "Targets of calls; the first is the default.")
        .needs("a map of services, such as `shop: builtin`"),
    key("shift", Table(&SHIFT), "Moves the users of a service to another target, step by step."),
    key("cache", named(&Table(&CACHE), 0), "Caches of captured values, for `cached` steps."),
    key("vars", map_of(&Any), "Variables that every user can read."),
    key(
        "setup",
        Shared(&STEPS),
        "Steps before the load, run once; every user has the variables that they capture.",
    ),
    key("teardown", Shared(&STEPS), "Steps after the load, run once."),
    key("archetypes", named(&Table(&ARCHETYPE), 0), "Archetypes in place."),
    key("include", OneOf(&[Fixed, list_of(&Fixed)]), "Files with further archetypes."),
    key("workloads", named(&Shared(&WORKLOAD_FORM), 1), "The loads of the run.")
        .needs("a map of workloads, each with a flow and a load"),
    key(
        "warmup",
        Duration,
        "Warm-up: calls due before its end are recorded, but do not count for thresholds and \
         statistics.",
    )
    .default("0s"),
    key("grace", Duration, "Time that iterations may go on after the end of the load.")
        .default("10s"),
    key("thresholds", List(0, None, &Threshold), "Conditions of success."),
    key("safety", Table(&SAFETY), "Limits of the run."),
    key("environments", map_of(&AnyMap), "Changes to the scenario by name, for `-e`."),
];
