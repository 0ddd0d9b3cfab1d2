//! Reads nodes as typed values: the field tables of the language.
//!
//! All compilers of scenario parts read maps through [`Fields`] and values through these
//! functions.
//! Invariant: a wrong value is reported once, with its place, and read as `None`.

use std::path::PathBuf;
use std::time::Duration;

use super::diagnostics::{Diagnostics, SourceSpan, nearest};
use super::files;
use super::node::{Node, NodeKey, NodeKind};
use crate::units::{self, QuantityError, Rate};

/// Renamed keys: new name, former name. The former one is still read, with a warning.
pub(crate) const RENAMED: [(&str, &str); 2] =
    [("prewarm", "provision"), ("max_retry_after", "patience")];

/// Returns the former name of a key; `None` if it has none.
pub(crate) fn former_name(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(new, _)| *new == name).map(|(_, former)| *former)
}

/// A map that is read field by field; keys that no field reads are unknown.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    span: SourceSpan,
    /// The kind of map, for messages: `a workload`.
    what: &'static str,
    entries: &'n [(NodeKey, Node)],
    known_keys: Vec<&'static str>,
    /// Missing required fields, with what is expected.
    missing: Vec<(&'static str, String)>,
}

impl<'n> Fields<'n> {
    /// Reads `node` as a map of kind `what`.
    pub(crate) fn read(
        diagnostics: &mut Diagnostics,
        node: &'n Node,
        what: &'static str,
    ) -> Option<Self> {
        Self::read_as(diagnostics, node, what, &format!("{what}: a map of keys and values"))
    }

    /// Reads `node` as a map of kind `what`; `expected` describes it if it is not a map.
    pub(crate) fn read_as(
        diagnostics: &mut Diagnostics,
        node: &'n Node,
        what: &'static str,
        expected: &str,
    ) -> Option<Self> {
        match &node.kind {
            NodeKind::Map(entries) => {
                let (known_keys, missing) = (Vec::new(), Vec::new());
                Some(Self { span: node.span, what, entries, known_keys, missing })
            }
            _ => report_wrong(diagnostics, node, expected),
        }
    }

    /// Returns the place of the map.
    pub(crate) fn span(&self) -> SourceSpan {
        self.span
    }

    /// Returns the value of a field; `None` if it is missing.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.entry(name).map(|(_, value)| value)
    }

    /// Returns the key and value of a field; `None` if it is missing.
    pub(crate) fn entry(&mut self, name: &'static str) -> Option<(&'n NodeKey, &'n Node)> {
        self.known_keys.push(name);
        #[cfg(test)]
        READ_KEYS.with_borrow_mut(|asked| {
            asked.entry(self.what.to_owned()).or_default().insert(name.to_owned());
        });
        let find = |name| self.entries.iter().find(|(key, _)| key.name == name);
        let found = find(name).or_else(|| find(former_name(name)?));
        found.map(|(key, value)| (key, value))
    }

    /// Returns the value of a required field; `finish` reports it if it is missing.
    pub(crate) fn require(&mut self, name: &'static str, expected: &str) -> Option<&'n Node> {
        let found = self.take(name);
        if found.is_none() {
            self.missing.push((name, expected.to_owned()));
        }
        found
    }

    /// Reads a field into `slot`, unless it is missing or wrong.
    pub(crate) fn read_into<T>(
        &mut self,
        diagnostics: &mut Diagnostics,
        name: &'static str,
        slot: &mut T,
        read: impl FnOnce(&mut Diagnostics, &Node) -> Option<T>,
    ) {
        if let Some(value) = self.take(name).and_then(|node| read(diagnostics, node)) {
            *slot = value;
        }
    }

    /// Whether a key exists, known or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.name == name)
    }

    /// Reports all unknown keys, and all missing fields that no misspelt key explains.
    pub(crate) fn finish(self, diagnostics: &mut Diagnostics) {
        let unknown = |key: &&NodeKey| !self.known_keys.contains(&key.name.as_str());
        for (name, expected) in &self.missing {
            let mut keys = self.entries.iter().map(|(key, _)| key).filter(unknown);
            if !keys.any(|key| nearest(&key.name, [*name]).is_some()) {
                diagnostics
                    .mistake(self.span, format!("{} needs `{name}`", self.what))
                    .expected(format!("`{name}:` with {expected}"));
            }
        }
        for (key, _) in self.entries {
            if self.known_keys.contains(&key.name.as_str()) {
                continue;
            }
            let renamed = RENAMED.iter().find(|(_, former)| key.name == *former);
            if let Some((new, former)) = renamed.filter(|(new, _)| self.known_keys.contains(new)) {
                self.report_former_name(diagnostics, key, new, former);
                continue;
            }
            let message = format!("unknown key `{}` in {}", truncate(&key.name), self.what);
            let mistake = diagnostics.mistake(key.span, message);
            match crate::foreign::key(&key.name) {
                Some(native) => mistake.help(native),
                None => mistake.did_you_mean(&key.name, self.known_keys.iter().copied()),
            };
            mistake.help(format!("{} may have {}", self.what, list_names(&self.known_keys)));
        }
    }
}

