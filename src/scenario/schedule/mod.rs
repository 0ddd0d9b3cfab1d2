//! Schedule files: jobs that run scenarios at times.
//!
//! `cli` calls [`load_schedule`].
//! Invariant: a returned file needs no further checks, beyond whether its Redis can be reached.

mod context;
mod job;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::context::{ScheduleContext, WrongArgument};
use crate::files::{FileRole, Files};
use crate::redact::register_secret;
use crate::scenario::library;
use crate::scenario::nouns::schedule::{LOCK, NOTIFY, SCHEDULE};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::{Mistakes, truncate};
use crate::scenario::syntax::names::{is_name, report_bad_name};
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{source, templates, values};
use crate::timetable::{LockOptions, NotifyOn, NotifyOptions, ScheduleFile, ScheduleZone};

/// Maximum jobs of a file, as in its field table.
const MAX_JOBS: usize = 1_000;

/// The shortest and the longest lease.
const LEASES: (Duration, Duration) = (Duration::from_secs(3), Duration::from_hours(1));

/// Whether a file is meant as a schedule: it has the first key of one.
pub fn is_schedule(path: &Path) -> bool {
    let text = source::contents(&Files::default(), path, FileRole::Scenario).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().any(|line| line.starts_with("schedule:") || line.starts_with("jobs:"))
}

/// Loads a schedule file.
///
/// # Errors
/// All mistakes at once, each with its place.
pub fn load_schedule(path: &Path, context: ScheduleContext<'_>) -> Result<ScheduleFile, Mistakes> {
    let mut diagnostics = Diagnostics::default();
    // The file is the operator's own: its scenarios may lie anywhere.
    diagnostics.readable.add(Path::new("/"));
    let document = library::read(&mut diagnostics, path, FileRole::Scenario, None);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("schedule");
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let file =
        document.and_then(|document| schedule(&mut diagnostics, &document.node, stem, context));
    let file = file.map(|file| ScheduleFile {
        out: folder.join(&file.out),
        folder: folder.to_path_buf(),
        ..file
    });
    diagnostics.finish(file).map(|(file, _)| file)
}

fn schedule(
    diagnostics: &mut Diagnostics,
    node: &Node,
    stem: &str,
    context: ScheduleContext<'_>,
) -> Option<ScheduleFile> {
    let mut fields = Fields::read(diagnostics, node, &SCHEDULE)?;
    let mut name = stem.to_owned();
    fields.read_into(diagnostics, "schedule", &mut name, |diagnostics, node| {
        let text = values::plain_text(diagnostics, node, "a name")?;
        if !is_name(text) {
            return report_wrong(diagnostics, node, "letters, digits, `-`, `_` and `.`");
        }
        Some(text.to_owned())
    });
    fields.take("description");
    let mut zone = ScheduleZone::utc();
    fields.read_into(diagnostics, "time_zone", &mut zone, time_zone);
    let mut out = PathBuf::from(format!("reports/schedule-{name}"));
    fields.read_into(diagnostics, "out", &mut out, |diagnostics, node| {
        values::plain_text(diagnostics, node, "a folder").map(PathBuf::from)
    });
    let lock = fields.take("lock").and_then(|node| lock(diagnostics, node));
    let place = "a file, or a URL such as postgres://…";
    let history =
        fields.take("history").and_then(|node| templates::constant(diagnostics, node, place));
    let notify = fields.take("notify").and_then(|node| notify(diagnostics, node));
    let mut max_running = 4;
    fields.fill(diagnostics, "max_running", &mut max_running);
    let mut jobs = Vec::new();
    if let Some(node) = fields.take("jobs") {
        let expected = "a map of jobs, such as `smoke: { scenario: smoke.yaml, every: 1h }`";
        let entries = values::entries(diagnostics, node, expected).unwrap_or_default();
        if entries.is_empty() && matches!(node.kind, NodeKind::Map(_)) {
            report_wrong::<()>(diagnostics, node, expected);
        }
        if entries.len() > MAX_JOBS {
            diagnostics.mistake(node.span, format!("more than {MAX_JOBS} jobs"));
        }
        for (key, node) in entries.iter().take(MAX_JOBS) {
            if !is_name(&key.name) {
                report_bad_name(diagnostics, key);
            }
            jobs.extend(job::job(diagnostics, node, &key.name, (&zone, context)));
        }
    }
    fields.finish(diagnostics);
    let folder = PathBuf::new();
    Some(ScheduleFile { name, zone, folder, out, lock, history, notify, max_running, jobs })
}

