//! `safety:` — the limits of a scenario, merged with the user's own file, and checked.
//!
//! `load` and `hit` call it before the scenario is compiled, and again when its load is known.
//! Invariant: a scenario can only tighten the user's limits, and cannot authorise targets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::FileRole;
use crate::plan::ceilings::Ceilings;
use crate::plan::safety::{
    ErrorRateLimit, HostPattern, PathPattern, RUN_HEADER, Safety, TRIAL_RATE, TRIAL_USERS,
};
use crate::plan::{Load, Plan, Service};
use crate::redact::SensitiveNames;
use crate::scenario::ceilings;
use crate::scenario::flow::sanitize;
use crate::scenario::library;
use crate::scenario::limits::{
    check_maximums, peak_load, refused_services, report_other_run_headers,
};
use crate::scenario::load::bounds::DEFAULT_MAX_USERS;
use crate::scenario::nouns::safety::{DENY, REDACT, SAFETY, STOP_ON};
use crate::scenario::nouns::steps::METHODS;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::units::Rate;

/// Maximum time over which an error rate is measured.
const MAX_OVER: Duration = Duration::from_mins(10);

/// Maximum hosts, methods or paths of a file.
const MAX_ENTRIES: usize = 1_000;

/// The limits read so far.
#[derive(Debug)]
pub(crate) struct SafetyReader {
    pub safety: Safety,
    /// Folders that scenarios may read.
    pub files: Vec<PathBuf>,
    /// Whether the built-in error limit is off.
    is_error_limit_off: bool,
    /// Whether requests identify the run to the target.
    sends_run_header: bool,
    /// Whether that is required.
    requires_run_header: bool,
}

impl Default for SafetyReader {
    fn default() -> Self {
        Self {
            safety: Safety::default(),
            files: Vec::new(),
            is_error_limit_off: false,
            sends_run_header: true,
            requires_run_header: false,
        }
    }
}

/// Reads the user's own safety file.
pub(crate) fn read_user_file(diagnostics: &mut Diagnostics, path: Option<&Path>) -> SafetyReader {
    let mut limits = SafetyReader::default();
    let Some(path) = path else { return limits };
    let Some(document) = library::read(diagnostics, path, FileRole::Limits, None) else {
        return limits;
    };
    // The file contains the limits directly, or under `safety:` as in a scenario.
    let inner = match &document.node.kind {
        NodeKind::Map(entries) => match entries.as_slice() {
            [(key, inner)] if key.name == "safety" => inner,
            _ => &document.node,
        },
        _ => &document.node,
    };
    limits.read(diagnostics, inner, &document.name, true);
    // Folders are relative to the file that names them, not to the working directory.
    let folder = path.parent().unwrap_or(Path::new(""));
    limits.files.iter_mut().for_each(|files| *files = folder.join(&files));
    limits
}

impl SafetyReader {
    /// Adds the limits of a file with origin `by`; `own`: the user's file, the only one that may
    /// authorise.
    pub(crate) fn read(
        &mut self,
        diagnostics: &mut Diagnostics,
        node: &Node,
        origin: &str,
        own: bool,
    ) {
        let Some(mut fields) = Fields::read(diagnostics, node, &SAFETY) else { return };
        let safety = &mut self.safety;
        let host = "a host such as \"*.staging.example\", \"127.0.0.1\" or \"10.0.0.0/8\"";
        if let Some(node) = fields.take("hosts") {
            let list = read_each(diagnostics, node, host, HostPattern::parse);
            if list.is_empty() {
                report_wrong::<()>(diagnostics, node, "a list of hosts");
            }
            safety.hosts.push((list, origin.to_owned()));
        }
        match fields.entry("authorised") {
            Some((_, node)) if own => {
                safety.authorised.extend(read_each(diagnostics, node, host, HostPattern::parse));
            }
            Some((key, _)) => {
                diagnostics
                    .mistake(key.span, "a scenario cannot authorise its own targets")
                    .expected("`authorised` in your own safety file, or `--authorised HOST`");
            }
            None => {}
        }
        match fields.entry("files") {
            Some((_, node)) if own => {
                let read = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
                self.files.extend(read_each(
                    diagnostics,
                    node,
                    "a folder, such as /data/feeds",
                    read,
                ));
            }
            Some((key, _)) => {
                diagnostics
                    .mistake(key.span, "a scenario cannot allow itself files")
                    .expected("`files` in your own safety file, or `--allow-files DIR`");
            }
            None => {}
        }
        if let Some(node) = fields.take("deny") {
            deny(diagnostics, node, origin, safety);
        }
        let rate = fields.value(diagnostics, "max_rate").map(|rate| (rate, origin.to_owned()));
        safety.max_rate = lower(safety.max_rate.take(), rate, Rate::units);
        let users = fields.value(diagnostics, "max_users").map(|users| (users, origin.to_owned()));
        safety.max_users = lower(safety.max_users.take(), users, |users| users);
        safety.ceilings.tighten(ceilings::read(diagnostics, &mut fields, origin));
        match fields.take("stop_on") {
            Some(Node { kind: NodeKind::Bool(false), .. }) => self.is_error_limit_off = true,
            Some(node) => safety.error_limits.extend(error_limit(diagnostics, node, origin)),
            None => {}
        }
        if let Some(node) = fields.take("sanitize") {
            let rules = sanitize::required(diagnostics, node);
            diagnostics.required_rules.extend(rules);
        }
        if let Some((key, node)) = fields.entry("run_header") {
            self.read_run_header(diagnostics, key, node);
        }
        self.read_sensitive_names(diagnostics, &mut fields);
        fields.finish(diagnostics);
    }

