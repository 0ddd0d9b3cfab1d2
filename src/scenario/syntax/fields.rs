//! Reads maps field by field, by the field table of their noun.
//!
//! All compilers of scenario parts read their maps through [`Fields`].
//! Invariant: every key of a map is read, or reported once with its place.

use crate::scenario::nouns::noun::{KeySpec, Noun, ValueShape};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::field_value::FieldValue;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::{list_names, report_wrong};
use crate::suggest::nearest;

/// A map that is read field by field; keys that its noun does not have are unknown.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    noun: &'static Noun,
    span: SourceSpan,
    entries: &'n [(NodeKey, Node)],
    /// The keys read so far.
    taken: Vec<&'static str>,
    /// Keys of other nouns that may stand in the same place, for suggestions.
    neighbours: Vec<&'static str>,
    /// Missing fields that are required in this map alone, with what is expected.
    missing: Vec<(&'static str, String)>,
}

impl<'n> Fields<'n> {
    /// Reads `node` as a map of a noun.
    pub(crate) fn read(
        diagnostics: &mut Diagnostics,
        node: &'n Node,
        noun: &'static Noun,
    ) -> Option<Self> {
        let NodeKind::Map(entries) = &node.kind else {
            return report_wrong(diagnostics, node, noun.expected());
        };
        Some(Self {
            noun,
            span: node.span,
            entries,
            taken: Vec::new(),
            neighbours: Vec::new(),
            missing: Vec::new(),
        })
    }

    /// Returns the noun.
    pub(crate) fn noun(&self) -> &'static Noun {
        self.noun
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
    ///
    /// # Panics
    /// If the noun has no such key: its line is missing in the field table.
    pub(crate) fn entry(&mut self, name: &'static str) -> Option<(&'n NodeKey, &'n Node)> {
        let spec = self.spec(name);
        self.taken.push(name);
        #[cfg(test)]
        READ_KEYS.with_borrow_mut(|read| read.insert((self.noun.id, name)));
        self.find(spec)
    }

    /// Reads the value of a field by the shape of its key; `None` if it is missing or wrong.
    pub(crate) fn value<T: FieldValue>(
        &mut self,
        diagnostics: &mut Diagnostics,
        name: &'static str,
    ) -> Option<T> {
        self.placed(diagnostics, name).map(|(_, value)| value)
    }

    /// Reads the value of a field as [`Self::value`], with its place.
    pub(crate) fn placed<T: FieldValue>(
        &mut self,
        diagnostics: &mut Diagnostics,
        name: &'static str,
    ) -> Option<(SourceSpan, T)> {
        let node = self.take(name)?;
        T::read(diagnostics, node, &self.spec(name).shape).map(|value| (node.span, value))
    }

    /// Reads a field into `slot` by the shape of its key, unless it is missing or wrong.
    pub(crate) fn fill<T: FieldValue>(
        &mut self,
        diagnostics: &mut Diagnostics,
        name: &'static str,
        slot: &mut T,
    ) {
        if let Some(value) = self.value(diagnostics, name) {
            *slot = value;
        }
    }

    /// Reads a field as one of the words of its key; `None` if it is missing or wrong.
    pub(crate) fn word<T: Copy>(
        &mut self,
        diagnostics: &mut Diagnostics,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        debug_assert!(allows(&self.spec(name).shape, words), "unknown value of `{name}`");
        values::one_of(diagnostics, self.take(name)?, words)
    }

    /// Reads a field with `read` into `slot`, unless it is missing or wrong.
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

    /// Returns the value of a field that this map needs; `finish` reports it if it is missing.
    /// Fields that every map of the noun needs are required by its table.
    pub(crate) fn require(&mut self, name: &'static str, expected: &str) -> Option<&'n Node> {
        let found = self.take(name);
        if found.is_none() {
            self.missing.push((name, expected.to_owned()));
        }
        found
    }

    /// Whether a key exists, known or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.name == name)
    }

    /// Adds keys of other nouns that may stand in the same place, for suggestions.
    pub(crate) fn add_neighbours(&mut self, names: impl IntoIterator<Item = &'static str>) {
        self.neighbours.extend(names);
    }

