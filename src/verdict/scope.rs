//! The scope of a threshold: `step("pay").`, `workload("api").`, `tag("team=checkout").`
//!
//! `threshold` parses it, `scenario` checks that it matches something, `judge` selects series by
//! it.
//! Invariant: all selectors of a threshold must match: each narrows the scope further.

use super::metric::Metric;
use super::rule_error::{RuleError, short};
use crate::ids::{StepId, WorkloadId};
use crate::suggest::nearest;

/// The selectors of a threshold; none selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// In the order in which they were written.
    pub selectors: Vec<Selector>,
}

/// One selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Steps of this name.
    Step(String),
    /// A workload.
    Workload(String),
    /// An archetype.
    Archetype(String),
    /// A tag of a series.
    Tag(String, String),
    /// A check; only for `checks`.
    Check(String),
    /// A backend of a service with several addresses, by its URL.
    Backend(String),
    /// A cache; only for its own metrics.
    Cache(String),
}

/// Everything that can be selected: the measured series and workloads, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// The workloads' names.
    pub workloads: Vec<String>,
    /// When each workload's load is measured, from and to, ns after the run's start; the end is
    /// `u64::MAX` if only a count ends it.
    pub measured_ns: Vec<(u64, u64)>,
    /// All series.
    pub series: Vec<Subject>,
    /// All series by backend: the series, and the backend's name.
    pub backends: Vec<(StepId, String)>,
    /// The names of caches.
    pub caches: Vec<String>,
}

/// A series by its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The step's name.
    pub step: String,
    /// The archetype's name.
    pub archetype: String,
    /// Workload of the series.
    pub workload: WorkloadId,
    /// Tags of the series.
    pub tags: Vec<(String, String)>,
    /// The names of the series' checks, in the order of their counts.
    pub checks: Vec<String>,
}

const WORDS: [&str; 7] = ["step", "workload", "archetype", "tag", "check", "backend", "cache"];

