//! Thresholds in a scenario and after `--threshold`.
//!
//! `compile`, `overrides` and `hit` parse them here; `load` checks that their selectors match.
//! Invariant: an accepted threshold selects something that the plan has.

use crate::plan::Plan;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::mistake::Mistake;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;
use crate::verdict::Threshold;
use crate::verdict::threshold::{Metric, RuleError};

/// Parses the thresholds of a scenario, each with its place.
pub(crate) fn parse_list(
    diagnostics: &mut Diagnostics,
    node: &Node,
) -> Vec<(Threshold, SourceSpan)> {
    let expected = "a list of rules, such as `- response.p95 < 250ms`";
    let Some(items) = values::list(diagnostics, node, expected) else { return Vec::new() };
    let mut rules = Vec::new();
    for item in items {
        let Some(text) = values::plain_text(diagnostics, item, "a rule such as `errors < 1%`")
        else {
            continue;
        };
        match Threshold::parse(text) {
            Ok(rule) => {
                if let Some(native) = rule.native() {
                    let help = format!("the native form is `{native}`");
                    diagnostics.warn(item.span, "this rule uses k6 syntax", &help);
                }
                rules.push((rule, item.span));
            }
            Err(error) => explain(diagnostics.mistake(item.span, error.message.clone()), error),
        }
    }
    rules
}

/// Parses the thresholds of `--threshold`.
pub(crate) fn parse_flag(diagnostics: &mut Diagnostics, rules: &[String]) -> Vec<Threshold> {
    let mut parsed = Vec::new();
    for rule in rules {
        match Threshold::parse(rule) {
            Ok(rule) => parsed.push(rule),
            Err(error) => {
                explain(diagnostics.global_mistake(flag(rule), error.message.clone()), error);
            }
        }
    }
    parsed
}

/// Reports every threshold whose selectors match nothing; those beyond `places` are from the flag.
pub(crate) fn check_selectors(diagnostics: &mut Diagnostics, plan: &Plan, places: &[SourceSpan]) {
    let subjects = plan.manifest().subjects();
    let has_health = plan.services.iter().any(|service| service.health.is_some());
    for (index, rule) in plan.thresholds.iter().enumerate() {
        if rule.metric == Metric::Recovery && !has_health {
            let message = "recovery is not measured: no service has `health`";
            mistake(diagnostics, places.get(index), rule, message)
                .expected("a service with `health: { path: /health }`");
        }
    }
    for (index, rule) in plan.thresholds.iter().enumerate() {
        let place = places.get(index);
        if let Err(error) = rule.scope.matches(&subjects) {
            explain(mistake(diagnostics, place, rule, &error.message), error);
        }
    }
}

/// A mistake of a rule: at its place, or of the flag.
fn mistake<'d>(
    diagnostics: &'d mut Diagnostics,
    place: Option<&SourceSpan>,
    rule: &Threshold,
    message: &str,
) -> &'d mut Mistake {
    match place {
        Some(span) => diagnostics.mistake(*span, message),
        None => diagnostics.global_mistake(flag(&rule.rule), message),
    }
}

fn flag(rule: &str) -> String {
    format!("--threshold '{rule}'")
}

fn explain(mistake: &mut Mistake, error: RuleError) {
    mistake.expected(error.expected);
    if let Some(help) = error.help {
        mistake.help(help);
    }
}
