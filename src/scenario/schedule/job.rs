//! A job of a schedule file: its scenario, times and policies.
//!
//! The reader of the file calls it for each job.
//! Invariant: a job has exactly one calendar, which is due at some time.

use std::time::Duration;

use super::context::ScheduleContext;
use crate::scenario::client::attempts::backoff_map;
use crate::scenario::nouns::schedule::{JOB, JOB_BACKOFF, JOB_RETRIES, JOB_RETRY_COUNT};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::field_value::FieldValue;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::timetable::{
    Calendar, CatchUp, JobRetries, OverlapPolicy, RetryOn, ScheduleZone, ScheduledJob,
};

/// Maximum arguments of a job, as in its field table.
const MAX_ARGS: usize = 100;

/// The longest jitter.
const MAX_JITTER: Duration = Duration::from_hours(1);

/// Options of `manada run` that a job may not have, and why.
const OWN_OPTIONS: [(&str, &str); 3] = [
    ("--out", "each run has a folder of its own in `out` of the schedule"),
    ("--ui", "runs of a schedule have no screen"),
    ("--agents", "it needs a bus of its own; start such a run by a `before` command elsewhere"),
];

/// Reads a job of this name; its expressions are in `zone`.
pub(super) fn job(
    diagnostics: &mut Diagnostics,
    node: &Node,
    name: &str,
    (zone, context): (&ScheduleZone, ScheduleContext<'_>),
) -> Option<ScheduledJob> {
    let mut fields = Fields::read(diagnostics, node, &JOB)?;
    let scenario = fields.take("scenario").and_then(|node| values::file(diagnostics, node));
    let args = match fields.take("args") {
        Some(node) => args(diagnostics, node, context),
        None => Some(Vec::new()),
    };
    let calendar = calendar(diagnostics, &mut fields, (zone, context.now));
    let jitter = jitter(diagnostics, &mut fields, calendar.as_ref());
    let overlap = fields.word(diagnostics, "overlap", &OverlapPolicy::NAMES);
    let timeout = fields.value(diagnostics, "timeout");
    let mut grace = Duration::from_secs(30);
    fields.fill(diagnostics, "grace", &mut grace);
    let retries = fields.take("retries").and_then(|node| retries(diagnostics, node));
    let mut command = |diagnostics: &mut Diagnostics, key| {
        let node = fields.take(key)?;
        values::text(diagnostics, node, "a shell command").map(str::to_owned)
    };
    let (before, after) = (command(diagnostics, "before"), command(diagnostics, "after"));
    let catch_up = fields.word(diagnostics, "catch_up", &CatchUp::NAMES);
    fields.finish(diagnostics);
    Some(ScheduledJob {
        name: name.to_owned(),
        scenario: scenario?,
        args: args?,
        calendar: calendar?,
        jitter,
        overlap: overlap.unwrap_or(OverlapPolicy::Skip),
        timeout,
        grace,
        retries: retries.unwrap_or_default(),
        before,
        after,
        catch_up: catch_up.unwrap_or(CatchUp::None),
    })
}

fn args(
    diagnostics: &mut Diagnostics,
    node: &Node,
    context: ScheduleContext<'_>,
) -> Option<Vec<String>> {
    let items = values::list(diagnostics, node, "a list, such as ['--threshold', 'errors < 1%']")?;
    if items.len() > MAX_ARGS {
        diagnostics.mistake(node.span, format!("more than {MAX_ARGS} arguments"));
        return None;
    }
    let read = |item: &Node| {
        let text = values::text(diagnostics, item, "an argument")?;
        let option = text.split('=').next().unwrap_or_default();
        if let Some((_, why)) = OWN_OPTIONS.iter().find(|(own, _)| *own == option) {
            let message = format!("`{option}` is not an argument of a job: {why}");
            diagnostics.mistake(item.span, message).help("leave it out");
            return None;
        }
        Some(text.to_owned())
    };
    let args: Option<Vec<String>> = items.iter().map(read).collect();
    let args = args?;
    let Err(wrong) = (context.check_args)(&args) else { return Some(args) };
    let place = wrong.index.and_then(|index| items.get(index)).unwrap_or(node);
    let mistake = diagnostics.mistake(place.span, wrong.message);
    if let Some(help) = wrong.help {
        mistake.help(help);
    }
    None
}

fn calendar(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (zone, now): (&ScheduleZone, u64),
) -> Option<Calendar> {
    let span = fields.span();
    match (fields.entry("cron"), fields.entry("every")) {
        (Some((_, node)), None) => {
            let expected = "a cron expression such as `*/15 8-18 * * MON-FRI`";
            let text = values::plain_text(diagnostics, node, expected)?;
            match Calendar::cron(text, zone, now) {
                Ok(calendar) => Some(calendar),
                Err(error) => {
                    let mistake = diagnostics.mistake(node.span, error.message);
                    mistake.expected(error.expected);
                    if let Some(near) = error.did_you_mean {
                        mistake.help(format!("did you mean `{near}`?"));
                    }
                    None
                }
            }
        }
        (None, Some((_, node))) => {
            let interval = values::positive_duration(diagnostics, node)?;
            let calendar = Calendar::every(interval);
            calendar.or_else(|| report_wrong(diagnostics, node, "whole seconds, such as 5m"))
        }
        (Some(_), Some((key, _))) => {
            diagnostics
                .mistake(key.span, "a job has either `cron` or `every`")
                .help("delete one of them");
            None
        }
        (None, None) => {
            diagnostics
                .mistake(span, "a job needs `cron` or `every`")
                .expected("its times, such as `cron: '0 3 * * *'` or `every: 1h`");
            None
        }
    }
}

fn jitter(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    calendar: Option<&Calendar>,
) -> Duration {
    let Some((span, jitter)) = fields.placed::<Duration>(diagnostics, "jitter") else {
        return Duration::ZERO;
    };
    let interval = calendar.and_then(Calendar::interval).map(Duration::from_secs);
    if jitter > MAX_JITTER {
        diagnostics.mistake(span, "a jitter of more than 1h").expected("a duration up to 1h");
    } else if interval.is_some_and(|interval| jitter >= interval) {
        diagnostics
            .mistake(span, "the jitter is not shorter than the time between two runs")
            .expected("a shorter duration");
    }
    jitter
}

fn retries(diagnostics: &mut Diagnostics, node: &Node) -> Option<JobRetries> {
    let default = JobRetries::default();
    if let NodeKind::Number(..) = node.kind {
        let max = u32::read(diagnostics, node, &JOB_RETRY_COUNT)?;
        return Some(JobRetries { max, ..default });
    }
    let mut fields = Fields::read(diagnostics, node, &JOB_RETRIES)?;
    let mut retries = JobRetries { max: 2, ..default };
    fields.fill(diagnostics, "max", &mut retries.max);
    fields.read_into(diagnostics, "backoff", &mut retries.backoff, |diagnostics, node| {
        backoff_map(diagnostics, node, &JOB_BACKOFF, default.backoff)
    });
    fields.read_into(diagnostics, "when", &mut retries.when, |diagnostics, node| {
        values::some_words(diagnostics, node, &RetryOn::NAMES)
    });
    fields.finish(diagnostics);
    Some(retries)
}