    /// Returns the known keys of the map that have not been read, and counts them as read.
    pub(crate) fn take_unread(&mut self) -> Vec<&'n NodeKey> {
        let unread = |(key, _): &'n (NodeKey, Node)| {
            let spec = self.noun.key(&key.name)?;
            (!self.taken.contains(&spec.name)).then_some((key, spec.name))
        };
        let (keys, names): (Vec<_>, Vec<_>) = self.entries.iter().filter_map(unread).unzip();
        self.taken.extend::<Vec<&str>>(names);
        keys
    }

    /// Reports all unknown keys, all keys without an effect, and all missing fields that no
    /// misspelt key explains.
    pub(crate) fn finish(mut self, diagnostics: &mut Diagnostics) {
        self.report_missing(diagnostics);
        for key in self.take_unread() {
            let message = format!("`{}` has no effect in {}", key.name, self.noun.title);
            diagnostics.mistake(key.span, message);
        }
        for (key, _) in self.entries {
            if self.noun.key(&key.name).is_some() {
                continue;
            }
            let renamed = self.noun.keys().find(|spec| spec.former == Some(key.name.as_str()));
            match renamed {
                Some(spec) => self.report_former_name(diagnostics, key, spec.name),
                None => self.report_unknown(diagnostics, key),
            }
        }
    }
}

impl<'n> Fields<'n> {
    fn spec(&self, name: &'static str) -> &'static KeySpec {
        let spec = self.noun.key(name);
        spec.unwrap_or_else(|| panic!("the field table of `{}` has no `{name}`", self.noun.id))
    }

    /// Finds a field under its name, else under its former name.
    fn find(&self, spec: &KeySpec) -> Option<(&'n NodeKey, &'n Node)> {
        let find = |name| self.entries.iter().find(|(key, _)| key.name == name);
        find(spec.name).or_else(|| find(spec.former?)).map(|(key, value)| (key, value))
    }

    fn report_missing(&self, diagnostics: &mut Diagnostics) {
        let needed = self.noun.keys().filter_map(|spec| {
            let expected = spec.needs.filter(|_| self.find(spec).is_none())?;
            Some((spec.name, expected))
        });
        let missing = self.missing.iter().map(|(name, expected)| (*name, expected.as_str()));
        for (name, expected) in needed.chain(missing) {
            let unknown = |key: &&NodeKey| self.noun.key(&key.name).is_none();
            let mut keys = self.entries.iter().map(|(key, _)| key).filter(unknown);
            if !keys.any(|key| nearest(&key.name, [name]).is_some()) {
                diagnostics
                    .mistake(self.span, format!("{} needs `{name}`", self.noun.title))
                    .expected(format!("`{name}:` with {expected}"));
            }
        }
    }

    fn report_unknown(&self, diagnostics: &mut Diagnostics, key: &NodeKey) {
        let mut known: Vec<&str> = self.noun.keys().map(|spec| spec.name).collect();
        known.extend(&self.neighbours);
        let message = format!("unknown key `{}` in {}", truncate(&key.name), self.noun.title);
        let mistake = diagnostics.mistake(key.span, message);
        match crate::foreign::key(&key.name) {
            Some(native) => mistake.help(native),
            None => mistake.did_you_mean(&key.name, known.iter().copied()),
        };
        mistake.help(format!("{} can have {}", self.noun.title, list_names(&known)));
    }

    /// Reports a former name: a mistake if the new name exists too, else a warning.
    fn report_former_name(&self, diagnostics: &mut Diagnostics, key: &NodeKey, new: &str) {
        let former = &key.name;
        if self.has(new) {
            diagnostics
                .mistake(key.span, format!("`{former}` is the former name of `{new}`"))
                .help(format!("`{new}` is set, too: delete `{former}`"));
        } else {
            let help = format!("use `{new}`; `{former}` still works");
            diagnostics.warn(key.span, format!("`{former}` is now called `{new}`"), &help);
        }
    }
}

/// Whether a shape allows exactly these words.
fn allows<T>(shape: &ValueShape, words: &[(&'static str, T)]) -> bool {
    match shape {
        ValueShape::Words(known) => known.iter().eq(words.iter().map(|(word, _)| word)),
        ValueShape::OneOf(shapes) => shapes.iter().any(|shape| allows(shape, words)),
        _ => false,
    }
}

#[cfg(test)]
thread_local! {
    /// All keys that were read, by noun; each key of a field table has to be among them.
    static READ_KEYS: std::cell::RefCell<ReadKeys> =
        const { std::cell::RefCell::new(ReadKeys::new()) };
}

#[cfg(test)]
type ReadKeys = std::collections::BTreeSet<(&'static str, &'static str)>;

/// Returns the keys that this thread has read so far, by noun.
#[cfg(test)]
pub(crate) fn read_keys() -> ReadKeys {
    READ_KEYS.with_borrow(Clone::clone)
}