    /// Reads whether requests identify the run. What one file requires, no later one turns off.
    fn read_run_header(&mut self, diagnostics: &mut Diagnostics, key: &NodeKey, node: &Node) {
        match &node.kind {
            NodeKind::Bool(true) => {}
            NodeKind::Bool(false) if self.requires_run_header => {
                diagnostics
                    .mistake(key.span, format!("your safety file requires the header {RUN_HEADER}"))
                    .expected("`true`, or no `run_header` in the scenario");
            }
            NodeKind::Bool(false) => self.sends_run_header = false,
            NodeKind::Text(text) if text == "required" => {
                (self.sends_run_header, self.requires_run_header) = (true, true);
            }
            _ => drop(report_wrong::<()>(diagnostics, node, "`true`, `false` or `required`")),
        }
    }

    /// Reads changes to the secret names. The user's own file cannot be overruled.
    fn read_sensitive_names(&mut self, diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) {
        let Some(node) = fields.take("redact") else { return };
        let Some(mut fields) = Fields::read(diagnostics, node, &REDACT) else { return };
        let names = &mut self.safety.names;
        if let Some(node) = fields.take("add") {
            let add = |text: &str| names.add(text).then_some(());
            read_each(diagnostics, node, "the name of a key, such as `customer_number`", add);
        }
        if let Some(node) = fields.take("remove") {
            for item in values::one_or_more(node) {
                let Some(name) = values::text(diagnostics, item, "the name of a key") else {
                    continue;
                };
                if !names.remove(name) {
                    let known = || SensitiveNames::built_in();
                    diagnostics
                        .mistake(item.span, format!("unknown built-in name `{}`", truncate(name)))
                        .expected(format!("one of {}", known().collect::<Vec<_>>().join(", ")))
                        .did_you_mean(name, known());
                }
            }
        }
        fields.finish(diagnostics);
        diagnostics.set_sensitive_names(&self.safety.names);
    }
}

/// Returns the lower of two limits.
fn lower<T: Copy, K: Ord>(
    a: Option<(T, String)>,
    b: Option<(T, String)>,
    key: impl Fn(T) -> K,
) -> Option<(T, String)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if key(b.0) < key(a.0) { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn read_each<T>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    expected: &str,
    mut read: impl FnMut(&str) -> Option<T>,
) -> Vec<T> {
    let items = values::one_or_more(node);
    if items.len() > MAX_ENTRIES {
        diagnostics.mistake(node.span, format!("more than {MAX_ENTRIES} entries"));
        return Vec::new();
    }
    let mut found = Vec::new();
    for item in items {
        match values::scalar(item).and_then(&mut read) {
            Some(entry) => found.push(entry),
            None => drop(report_wrong::<()>(diagnostics, item, expected)),
        }
    }
    found
}

