//! Renders field tables as the reference page of the documentation.
//!
//! A test keeps `docs/reference.md` equal to it.
//! Invariant: each noun that a scenario, a schedule file or a file of prices can contain has its
//! section, once.

use std::fmt::Write as _;

use super::words::{heading, in_words, link};
use crate::scenario::nouns::noun::{KeyRule, KeySpec, Noun, ValueShape};
use crate::scenario::nouns::prices::PRICES;
use crate::scenario::nouns::scenario::SCENARIO;
use crate::scenario::nouns::schedule::SCHEDULE;
use crate::scenario::nouns::steps::STEPS;
use crate::scenario::nouns::users::ARCHETYPE_FILE;

/// The beginning of the page.
const INTRODUCTION: &str = "\
# Reference: all keys of a scenario

[The language](language.md) explains how the parts work together. This page lists every key with
its value and default. It is generated from the field tables of the program
(`src/scenario/nouns`), and a test keeps it up to date. `manada schema` prints the same as JSON
Schema for editors.

- A key in **bold** is required.
- Durations are written as `250ms`, `1.5s`, `2m`, `1h30m`.
- Text that may contain `{{ }}` is a template: see [Templates](language.md#templates).
";

/// Longest line of the page, in characters.
const COLUMNS: usize = 110;

/// Returns the page in Markdown.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for noun in nouns() {
        section(&mut page, noun);
    }
    page
}

/// Returns all nouns in the order of their first use.
pub(super) fn nouns() -> Vec<&'static Noun> {
    let mut nouns: Vec<&'static Noun> = vec![&SCENARIO, &ARCHETYPE_FILE];
    let mut at = 0;
    while let Some(noun) = nouns.get(at).copied().or_else(|| {
        // Files of their own, whose nouns follow those of a scenario.
        let new = [&SCHEDULE, &PRICES].into_iter().find(|noun| !contains(&nouns, noun));
        new.inspect(|noun| nouns.push(noun))
    }) {
        noun.keys().for_each(|spec| collect(&spec.shape, &mut nouns));
        at += 1;
    }
    nouns
}

/// Adds the nouns of a shape in the order of their first use.
fn collect(shape: &'static ValueShape, nouns: &mut Vec<&'static Noun>) {
    match shape {
        ValueShape::Table(noun) if !contains(nouns, noun) => nouns.push(noun),
        ValueShape::Shared(shared) => collect(&shared.shape, nouns),
        ValueShape::StepList => collect(&STEPS.shape, nouns),
        ValueShape::List(_, _, items) => collect(items, nouns),
        ValueShape::Map(map) => collect(map.values, nouns),
        ValueShape::OneOf(shapes) => shapes.iter().for_each(|shape| collect(shape, nouns)),
        ValueShape::IfKey(_, with, without) => {
            collect(without, nouns);
            collect(with, nouns);
        }
        _ => {}
    }
}

fn contains(nouns: &[&'static Noun], noun: &'static Noun) -> bool {
    nouns.iter().any(|known| known.id == noun.id)
}

fn section(page: &mut String, noun: &'static Noun) {
    let like = noun.like.filter(|like| like.id != noun.id);
    let is_repeated = |spec: &KeySpec| {
        like.and_then(|like| like.key(spec.name)).is_some_and(|known| known.about == spec.about)
    };
    let own: Vec<&KeySpec> = noun.keys().filter(|spec| !is_repeated(spec)).collect();
    let mut about = noun.about.to_owned();
    noun.rules.iter().for_each(|rule| about.push_str(&rule_in_words(rule)));
    if let Some(like) = like {
        let other = if own.is_empty() { "" } else { "other " };
        let _ = write!(about, " Its {other}keys are those of {}.", link(like));
    }
    let _ = write!(page, "\n## {}\n\n", heading(noun));
    wrap(page, &about, "");
    if !own.is_empty() {
        page.push('\n');
    }
    for spec in own {
        let mark = if spec.needs.is_some() { "**" } else { "" };
        let default = match (spec.default, spec.otherwise) {
            (Some(default), _) => format!("; default `{default}`"),
            (None, "") => String::new(),
            (None, otherwise) => format!("; default: {otherwise}"),
        };
        let value = in_words(&spec.shape);
        wrap(page, &format!("- {mark}`{}`{mark} ({value}{default})\\", spec.name), "  ");
        let former = spec.former.map_or(String::new(), |name| format!(" Formerly `{name}`."));
        page.push_str("  ");
        wrap(page, &format!("{}{former}", spec.about), "  ");
    }
}

/// Adds a text in lines of at most [`COLUMNS`] characters, broken at spaces outside of code spans;
/// all lines but the first begin with `indent`.
fn wrap(page: &mut String, text: &str, indent: &str) {
    let mut columns = 0;
    let mut is_code = false;
    let is_break = |c: char| {
        is_code ^= c == '`';
        c == ' ' && !is_code
    };
    for piece in text.split(is_break) {
        let length = piece.chars().count();
        if columns + 1 + length > COLUMNS && columns > 0 {
            page.push('\n');
            page.push_str(indent);
            columns = indent.len();
        } else if columns > 0 {
            page.push(' ');
            columns += 1;
        }
        page.push_str(piece);
        columns += length;
    }
    page.push('\n');
}

/// Describes a rule over several keys as a sentence.
fn rule_in_words(rule: &KeyRule) -> String {
    let list = |keys: &[&str]| {
        keys.iter().map(|key| format!("`{key}`")).collect::<Vec<String>>().join(", ")
    };
    match rule {
        KeyRule::ExactlyOne(keys) => format!(" Exactly one of {} is required.", list(keys)),
        KeyRule::AtMostOne(keys) => format!(" At most one of {} is allowed.", list(keys)),
        KeyRule::AtLeastOne => " At least one key is required.".to_owned(),
        KeyRule::Needs(key, other) => format!(" `{key}` needs `{other}`."),
        KeyRule::Excludes(key, others) => {
            format!(" `{key}` is not allowed together with {}.", list(others))
        }
        KeyRule::ConstantRateEnds => {
            " A constant rate needs `duration` or `iterations`.".to_owned()
        }
    }
}
