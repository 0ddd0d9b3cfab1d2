//! Reads maps field by field: the field tables of the language.
//!
//! All compilers of scenario parts read their maps through [`Fields`].
//! Invariant: an unknown key is reported once, with its place.

use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values::list_names;
use crate::scenario::syntax::values::report_wrong;
use crate::suggest::nearest;

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
type ReadKeys = std::collections::BTreeMap<String, std::collections::BTreeSet<String>>;

#[cfg(test)]
thread_local! {
    /// All keys that were read, by kind of map; `schema` has to know them all.
    static READ_KEYS: std::cell::RefCell<ReadKeys> =
        const { std::cell::RefCell::new(ReadKeys::new()) };
}

/// Returns the keys that this thread has read so far.
#[cfg(test)]
pub(crate) fn read_keys() -> ReadKeys {
    READ_KEYS.with_borrow(Clone::clone)
}
