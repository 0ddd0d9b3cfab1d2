//! `sanitize:` — rules for columns of data, of a feed and of safety files.
//!
//! `data` and `safety` call it.
//! Invariant: a rule names a column that there is; rules of safety files apply whatever a feed
//! says.

use crate::plan::data::Rows;
use crate::plan::data::personal::looks_personal;
use crate::plan::data::sanitize::{ColumnRule, ColumnRules, FakeForm, check_key, plain_name};
use crate::scenario::flow::check::to_json;
use crate::scenario::nouns::users::COLUMN_RULE_MAP;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::template::exact_json::to_value;

const EXPECTED: &str = "a map of columns, such as `{ ssn: drop, email: hash }`";

/// The rows of a feed that are looked at for personal data.
const SAMPLE: u64 = 50;

/// Reads the rules of a feed, and adds the required ones.
pub(crate) fn rules(diagnostics: &mut Diagnostics, node: Option<&Node>) -> ColumnRules {
    let mut rules = ColumnRules::required(diagnostics.required_rules.clone());
    let entries = node.and_then(|node| values::entries(diagnostics, node, EXPECTED));
    for (key, node) in entries.unwrap_or_default() {
        if let Some(rule) = rule(diagnostics, node) {
            rules.add(&key.name, rule);
        }
    }
    if rules.need_key()
        && let Err(why) = check_key()
    {
        let mistake = match node {
            Some(node) => diagnostics.mistake(node.span, why.to_string()),
            None => diagnostics.global_mistake("sanitize", why.to_string()),
        };
        mistake.help("a longer one, or none: then each run makes its own");
    }
    rules
}

/// Reads the rules of a safety file: a list of columns that are dropped, or a rule for each.
pub(crate) fn required(diagnostics: &mut Diagnostics, node: &Node) -> Vec<(String, ColumnRule)> {
    if let NodeKind::Map(entries) = &node.kind {
        let rule =
            |(key, node): &(NodeKey, Node)| Some((key.name.clone(), rule(diagnostics, node)?));
        return entries.iter().filter_map(rule).collect();
    }
    let mut all = Vec::new();
    for item in values::one_or_more(node) {
        match values::scalar(item).filter(|name| !plain_name(name).is_empty()) {
            Some(name) => all.push((name.to_owned(), ColumnRule::Drop)),
            None => drop(report_wrong::<()>(diagnostics, item, "the name of a column")),
        }
    }
    all
}

fn rule(diagnostics: &mut Diagnostics, node: &Node) -> Option<ColumnRule> {
    if let NodeKind::Map(_) = node.kind {
        let mut fields = Fields::read(diagnostics, node, &COLUMN_RULE_MAP)?;
        let replace = fields.take("replace");
        let fake = fields.take("fake").is_some();
        let form = fields.word(diagnostics, "fake", &FakeForm::NAMES);
        fields.finish(diagnostics);
        return match replace {
            Some(node) if values::scalar(node).is_some_and(|text| text.contains("{{")) => {
                report_wrong(diagnostics, node, "a constant, without `{{ }}`")
            }
            Some(node) if values::scalar(node).is_none() => {
                let expected = "a text, a number, or `true` or `false`";
                report_wrong::<()>(diagnostics, node, expected);
                diagnostics.last().help("`drop` leaves the column out");
                None
            }
            Some(constant) if !fake => Some(ColumnRule::Replace(to_value(&to_json(constant)))),
            None if fake => form.map(ColumnRule::Fake),
            Some(_) | None => {
                diagnostics
                    .mistake(node.span, "a rule has one value")
                    .expected("either `{ replace: VALUE }` or `{ fake: email }`");
                None
            }
        };
    }
    match values::scalar(node) {
        Some("drop") => Some(ColumnRule::Drop),
        Some("hash") => Some(ColumnRule::Hash),
        Some("mask") => Some(ColumnRule::Mask),
        _ => report_wrong(diagnostics, node, COLUMN_RULE_MAP.form),
    }
}

/// Checks that the columns with rules exist, and warns about others that look like personal data.
pub(crate) fn check(diagnostics: &mut Diagnostics, key: &NodeKey, own: Option<&Node>, rows: &Rows) {
    let all = rows.all_columns();
    if let (Some(Node { kind: NodeKind::Map(entries), .. }), Some(all)) = (own, &all) {
        for (key, _) in entries.iter().filter(|(key, _)| !all.contains(&key.name)) {
            diagnostics
                .mistake(key.span, format!("no column `{}`", truncate(&key.name)))
                .expected(format!("one of {}", values::list_names(&shown(all))))
                .did_you_mean(&key.name, all.iter().map(String::as_str));
        }
    }
    let step = (rows.len() / SAMPLE).max(1);
    let sample = (0..rows.len()).step_by(step as usize).take(SAMPLE as usize);
    // A row that cannot be read is an error of the run that needs it.
    let sample: Vec<_> = sample.filter_map(|index| rows.get(index).ok()).collect();
    for column in all.unwrap_or_default() {
        let has_rule = rows.rules().has(&column);
        if let Some(what) = (!has_rule).then(|| looks_personal(&column, &sample)).flatten() {
            let message = format!("the column `{}` looks like {what}", truncate(&column));
            let help = format!(
                "if it is that of real persons: `sanitize: {{ {column}: hash }}`, `mask` or `drop`"
            );
            diagnostics.warn(key.span, message, &help);
        }
    }
}

/// The first columns, for a message.
fn shown(all: &[String]) -> Vec<&str> {
    all.iter().take(12).map(String::as_str).collect()
}
