//! Describes the form of a value in words, for the reference page.
//!
//! `reference` calls it for each key.
//! Invariant: a noun is a link to its section.

use crate::scenario::nouns::noun::{MapKeys, Noun, ValueShape};
use crate::scenario::nouns::steps::STEPS;

/// Returns the form of a value, as Markdown in one line.
pub(super) fn in_words(shape: &ValueShape) -> String {
    let text = match shape {
        ValueShape::Template => "text, may contain `{{ }}`",
        ValueShape::Fixed => "text",
        ValueShape::Name => "name",
        ValueShape::Truth => "`true` or `false`",
        ValueShape::Constant(true) => "`true`",
        ValueShape::Constant(false) => "`false`",
        ValueShape::Null => "nothing",
        ValueShape::Any => "any value, may contain `{{ }}`",
        ValueShape::AnyMap => "map",
        ValueShape::Weight => "number above 0",
        ValueShape::Duration | ValueShape::PositiveDuration => "duration",
        ValueShape::Rate => "rate such as `200/s`",
        ValueShape::Size => "size such as `64KiB`",
        ValueShape::Bandwidth => "bandwidth such as `1.6Mbit/s`",
        ValueShape::Percentile => "percentile, 50 to below 100",
        ValueShape::Threshold => "threshold such as `response.p95 < 250ms`",
        ValueShape::Matching(_, words) => words,
        // The same as the words beside them.
        ValueShape::Numbers(_) => "",
        ValueShape::Share(_) => "share such as `5%`",
        ValueShape::Count(low, high) => return range("whole number", *low as f64, *high as f64),
        ValueShape::Number(low, high) => return range("number", *low, *high),
        ValueShape::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            return words.join(", ");
        }
        ValueShape::Table(noun) => return link(noun),
        ValueShape::Shared(shared) => return shared.title.to_owned(),
        ValueShape::StepList => return STEPS.title.to_owned(),
        ValueShape::List(_, Some(max), items) if *max < 10 => {
            return format!("list of {max}: {}", in_words(items));
        }
        ValueShape::List(_, _, items) => return format!("list: {}", in_words(items)),
        ValueShape::Map(map) => {
            let keys = match map.keys {
                MapKeys::Any | MapKeys::Names => "name",
                MapKeys::Paths => "JSONPath",
                MapKeys::Patterns => "endpoint pattern",
            };
            return format!("map: {keys} → {}", in_words(map.values));
        }
        ValueShape::OneOf(shapes) => {
            let words = shapes.iter().map(in_words).filter(|words| !words.is_empty());
            return words.collect::<Vec<_>>().join("; or ");
        }
        ValueShape::IfKey(key, with, without) => {
            return format!("{}; with `{key}` {}", in_words(without), in_words(with));
        }
    };
    text.to_owned()
}

/// Returns a link to the section of a noun.
pub(super) fn link(noun: &Noun) -> String {
    format!("[{}](#{})", heading(noun).to_lowercase(), anchor(noun))
}

/// Returns the heading of a noun's section.
pub(super) fn heading(noun: &Noun) -> String {
    let words = noun.id.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn anchor(noun: &Noun) -> String {
    noun.id.replace('_', "-")
}

/// Returns a range of numbers; limits that no user meets are left out.
fn range(kind: &str, low: f64, high: f64) -> String {
    if high > 1e15 {
        return format!("{kind} from {low}");
    }
    format!("{kind}, {low} to {high}")
}
