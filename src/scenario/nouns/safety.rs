//! Field tables of `safety:`.
//!
//! `scenario::safety` reads them, from a scenario and from the user's own safety file.
//! Invariant: a scenario cannot authorise targets or folders.

use crate::scenario::nouns::noun::ValueShape::{
    self, Constant, Count, Fixed, OneOf, PositiveDuration, Rate, Share, Size, Table, Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, Noun, key, list_of, map_of};
use crate::scenario::nouns::users::COLUMN_RULE;

/// One text or several.
const TEXTS: ValueShape = OneOf(&[Fixed, list_of(&Fixed)]);

pub(crate) static SAFETY: Noun = Noun {
    id: "safety",
    title: "`safety`",
    about: "Limits of a run. Of two limits (the scenario's and those of the user's own safety \
            file) the stricter one applies.",
    groups: &[&[
        key("hosts", TEXTS, "Hosts and networks that load may reach; `*` matches anything."),
        key(
            "authorised",
            OneOf(&[Constant(false), TEXTS]),
            "Public hosts that you may load; only in your own safety file.",
        ),
        key(
            "files",
            OneOf(&[Constant(false), TEXTS]),
            "Folders that scenarios may read; only in your own safety file.",
        ),
        key("deny", Table(&DENY), "Requests that are never sent."),
        key("max_rate", Rate, "Limit of the rates of all open workloads together."),
        key("max_users", Count(1, u64::MAX / 2), "Limit of the users of all workloads together."),
        key(
            "max_memory",
            Size,
            "Limit of the memory of the run, at least 16MiB: its budget (`memory:` of the client) \
             is at most this.",
        ),
        key("max_cores", Count(1, 4_096), "Limit of the cores that generate load."),
        key(
            "max_disk",
            Size,
            "Limit of what all outputs write to files, at least 1MiB: as it comes near, samples, \
             log, rows of each second and record end, in this order; the report goes on.",
        ),
        key(
            "max_connections",
            Count(1, u64::MAX / 2),
            "Limit of the connections to targets that are open at once: if users could open more, \
             they share these, and calls wait for one (blocked time by `pool`).",
        ),
        key(
            "stop_on",
            OneOf(&[Constant(false), Table(&STOP_ON)]),
            "Error rate that stops the run; `false`: none.",
        )
        .otherwise("95 % over 30s, unless all targets are local"),
        key("redact", Table(&REDACT), "Keys whose values no output shows.").formerly("mask"),
        key(
            "sanitize",
            OneOf(&[TEXTS, map_of(&COLUMN_RULE)]),
            "Columns of all data, in any spelling: a list of those that are dropped, or a map with \
             the rule of each.",
        ),
        key(
            "run_header",
            OneOf(&[Truth, Words(&["required"])]),
            "Sends `Manada-Run: SCENARIO/SEED` with each request; `required`: no scenario can \
             turn it off, or send another value.",
        )
        .default("true"),
    ]],
    ..EMPTY
};

pub(crate) static DENY: Noun = Noun {
    id: "deny",
    title: "`deny`",
    about: "Requests that are never sent.",
    groups: &[&[
        key(
            "destinations",
            TEXTS,
            "Queues, exchanges, topics and channels, such as `prod.*`: nothing is sent to them, \
             read from them, made or deleted.",
        ),
        key("methods", TEXTS, "Methods, such as DELETE."),
        key(
            "operations",
            TEXTS,
            "First words of calls of other protocols, such as FLUSHALL or DROP.",
        ),
        key("paths", TEXTS, "Paths, such as `/admin/*`."),
    ]],
    ..EMPTY
};

pub(crate) static REDACT: Noun = Noun {
    id: "redact",
    title: "`redact`",
    about: "Changes to the list of sensitive keys.",
    form: "what it adds and removes, such as `{ add: [ customer_number ] }`",
    groups: &[&[
        key("add", TEXTS, "Further keys."),
        key("remove", TEXTS, "Built-in keys whose values are shown."),
    ]],
    ..EMPTY
};

pub(crate) static STOP_ON: Noun = Noun {
    id: "stop_on",
    title: "`stop_on`",
    about: "An error rate that stops the run.",
    form: "`{ errors: 90%, for: 10s, min_calls: 50 }` or `false`",
    groups: &[&[
        key("errors", Share("90%"), "Share of failed calls.")
            .needs("a share of the calls, such as 90%"),
        key("for", PositiveDuration, "Period, whole seconds up to 10m.")
            .needs("a duration such as 10s"),
        key("min_calls", Count(1, u64::MAX / 2), "Minimum calls in the period.").default("100"),
    ]],
    ..EMPTY
};