fn time_zone(diagnostics: &mut Diagnostics, node: &Node) -> Option<ScheduleZone> {
    let name = values::plain_text(diagnostics, node, "a time zone such as Europe/Lisbon")?;
    let found = ScheduleZone::parse(name);
    if found.is_none() {
        let mistake =
            diagnostics.mistake(node.span, format!("unknown time zone `{}`", truncate(name)));
        mistake.expected("a name of the IANA database, such as Europe/Lisbon or UTC");
        if let Some(near) = ScheduleZone::suggestion(name) {
            mistake.help(format!("did you mean `{near}`?"));
        }
    }
    found
}

fn lock(diagnostics: &mut Diagnostics, node: &Node) -> Option<LockOptions> {
    let lease = Duration::from_secs(30);
    let url = |diagnostics: &mut Diagnostics, node: &Node| {
        let expected = "a URL such as rediss://redis.example:6379";
        let url = templates::constant(diagnostics, node, expected)?;
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return report_wrong(diagnostics, node, expected);
        }
        Some(url)
    };
    if !matches!(node.kind, NodeKind::Map(_)) {
        let url = url(diagnostics, node)?;
        return Some(LockOptions { url, lease, ..LockOptions::default() });
    }
    let mut fields = Fields::read(diagnostics, node, &LOCK)?;
    let mut options = LockOptions { lease, ..LockOptions::default() };
    let found = fields.take("url").and_then(|node| url(diagnostics, node));
    fields.read_into(diagnostics, "lease", &mut options.lease, |diagnostics, node| {
        let lease = values::positive_duration(diagnostics, node)?;
        if lease < LEASES.0 || lease > LEASES.1 {
            return report_wrong(diagnostics, node, "a duration from 3s to 1h");
        }
        Some(lease)
    });
    for (key, slot) in
        [("ca", &mut options.ca), ("cert", &mut options.cert), ("key", &mut options.key)]
    {
        if let Some(node) = fields.take(key) {
            *slot = values::file(diagnostics, node);
        }
    }
    fields.fill(diagnostics, "insecure", &mut options.allow_plaintext);
    fields.finish(diagnostics);
    options.url = found?;
    Some(options)
}

fn notify(diagnostics: &mut Diagnostics, node: &Node) -> Option<NotifyOptions> {
    let mut fields = Fields::read(diagnostics, node, &NOTIFY)?;
    let url = fields.take("url").and_then(|node| {
        let expected = "a URL such as https://hooks.example/load";
        let url = templates::constant(diagnostics, node, expected)?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return report_wrong(diagnostics, node, expected);
        }
        // The URL of a webhook is enough to write to it. A short one hides nothing.
        let _ = register_secret(&url);
        Some(url)
    });
    let mut on = vec![NotifyOn::Failure, NotifyOn::Recovery];
    fields.read_into(diagnostics, "on", &mut on, |diagnostics, node| {
        values::some_words(diagnostics, node, &NotifyOn::NAMES)
    });
    fields.finish(diagnostics);
    Some(NotifyOptions { url: url?, on })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::nouns::schedule::{CATCH_UPS, OCCASIONS, OVERLAPS, RETRIED};
    use crate::timetable::{CatchUp, OverlapPolicy, RetryOn};

    /// The tables have the words alone, since the language is the same in each build.
    #[test]
    fn tables_have_the_words_of_the_types() {
        assert_eq!(OverlapPolicy::NAMES.map(|(word, _)| word), OVERLAPS);
        assert_eq!(CatchUp::NAMES.map(|(word, _)| word), CATCH_UPS);
        assert_eq!(RetryOn::NAMES.map(|(word, _)| word), RETRIED);
        assert_eq!(NotifyOn::NAMES.map(|(word, _)| word), OCCASIONS);
    }
}
