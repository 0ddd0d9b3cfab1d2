//! Reads nodes as values of the types that the language has.
//!
//! All compilers of scenario parts call it.
//! Invariant: a wrong value is reported once, with its place, and read as `None`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::files;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::suggest::{nearest, nearest_path};
use crate::units::{self, QuantityError, Rate};

/// Formats `a`, `b` or `c`.
pub(crate) fn list_names(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

/// Reports a value of the wrong kind.
pub(crate) fn report_wrong<T>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    expected: impl Into<String>,
) -> Option<T> {
    let message = match &node.kind {
        NodeKind::Null => "the value is missing".to_owned(),
        NodeKind::Bool(value) => format!("invalid value `{value}`"),
        NodeKind::Number(written, _) => format!("invalid number {written}"),
        NodeKind::Text(text) if text.is_empty() => "an empty text is not allowed here".to_owned(),
        NodeKind::Text(text) => format!("invalid value `{}`", truncate(text)),
        NodeKind::List(items) if items.is_empty() => "an empty list is not allowed here".to_owned(),
        NodeKind::Map(entries) if entries.is_empty() => {
            "an empty map is not allowed here".to_owned()
        }
        NodeKind::List(_) => "a list is not allowed here".to_owned(),
        NodeKind::Map(_) => "a map is not allowed here".to_owned(),
    };
    diagnostics.mistake(node.span, message).expected(expected);
    None
}

/// Returns the text of a scalar as written, also of a number or boolean.
pub(crate) fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Text(text) | NodeKind::Number(text, _) => Some(text),
        NodeKind::Bool(true) => Some("true"),
        NodeKind::Bool(false) => Some("false"),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => None,
    }
}

/// Reads a text.
pub(crate) fn text<'n>(
    diagnostics: &mut Diagnostics,
    node: &'n Node,
    expected: &str,
) -> Option<&'n str> {
    scalar(node).or_else(|| report_wrong(diagnostics, node, expected))
}

/// Reads a text without templates.
pub(crate) fn plain_text<'n>(
    diagnostics: &mut Diagnostics,
    node: &'n Node,
    expected: &str,
) -> Option<&'n str> {
    let text = text(diagnostics, node, expected)?;
    if text.contains("{{") {
        diagnostics
            .mistake(node.span, "`{{ }}` is not allowed here")
            .expected(format!("{expected}, constant for all calls"));
        return None;
    }
    Some(text)
}

/// Reads `true` or `false`.
pub(crate) fn boolean(diagnostics: &mut Diagnostics, node: &Node) -> Option<bool> {
    match node.kind {
        NodeKind::Bool(value) => Some(value),
        _ => report_wrong(diagnostics, node, "`true` or `false`"),
    }
}

/// Reads a list.
pub(crate) fn list<'n>(
    diagnostics: &mut Diagnostics,
    node: &'n Node,
    expected: &str,
) -> Option<&'n [Node]> {
    match &node.kind {
        NodeKind::List(items) => Some(items),
        _ => report_wrong(diagnostics, node, expected),
    }
}

/// Returns the items of a list; any other value counts as a list of one.
pub(crate) fn one_or_more(node: &Node) -> &[Node] {
    match &node.kind {
        NodeKind::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// Returns the entries of a map with user-defined keys.
pub(crate) fn entries<'n>(
    diagnostics: &mut Diagnostics,
    node: &'n Node,
    expected: &str,
) -> Option<&'n [(NodeKey, Node)]> {
    match &node.kind {
        NodeKind::Map(entries) => Some(entries),
        _ => report_wrong(diagnostics, node, expected),
    }
}

/// Reads a whole number from `low` to `high`.
pub(crate) fn count(
    diagnostics: &mut Diagnostics,
    node: &Node,
    low: u64,
    high: u64,
) -> Option<u64> {
    let number = match &node.kind {
        NodeKind::Number(written, _) => written.parse::<u64>().ok(),
        _ => None,
    };
    match number {
        Some(number) if (low..=high).contains(&number) => Some(number),
        _ => report_wrong(diagnostics, node, format!("a whole number from {low} to {high}")),
    }
}

