//! The form of a field table: a noun of the language, its keys, and the values that they take.
//!
//! `syntax::fields` reads maps by it, `schema` and `reference` describe it.
//! Invariant: a key stands in the table of its noun and nowhere else.

/// A noun of the language: a map with fixed keys, such as a pool or a step.
#[derive(Debug)]
pub(crate) struct Noun {
    /// Name of the noun in the JSON Schema and in links: `pool`.
    pub id: &'static str,
    /// Name of the noun in messages: `a pool`.
    pub title: &'static str,
    /// What the noun is, as a sentence.
    pub about: &'static str,
    /// An example or another form that mistakes show; empty: `{title}: a map of keys and values`.
    pub form: &'static str,
    /// Keys of the noun, in groups, because some nouns share a group.
    pub groups: &'static [&'static [KeySpec]],
    /// Rules over several keys.
    pub rules: &'static [KeyRule],
    /// A noun with mostly the same keys, which the reference does not repeat; `None`, or the noun
    /// itself, if there is none.
    pub like: Option<&'static Noun>,
}

/// A key of a noun.
#[derive(Debug)]
pub(crate) struct KeySpec {
    pub name: &'static str,
    pub shape: ValueShape,
    /// What the key sets, as a sentence.
    pub about: &'static str,
    /// Default of the key, as written in a scenario; `None` if there is none, or none of a single
    /// form.
    pub default: Option<&'static str>,
    /// What happens without the key, as a phrase; empty if that is obvious.
    pub otherwise: &'static str,
    /// The expected value of a required key, for the mistake; `None` if the key may be left out.
    pub needs: Option<&'static str>,
    /// Former name of the key, which is still read, with a warning.
    pub former: Option<&'static str>,
}

