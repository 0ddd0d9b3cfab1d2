//! Field tables of a schedule file.
//!
//! `scenario::schedule` reads them.
//! Invariant: a default is the one of the types in `timetable`.

use crate::scenario::nouns::attempts::{ABOUT_BACKOFF, backoff_keys};
use crate::scenario::nouns::noun::ValueShape::{
    self, Count, Duration, Fixed, List, Name, OneOf, PositiveDuration, Table, Template, Truth,
    Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, MapKeys, MapShape, Noun, key};

/// The values of `overlap`, `catch_up`, `when` and `on`. Their meanings are in `timetable`, which
/// is not in each build; a test of `scenario::schedule` compares them.
pub(crate) const OVERLAPS: [&str; 3] = ["skip", "queue", "replace"];
pub(crate) const CATCH_UPS: [&str; 3] = ["none", "last", "all"];
pub(crate) const RETRIED: [&str; 6] =
    ["broken", "timeout", "fail", "inconclusive", "aborted", "before"];
pub(crate) const OCCASIONS: [&str; 3] = ["failure", "recovery", "change"];

/// The number of retries of a job.
pub(crate) const JOB_RETRY_COUNT: ValueShape = Count(0, 20);

/// Maximum jobs of a file.
const MAX_JOBS: usize = 1_000;

/// Maximum arguments of a job.
const MAX_ARGS: usize = 100;

pub(crate) static SCHEDULE: Noun = Noun {
    id: "schedule",
    title: "a schedule file",
    about: "Scenarios that are run at times, by `manada schedule run`. \
            See [Runs on a schedule](schedule.md).",
    groups: &[&[
        key("schedule", Name, "Its name: a part of keys in Redis, and of the folder of reports.")
            .otherwise("the file's name"),
        key("description", Fixed, "A sentence for its readers."),
        key("time_zone", Fixed, "Time zone of cron expressions, such as `Europe/Lisbon`.")
            .default("UTC"),
        key("out", Fixed, "Folder of reports, outputs and, without `lock`, of the state.")
            .otherwise("`reports/schedule-NAME` beside the file"),
        key(
            "lock",
            OneOf(&[Template, Table(&LOCK)]),
            "Redis that lets each slot run once over machines.",
        )
        .otherwise("a lock on this machine"),
        key("history", Template, "Place of the history of runs, as for `--history`."),
        key("notify", Table(&NOTIFY), "Webhook that gets outcomes."),
        key("max_running", Count(1, 64), "Largest number of runs at once; further ones wait.")
            .default("4"),
        key("jobs", JOBS, "The jobs by name.").needs("a map of jobs, each with a scenario"),
    ]],
    ..EMPTY
};

const JOBS: ValueShape = ValueShape::Map(MapShape {
    keys: MapKeys::Names,
    values: &Table(&JOB),
    min: 1,
    max: Some(MAX_JOBS),
});

pub(crate) static LOCK: Noun = Noun {
    id: "lock",
    title: "`lock`",
    about: "A Redis or Valkey, from 7.0 on, with a lease for each job.",
    form: "a URL such as rediss://redis.example:6379, or `{ url: …, lease: 30s }`",
    groups: &[&[
        key("url", Template, "Its URL; MANADA_BUS_PASSWORD may have the password.")
            .needs("a URL such as rediss://redis.example:6379"),
        key("lease", PositiveDuration, "How long a lease lasts without renewal, 3s to 1h.")
            .default("30s"),
        key("ca", Fixed, "File of certificates that the server is verified with.")
            .otherwise("those of the system"),
        key("cert", Fixed, "File of a client certificate."),
        key("key", Fixed, "File of its key."),
        key("insecure", Truth, "Uses redis:// to another machine, without encryption.")
            .default("false"),
    ]],
    ..EMPTY
};

pub(crate) static NOTIFY: Noun = Noun {
    id: "notify",
    title: "`notify`",
    about: "A webhook: a POST with JSON.",
    form: "`{ url: \"https://hooks.example/…\", on: [failure, recovery] }`",
    groups: &[&[
        key("url", Template, "Its URL, which no message shows; see `secret()`.")
            .needs("a URL such as https://hooks.example/load"),
        key(
            "on",
            OneOf(&[Words(&OCCASIONS), List(1, Some(3), &Words(&OCCASIONS))]),
            "Occasions: a run that did not pass, one that passes again, another outcome than \
             before.",
        )
        .default("[failure, recovery]"),
    ]],
    ..EMPTY
};

pub(crate) static JOB: Noun = Noun {
    id: "job",
    title: "a job",
    about: "A scenario and its times.",
    groups: &[&[
        key("scenario", Fixed, "Scenario file.").needs("the name of a scenario file"),
        key("args", List(0, Some(MAX_ARGS), &Template), "Further arguments of `manada run`."),
        key(
            "cron",
            Fixed,
            "Times: minute, hour, day of the month, month, day of the week; seconds may stand \
             before them; also `@daily` and the like, and `@every 5m`.",
        ),
        key("every", PositiveDuration, "Times: each multiple of a duration in whole seconds."),
        key("jitter", Duration, "Longest delay after a time, up to 1h; the same on all machines.")
            .default("0s"),
        key(
            "overlap",
            Words(&OVERLAPS),
            "A time at which the former run goes on: left out, waited for, or the former run is \
             ended.",
        )
        .default("skip"),
        key("timeout", PositiveDuration, "Longest duration of an attempt.").otherwise("none"),
        key("grace", PositiveDuration, "Time from SIGTERM to SIGKILL.").default("30s"),
        key(
            "retries",
            OneOf(&[JOB_RETRY_COUNT, Table(&JOB_RETRIES)]),
            "Further attempts of a run.",
        )
        .default("0"),
        key("before", Template, "Shell command before the run; if it fails, there is no run."),
        key("after", Template, "Shell command after the run, whatever became of it."),
        key(
            "catch_up",
            Words(&CATCH_UPS),
            "Times that were missed: left out, the last one is run, or all are.",
        )
        .default("none"),
    ]],
    rules: &[KeyRule::ExactlyOne(&["cron", "every"])],
    ..EMPTY
};

pub(crate) static JOB_RETRIES: Noun = Noun {
    id: "job_retries",
    title: "`retries` of a job",
    about: "Further attempts of a run.",
    form: "a number of retries, such as 2, or `{ max: 2, when: [broken] }`",
    groups: &[&[
        key("max", JOB_RETRY_COUNT, "Largest number of retries of a run.").default("2"),
        key("backoff", Table(&JOB_BACKOFF), "Wait before each retry."),
        key(
            "when",
            OneOf(&[Words(&RETRIED), List(1, Some(6), &Words(&RETRIED))]),
            "Outcomes after which a run is retried: not carried out (exit code 1), `timeout`, \
             failed thresholds (4), inconclusive (5), stopped by a safety limit (6), or a failed \
             command `before`.",
        )
        .default("[broken, timeout]"),
    ]],
    ..EMPTY
};

static JOB_BACKOFF_KEYS: [KeySpec; 4] = backoff_keys("10s", "10m");

pub(crate) static JOB_BACKOFF: Noun = Noun {
    id: "job_backoff",
    title: "`backoff` of a job",
    about: ABOUT_BACKOFF,
    form: "`{ base: 10s, factor: 2, max: 10m, jitter: full }`",
    groups: &[&JOB_BACKOFF_KEYS],
    ..EMPTY
};