/// Reads one or more statuses up to `highest`, or classes such as `2xx`; returns them all, and as
/// they are written.
pub(crate) fn statuses(
    diagnostics: &mut Diagnostics,
    node: &Node,
    highest: u16,
) -> Option<(Vec<u16>, Vec<String>)> {
    let one = std::slice::from_ref(node);
    let items = match &node.kind {
        NodeKind::List(items) if !items.is_empty() => items,
        _ => one,
    };
    let (mut wanted, mut shown) = (Vec::new(), Vec::new());
    for item in items {
        let class = scalar(item).and_then(|text| text.strip_suffix("xx"));
        match class.and_then(|class| class.parse::<u16>().ok()) {
            Some(class @ 1..) if class <= highest / 100 => {
                wanted.extend(class * 100..class * 100 + 100);
                shown.push(format!("{class}xx"));
            }
            _ => {
                let number = match &item.kind {
                    NodeKind::Number(written, _) => written.parse::<u16>().ok(),
                    _ => None,
                };
                let Some(status) = number.filter(|number| (100..=highest).contains(number)) else {
                    let expected =
                        format!("a status from 100 to {highest}, or a class such as `2xx`");
                    return report_wrong(diagnostics, item, expected);
                };
                wanted.push(status);
                shown.push(status.to_string());
            }
        }
    }
    Some((wanted, shown))
}

/// Reads a boolean that can have one value only.
pub(crate) fn only(diagnostics: &mut Diagnostics, node: &Node, value: bool) -> Option<()> {
    if matches!(node.kind, NodeKind::Bool(own) if own == value) {
        return Some(());
    }
    report_wrong(diagnostics, node, format!("`{value}`"))
}