fn deny(diagnostics: &mut Diagnostics, node: &Node, origin: &str, safety: &mut Safety) {
    let Some(mut fields) = Fields::read(diagnostics, node, &DENY) else { return };
    if let Some(node) = fields.take("methods") {
        let method = |text: &str| {
            let upper = text.to_ascii_uppercase();
            METHODS.iter().any(|(_, known)| *known == upper).then_some(upper)
        };
        let methods = read_each(diagnostics, node, "a method such as DELETE", method);
        safety.methods.extend(methods.into_iter().map(|method| (method, origin.to_owned())));
    }
    if let Some(node) = fields.take("operations") {
        let word = |text: &str| {
            let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
            is_word.then(|| text.to_ascii_uppercase())
        };
        let words = read_each(diagnostics, node, "a word such as FLUSHALL", word);
        safety.methods.extend(words.into_iter().map(|word| (word, origin.to_owned())));
    }
    if let Some(node) = fields.take("destinations") {
        let name = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let names = read_each(diagnostics, node, "a name such as \"prod.*\"", name);
        safety.destinations.extend(names.into_iter().map(|name| (name, origin.to_owned())));
    }
    if let Some(node) = fields.take("paths") {
        let expected = "a path that starts with `/` or `*`, such as \"/admin/*\"";
        let paths = read_each(diagnostics, node, expected, PathPattern::parse);
        safety.paths.extend(paths.into_iter().map(|path| (path, origin.to_owned())));
    }
    fields.finish(diagnostics);
}

fn error_limit(diagnostics: &mut Diagnostics, node: &Node, origin: &str) -> Option<ErrorRateLimit> {
    let mut fields = Fields::read(diagnostics, node, &STOP_ON)?;
    let errors = fields.value(diagnostics, "errors");
    let over = fields.take("for").and_then(|node| {
        let over = values::positive_duration(diagnostics, node)?;
        if over > MAX_OVER || over.subsec_nanos() != 0 {
            return report_wrong(diagnostics, node, "whole seconds, up to 10m");
        }
        Some(over)
    });
    let mut min_calls = ErrorRateLimit::usual().min_calls;
    fields.fill(diagnostics, "min_calls", &mut min_calls);
    fields.finish(diagnostics);
    Some(ErrorRateLimit { errors: errors?, over: over?, min_calls, origin: origin.to_owned() })
}

/// Checks the load of a plan against its limits and completes them; mistakes appear under `label`.
/// `once`: a dry run with one user, whatever the load.
pub(crate) fn enforce(
    diagnostics: &mut Diagnostics,
    label: &str,
    plan: &mut Plan,
    limits: SafetyReader,
    authorised: &[String],
    own_ceilings: &Ceilings,
    once: bool,
) {
    let SafetyReader { mut safety, is_error_limit_off, sends_run_header, .. } = limits;
    if limits.requires_run_header {
        report_other_run_headers(diagnostics, label, plan);
    }
    for text in authorised {
        match HostPattern::parse(text) {
            Some(host) => safety.authorised.push(host),
            None => {
                diagnostics
                    .global_mistake(format!("--authorised {}", truncate(text)), "invalid host")
                    .expected("a name or address, such as *.staging.example or 203.0.113.0/24");
            }
        }
    }
    if let Some((most, _)) = &safety.max_users {
        lower_default_users(plan, *most);
    }
    check_maximums(diagnostics, label, plan, &safety);
    let (users, rate) = peak_load(plan);
    safety.is_trial = once || users <= TRIAL_USERS && rate <= Rate::per_s(TRIAL_RATE).units();
    for (what, why) in refused_services(plan, &safety) {
        let mistake = diagnostics.global_mistake(label, format!("{what}: {why}"));
        if why.contains("--authorised") {
            mistake.help(format!(
                "without it the limit is {TRIAL_USERS} users and {TRIAL_RATE} starts per second"
            ));
        }
    }
    if safety.error_limits.is_empty()
        && !is_error_limit_off
        && !plan.services.iter().all(Service::is_local)
    {
        safety.error_limits.push(ErrorRateLimit::usual());
    }
    let header_char =
        |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = plan.scenario.chars().map(header_char).collect();
    safety.run_header = sends_run_header.then(|| format!("{name}/{}", plan.seed.value()));
    ceilings::check_flags(diagnostics, own_ceilings);
    safety.ceilings.tighten(own_ceilings.clone());
    plan.safety = safety.into();
    if !once {
        ceilings::limit_connections(diagnostics, label, plan);
    }
}

/// Lowers the maximum of users of open workloads that have the default: it was not requested
/// explicitly, so this is no mistake.
fn lower_default_users(plan: &mut Plan, most: u64) {
    for workload in &mut plan.workloads {
        if let Load::Open(open) = &mut workload.load
            && open.max_users == DEFAULT_MAX_USERS
        {
            open.max_users = open.max_users.min(most);
        }
    }
}