/// A rule over several keys of a map.
#[derive(Debug)]
pub(crate) enum KeyRule {
    /// Exactly one of the keys is given.
    ExactlyOne(&'static [&'static str]),
    /// At most one of the keys is given.
    AtMostOne(&'static [&'static str]),
    /// At least one of the keys is given.
    AtLeastOne,
    /// The first key needs the second.
    Needs(&'static str, &'static str),
    /// The first key excludes each of the others.
    Excludes(&'static str, &'static [&'static str]),
    /// `arrivals` with a constant rate needs `duration` or `iterations`.
    ConstantRateEnds,
}

/// The form of a value.
#[derive(Debug)]
pub(crate) enum ValueShape {
    /// A scalar that may contain `{{ }}`.
    Template,
    /// A scalar without `{{ }}`.
    Fixed,
    /// A name: letters, digits, `-`, `_`, spaces, and `.` inside it.
    Name,
    /// `true` or `false`.
    Truth,
    /// This boolean.
    Constant(bool),
    /// An empty value.
    Null,
    /// Any value; `{{ }}` inside its texts.
    Any,
    /// Any map.
    AnyMap,
    /// A whole number in this range, both ends included.
    Count(u64, u64),
    /// A number in this range, both ends included.
    Number(f64, f64),
    /// A number above zero and at most 10⁹.
    Weight,
    /// A duration such as `250ms`, also zero.
    Duration,
    /// A duration above zero.
    PositiveDuration,
    /// A rate such as `200/s`.
    Rate,
    /// Bytes such as `64KiB`.
    Size,
    /// Bytes or bits per second such as `1.6Mbit/s`.
    Bandwidth,
    /// A share above 0 % and up to 100 %; the text is an example.
    Share(&'static str),
    /// A percentile from 50 to below 100, such as `95` or `p95`.
    Percentile,
    /// A threshold such as `response.p95 < 250ms`.
    Threshold,
    /// A text with this regular expression; the second text describes it.
    Matching(&'static str, &'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these numbers, beside the same words.
    Numbers(&'static [f64]),
    /// A map with the keys of this table.
    Table(&'static Noun),
    /// A shape with a name of its own.
    Shared(&'static SharedShape),
    /// A list of steps: `steps::STEPS`, whose steps may hold such lists.
    StepList,
    /// A list of at least and at most this many items; `None`: no limit.
    List(usize, Option<usize>, &'static ValueShape),
    /// A map with keys of the user's choice.
    Map(MapShape),
    /// One of several forms.
    OneOf(&'static [ValueShape]),
    /// The second form if the map has the key, else the third.
    IfKey(&'static str, &'static ValueShape, &'static ValueShape),
}

/// The form of a map with keys of the user's choice.
#[derive(Debug)]
pub(crate) struct MapShape {
    pub keys: MapKeys,
    pub values: &'static ValueShape,
    /// The smallest number of entries.
    pub min: usize,
    /// The largest number of entries; `None`: no limit.
    pub max: Option<usize>,
}

/// The keys of a map of the user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapKeys {
    /// Any text.
    Any,
    /// Names.
    Names,
    /// JSONPaths.
    Paths,
    /// Endpoint patterns.
    Patterns,
}

/// A shape that several keys share, under a name.
#[derive(Debug)]
pub(crate) struct SharedShape {
    /// Name of the shape in the JSON Schema and in links.
    pub id: &'static str,
    /// What the shape is, as Markdown for the reference.
    pub title: &'static str,
    pub shape: ValueShape,
}

/// A key that may be left out.
pub(crate) const fn key(name: &'static str, shape: ValueShape, about: &'static str) -> KeySpec {
    KeySpec { name, shape, about, default: None, otherwise: "", needs: None, former: None }
}

/// A noun without keys, for the fields that a table leaves out.
pub(crate) const EMPTY: Noun =
    Noun { id: "", title: "", about: "", form: "", groups: &[], rules: &[], like: None };

impl KeySpec {
    /// Sets the default, as written in a scenario.
    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Says in a phrase what happens without the key.
    pub(crate) const fn otherwise(mut self, phrase: &'static str) -> Self {
        self.otherwise = phrase;
        self
    }

    /// Makes the key required; `expected` describes its value in the mistake.
    pub(crate) const fn needs(mut self, expected: &'static str) -> Self {
        self.needs = Some(expected);
        self
    }

    /// Sets the former name.
    pub(crate) const fn formerly(mut self, name: &'static str) -> Self {
        self.former = Some(name);
        self
    }
}

impl Noun {
    /// Returns its keys in the order of the table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static KeySpec> {
        self.groups.iter().copied().flatten()
    }

    /// Returns the key of this name; `None` if the noun has none.
    pub(crate) fn key(&self, name: &str) -> Option<&'static KeySpec> {
        self.keys().find(|key| key.name == name)
    }

    /// Returns the expected form of a value, for a mistake.
    pub(crate) fn expected(&self) -> String {
        if self.form.is_empty() {
            return format!("{}: a map of keys and values", self.title);
        }
        self.form.to_owned()
    }
}

/// Returns the spellings of a table of words and their meanings.
pub(crate) const fn words<T: Copy, const N: usize>(
    table: &[(&'static str, T); N],
) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = table[at].0;
        at += 1;
    }
    words
}

/// A list with at least one item.
pub(crate) const fn list_of(items: &'static ValueShape) -> ValueShape {
    ValueShape::List(1, None, items)
}

/// A map with keys of the user's choice, also an empty one.
pub(crate) const fn map_of(values: &'static ValueShape) -> ValueShape {
    ValueShape::Map(MapShape { keys: MapKeys::Any, values, min: 0, max: None })
}

/// A map with at least one key of the user's choice.
pub(crate) const fn some_of(values: &'static ValueShape) -> ValueShape {
    ValueShape::Map(MapShape { keys: MapKeys::Any, values, min: 1, max: None })
}

/// A map of names.
pub(crate) const fn named(values: &'static ValueShape, min: usize) -> ValueShape {
    ValueShape::Map(MapShape { keys: MapKeys::Names, values, min, max: None })
}