impl Scope {
    /// Parses the selectors at the start of a rule; also returns the rest.
    pub(super) fn parse(rule: &str) -> Result<(Self, &str), RuleError> {
        let mut scope = Self::default();
        let mut rest = rule;
        loop {
            let word = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word);
            let Some(inner) = after.strip_prefix('(').filter(|_| WORDS.contains(&word)) else {
                // A metric has no quotes in its parentheses.
                if after.starts_with("(\"") {
                    return Err(RuleError {
                        message: format!("unknown selector `{}`", short(word)),
                        expected: format!("one of {}", WORDS.join(", ")),
                        help: nearest(word, WORDS).map(|near| format!("did you mean `{near}`?")),
                    });
                }
                return Ok((scope, rest.trim_start()));
            };
            let wrong = || RuleError {
                message: format!("`{word}(` has no name in quotes"),
                expected: format!("`{word}(\"{}\").` before the metric", example(word)),
                help: None,
            };
            let (names, after) = parse_quoted(inner).ok_or_else(wrong)?;
            scope.selectors.push(parse_selector(word, names).ok_or_else(wrong)?);
            let after = after.trim_start();
            let is_check = word == "check";
            rest = match after.strip_prefix('.') {
                Some(after) => after.trim_start(),
                None if is_check => return Ok((scope, after)),
                None => return Err(wrong()),
            };
        }
    }

    /// Checks that the metric is recorded for what is selected.
    pub(super) fn check_metric(&self, metric: Metric, name: &str) -> Result<(), RuleError> {
        let error = |recorded: &str, expected: &str| {
            let message = format!("`{}` is recorded {recorded}", short(name));
            Err(RuleError { message, expected: expected.to_owned(), help: None })
        };
        if self.has_check() && metric != Metric::Checks {
            return error(
                "for calls, not for a check",
                "a share after `check(\"…\")`, such as > 99%",
            );
        }
        if self.backend().is_some() && !metric.is_of_backends() {
            return error(
                "for the whole step or workload, not for a backend",
                "errors, failed, timeouts, calls, status(5xx), response or service times",
            );
        }
        if matches!(metric, Metric::Cache(_)) {
            return match self.selectors.len() {
                1 => Ok(()),
                _ => error("for the whole run", "no selector but one `cache(\"…\").`"),
            };
        }
        if matches!(metric, Metric::Bytes | Metric::Recovery) && !self.selectors.is_empty() {
            return error("for the whole run", "no selector");
        }
        let by_workload = |one: &Selector| matches!(one, Selector::Workload(_));
        if !metric.is_of_calls() && !self.selectors.iter().all(by_workload) {
            return error("per workload", "no selector but `workload(\"…\").`");
        }
        Ok(())
    }

    /// Whether a single check is selected.
    pub(super) fn has_check(&self) -> bool {
        self.selectors.iter().any(|selector| matches!(selector, Selector::Check(_)))
    }

    /// The backend that is selected; `None` if the scope has all of them.
    pub fn backend(&self) -> Option<&str> {
        self.selectors.iter().find_map(|selector| match selector {
            Selector::Backend(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The cache that is selected; `None` without one.
    pub fn cache(&self) -> Option<&str> {
        self.selectors.iter().find_map(|selector| match selector {
            Selector::Cache(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether the scope includes a series by backend, by its place.
    pub fn has_backend(&self, subjects: &Subjects, place: usize) -> bool {
        subjects.backends.get(place).is_some_and(|(series, name)| {
            self.backend().is_none_or(|wanted| wanted == name) && self.has_series(subjects, *series)
        })
    }

    /// Whether the scope narrows further than to workloads: then it excludes lost starts.
    pub fn is_within_workloads(&self) -> bool {
        self.selectors.iter().any(|selector| !matches!(selector, Selector::Workload(_)))
    }

    /// Whether the scope includes a series.
    pub fn has_series(&self, subjects: &Subjects, series: StepId) -> bool {
        let Some(subject) = subjects.series.get(series.index()) else {
            return self.selectors.is_empty();
        };
        self.selectors.iter().all(|selector| match selector {
            Selector::Step(name) => subject.step == *name,
            Selector::Workload(name) => {
                subjects.workloads.get(subject.workload.index()) == Some(name)
            }
            Selector::Archetype(name) => subject.archetype == *name,
            Selector::Tag(key, value) => {
                subject.tags.iter().any(|(mine, is)| mine == key && is == value)
            }
            Selector::Check(name) => subject.checks.contains(name),
            Selector::Backend(name) => {
                subjects.backends.iter().any(|(of, known)| *of == series && known == name)
            }
            // A cache has no series.
            Selector::Cache(_) => false,
        })
    }

    /// Whether the scope includes a workload.
    pub fn has_workload(&self, subjects: &Subjects, workload: WorkloadId) -> bool {
        self.selectors.iter().all(|selector| match selector {
            Selector::Workload(name) => subjects.workloads.get(workload.index()) == Some(name),
            _ => true,
        })
    }

    /// Whether the scope includes a check of a series; `index` is its place among the series'
    /// checks.
    pub fn has_check_of(&self, subjects: &Subjects, series: StepId, index: usize) -> bool {
        self.selectors.iter().all(|selector| match selector {
            Selector::Check(name) => subjects
                .series
                .get(series.index())
                .is_some_and(|subject| subject.checks.get(index) == Some(name)),
            _ => true,
        })
    }

    /// Checks that the scope matches something.
    ///
    /// # Errors
    /// The first selector that matches nothing, with the name that was most likely meant.
    pub fn matches(&self, subjects: &Subjects) -> Result<(), RuleError> {
        for (count, selector) in self.selectors.iter().enumerate() {
            let so_far = Self { selectors: self.selectors[..=count].to_vec() };
            let mut series = StepId::first(subjects.series.len());
            let is_found = match selector {
                Selector::Cache(name) => subjects.caches.contains(name),
                _ => series.any(|series| so_far.has_series(subjects, series)),
            };
            if is_found {
                continue;
            }
            let (what, name, known) = selector.known(subjects);
            if let Some(missing) = selector.missing().filter(|_| known.is_empty()) {
                return Err(missing);
            }
            let elsewhere = known.contains(&name);
            return Err(RuleError {
                message: if elsewhere {
                    format!(
                        "no series matches all selectors: {what} `{}` belongs to others",
                        short(&name)
                    )
                } else {
                    format!("unknown {what} `{}`", short(&name))
                },
                expected: format!("one of {}", known.join(", ")),
                help: nearest(&name, known.iter().map(String::as_str))
                    .filter(|_| !elsewhere)
                    .map(|near| format!("did you mean `{near}`?")),
            });
        }
        Ok(())
    }
}

impl Selector {
    /// The mistake if there is nothing of the kind that it selects; `None` if there always is.
    fn missing(&self) -> Option<RuleError> {
        let (message, expected) = match self {
            Self::Backend(_) => (
                "no service has several addresses, so there is no backend",
                "the rule without `backend(…)`, or a service with `urls: [ … ]`",
            ),
            Self::Cache(_) => (
                "there is no cache",
                "the rule without `cache(…)`, or a `cache` with layers in the scenario",
            ),
            _ => return None,
        };
        Some(RuleError { message: message.into(), expected: expected.into(), help: None })
    }

    /// Returns the kind of names it selects by, the name it gives, and the existing names.
    fn known(&self, subjects: &Subjects) -> (&'static str, String, Vec<String>) {
        let series = subjects.series.iter();
        let (what, name, mut known): (_, _, Vec<String>) = match self {
            Self::Step(name) => ("step", name.clone(), series.map(|s| s.step.clone()).collect()),
            Self::Workload(name) => ("workload", name.clone(), subjects.workloads.clone()),
            Self::Archetype(name) => {
                ("archetype", name.clone(), series.map(|s| s.archetype.clone()).collect())
            }
            Self::Tag(key, value) => {
                let tags = series.flat_map(|s| &s.tags);
                let known = tags.map(|(key, value)| format!("{key}={value}"));
                ("tag", format!("{key}={value}"), known.collect())
            }
            Self::Check(name) => {
                ("check", name.clone(), series.flat_map(|s| s.checks.clone()).collect())
            }
            Self::Backend(name) => {
                let known = subjects.backends.iter().map(|(_, name)| name.clone());
                ("backend", name.clone(), known.collect())
            }
            Self::Cache(name) => ("cache", name.clone(), subjects.caches.clone()),
        };
        known.sort();
        known.dedup();
        (what, name, known)
    }
}

fn parse_selector(word: &str, mut names: Vec<String>) -> Option<Selector> {
    let first = names.remove(0);
    match (word, names.as_slice()) {
        ("step", []) => Some(Selector::Step(first)),
        ("workload", []) => Some(Selector::Workload(first)),
        ("archetype", []) => Some(Selector::Archetype(first)),
        ("check", []) => Some(Selector::Check(first)),
        ("backend", []) => Some(Selector::Backend(first)),
        ("cache", []) => Some(Selector::Cache(first)),
        ("tag", [value]) => Some(Selector::Tag(first, value.clone())),
        ("tag", []) => {
            let (key, value) = first.split_once('=')?;
            Some(Selector::Tag(key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => None,
    }
}

fn example(word: &str) -> &'static str {
    match word {
        "step" => "product page",
        "tag" => "team=checkout",
        "check" => "status is 200",
        "backend" => "http://10.0.0.2:8080",
        "cache" => "tokens",
        _ => "buyers",
    }
}

/// Parses one or two quoted texts up to a `)`; also returns the rest. Within quotes `\"` is a
/// quote.
fn parse_quoted(inner: &str) -> Option<(Vec<String>, &str)> {
    let mut texts = Vec::new();
    let mut rest = inner.trim_start();
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (mut text, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => {
                    text.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                _ if c == quote => {
                    end = Some(at + 1);
                    break;
                }
                _ => text.push(c),
            }
        }
        texts.push(text);
        rest = rest[end?..].trim_start();
        if let Some(after) = rest.strip_prefix(')') {
            return Some((texts, after));
        }
        rest = rest.strip_prefix(',').filter(|_| texts.len() < 2)?.trim_start();
    }
}