/// Reads one of several words.
pub(crate) fn one_of<T: Copy>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    words: &[(&'static str, T)],
) -> Option<T> {
    let text = scalar(node).unwrap_or_default();
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    report_wrong::<()>(diagnostics, node, format!("one of {}", list_names(&names)));
    let suggestion = nearest(text, names.iter().copied());
    if let Some(suggestion) = suggestion {
        diagnostics.last().help(format!("did you mean `{suggestion}`?"));
    }
    None
}

/// Reads one word or several.
pub(crate) fn some_words<T: Copy + PartialEq>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    words: &[(&'static str, T)],
) -> Option<Vec<T>> {
    let items = one_or_more(node);
    if items.is_empty() {
        return report_wrong(diagnostics, node, "at least one word");
    }
    items.iter().map(|item| one_of(diagnostics, item, words)).collect()
}

/// Reads a weight: a number above zero.
pub(crate) fn weight(diagnostics: &mut Diagnostics, node: &Node) -> Option<f64> {
    match &node.kind {
        NodeKind::Number(_, weight) if *weight > 0.0 && *weight <= 1e9 => Some(*weight),
        _ => report_wrong(
            diagnostics,
            node,
            "a weight above zero and at most 1000000000, such as 80",
        ),
    }
}

/// Reads the path of an existing file, next to the file that names it or next to the scenario.
pub(crate) fn file(diagnostics: &mut Diagnostics, node: &Node) -> Option<PathBuf> {
    let name = plain_text(diagnostics, node, "the name of a file")?;
    let places: Vec<PathBuf> =
        diagnostics.folders(node.span).iter().map(|folder| folder.join(name)).collect();
    if let Some(found) = places.iter().find(|path| diagnostics.files.is_file(path)) {
        return files::check_readable(diagnostics, node.span, found).then(|| found.clone());
    }
    let advice = places.iter().find_map(|place| diagnostics.files.advice(place));
    let is_alike = |path: &Path| path.extension() == Path::new(name).extension();
    let near = || places.iter().find_map(|place| nearest_path(place, &[], is_alike));
    let near = if advice.is_none() { near() } else { None };
    let near = near.as_deref().and_then(Path::file_name);
    let looked: Vec<String> = places.iter().map(|path| format!("`{}`", path.display())).collect();
    let mistake = diagnostics.mistake(node.span, format!("file `{}` not found", truncate(name)));
    if let Some(near) = near {
        let near = Path::new(name).with_file_name(near);
        mistake.help(format!("did you mean `{}`?", near.display()));
    }
    mistake.help(format!("looked for {}", looked.join(", ")));
    if let Some(advice) = advice {
        mistake.help(advice);
    }
    None
}

/// Reads a duration such as `250ms`.
pub(crate) fn duration(diagnostics: &mut Diagnostics, node: &Node) -> Option<Duration> {
    quantity(diagnostics, node, units::parse_duration, |number| format!("`{number}s`"))
}

/// Reads a duration above zero.
pub(crate) fn positive_duration(diagnostics: &mut Diagnostics, node: &Node) -> Option<Duration> {
    let duration = duration(diagnostics, node)?;
    if duration.is_zero() {
        return report_wrong(diagnostics, node, "a duration above zero");
    }
    Some(duration)
}

/// Reads a rate such as `200/s`.
pub(crate) fn rate(diagnostics: &mut Diagnostics, node: &Node) -> Option<Rate> {
    quantity(diagnostics, node, units::parse_rate, |number| format!("`{number}/s`"))
}

/// Reads the bandwidth of a link, such as `1.6Mbit/s`, as bytes per second.
pub(crate) fn bandwidth(diagnostics: &mut Diagnostics, node: &Node) -> Option<u64> {
    quantity(diagnostics, node, units::parse_bandwidth, |number| format!("`{number}Mbit/s`"))
}

/// Reads a share above 0 % and up to 100 %.
pub(crate) fn share(diagnostics: &mut Diagnostics, node: &Node, such_as: &str) -> Option<f64> {
    let share = scalar(node).and_then(|text| units::parse_share(text).ok());
    match share.filter(|share| *share > 0.0 && *share <= 1.0) {
        None => report_wrong(
            diagnostics,
            node,
            format!("a share above 0 % and up to 100 %, such as {such_as}"),
        ),
        share => share,
    }
}

/// Reads a percentile from 50 to below 100, as `95` or `p95`.
pub(crate) fn percentile(diagnostics: &mut Diagnostics, node: &Node) -> Option<f64> {
    let text = scalar(node).unwrap_or_default();
    let number: Option<f64> = text.strip_prefix('p').unwrap_or(text).parse().ok();
    match number.filter(|number| (50.0..100.0).contains(number)) {
        None => report_wrong(diagnostics, node, "a percentile from 50 to 99.9, such as 95"),
        found => found,
    }
}

/// Reads a size such as `64KiB`, as bytes.
pub(crate) fn size(diagnostics: &mut Diagnostics, node: &Node) -> Option<u64> {
    quantity(diagnostics, node, units::parse_size, |number| format!("`{number}B`"))
}

fn quantity<T>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    parse: impl Fn(&str) -> Result<T, QuantityError>,
    with_unit: impl Fn(&str) -> String,
) -> Option<T> {
    let error = match scalar(node).map(&parse) {
        Some(Ok(value)) => return Some(value),
        Some(Err(error)) => error,
        // The error for an empty text names what is expected.
        None => parse("").err()?,
    };
    report_wrong::<()>(diagnostics, node, error.0);
    let span_help = match &node.kind {
        NodeKind::Number(written, value) if *value >= 0.0 => {
            Some(format!("add a unit: {}", with_unit(written)))
        }
        NodeKind::Number(..) => Some("it cannot be negative".to_owned()),
        NodeKind::Text(text) if text.starts_with('-') => Some("it cannot be negative".to_owned()),
        _ => None,
    };
    if let Some(help) = span_help {
        diagnostics.last().help(help);
    }
    None
}