impl Fields<'_> {
    /// Reports a former name: a mistake if the new name exists too, else a warning.
    fn report_former_name(
        &self,
        diagnostics: &mut Diagnostics,
        key: &NodeKey,
        new: &str,
        former: &str,
    ) {
        if self.has(new) {
            diagnostics
                .mistake(key.span, format!("`{former}` is the former name of `{new}`"))
                .help(format!("`{new}` is there, too: delete `{former}`"));
        } else {
            let help = format!("write `{new}`; `{former}` is still read");
            diagnostics.warn(key.span, format!("`{former}` is now called `{new}`"), &help);
        }
    }
}

#[cfg(test)]
type RequestedKeys = std::collections::BTreeMap<String, std::collections::BTreeSet<String>>;

#[cfg(test)]
thread_local! {
    /// All keys that were read, by kind of map; `schema` has to know them all.
    static READ_KEYS: std::cell::RefCell<RequestedKeys> = const { std::cell::RefCell::new(RequestedKeys::new()) };
}

/// Returns the keys that this thread has read so far.
#[cfg(test)]
pub(crate) fn read_keys() -> RequestedKeys {
    READ_KEYS.with_borrow(Clone::clone)
}

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
        NodeKind::Null => "a value is missing here".to_owned(),
        NodeKind::Bool(value) => format!("`{value}` does not fit here"),
        NodeKind::Number(written, _) => format!("the number {written} does not fit here"),
        NodeKind::Text(text) if text.is_empty() => "an empty text does not fit here".to_owned(),
        NodeKind::Text(text) => format!("`{}` does not fit here", truncate(text)),
        NodeKind::List(items) if items.is_empty() => "an empty list does not fit here".to_owned(),
        NodeKind::Map(entries) if entries.is_empty() => "an empty map does not fit here".to_owned(),
        NodeKind::List(_) => "a list does not fit here".to_owned(),
        NodeKind::Map(_) => "a map does not fit here".to_owned(),
    };
    diagnostics.mistake(node.span, message).expected(expected);
    None
}

/// Truncates a text for a message.
pub(crate) fn truncate(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
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
            .mistake(node.span, "no `{{ }}` may stand here")
            .expected(format!("{expected}, the same for every call"));
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
    if let Some(found) = places.iter().find(|path| path.exists() && !path.is_dir()) {
        return files::check_readable(diagnostics, node.span, found).then(|| found.clone());
    }
    let looked: Vec<String> = places.iter().map(|path| format!("`{}`", path.display())).collect();
    diagnostics
        .mistake(node.span, format!("there is no file `{}`", truncate(name)))
        .help(format!("it was looked up as {}", looked.join(", ")));
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
