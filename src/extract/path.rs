//! A JSONPath (RFC 9535), with its cost on a document estimated before it is evaluated.
//!
//! `ParsedResponse` queries it. `serde_json_path` evaluates whole lists of nodes and cannot be
//! stopped, so [`BoundedPath::query`] first bounds the nodes that it would visit: by the number of
//! nodes at each depth of the document, and by the segments of the path.
//! Invariant: no path visits more than [`MAX_VISITS`] nodes of a document.

use std::str::FromStr;

use serde_json::Value as Json;
use serde_json_path::{JsonPath, ParseError};

use super::limits::TooComplex;

/// Maximum nodes that a path may visit on one document.
pub(super) const MAX_VISITS: u64 = 10_000_000;

/// Visits that the compilation of a regular expression in a filter counts as: it is compiled anew
/// for each node that the filter tests.
const REGEX: u64 = 200;

/// The deepest document that the parser accepts.
const DEPTH: usize = 128;

/// A path and the structure of its query.
#[derive(Clone, Debug)]
pub struct BoundedPath {
    path: JsonPath,
    shape: PathQuery,
}

/// The segments of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PathQuery {
    /// Whether the path query begins at the root, not at the node that a filter tests.
    is_absolute: bool,
    segments: Vec<PathSegment>,
}

/// A step from nodes to their children or descendants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PathSegment {
    descends: bool,
    /// Number of its selectors.
    selectors: u64,
    /// Whether some selector may select more than one child.
    takes_many: bool,
    /// The queries of its filters.
    filters: Vec<PathQuery>,
    /// Number of regular expressions in its filters.
    regexes: u64,
}

/// The number of a document's nodes at each depth.
#[derive(Debug)]
pub(super) struct NodesByDepth([u64; DEPTH + 2]);

impl FromStr for BoundedPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let path = JsonPath::parse(text)?;
        let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
        Ok(Self { path, shape: scanner.query() })
    }
}

impl BoundedPath {
    /// Returns the nodes of `document` that it selects; `levels` is called only if the cost must be
    /// estimated.
    pub(super) fn query<'d>(
        &self,
        document: &'d Json,
        levels: impl FnOnce() -> &'d NodesByDepth,
    ) -> Result<Vec<&'d Json>, TooComplex> {
        let is_cheap = |segment: &PathSegment| !segment.descends && !segment.takes_many;
        let cheap = self.shape.segments.iter().all(is_cheap);
        if !cheap && self.shape.cost(levels(), 0, false) > MAX_VISITS {
            return Err(TooComplex);
        }
        Ok(self.path.query(document).all())
    }
}

impl NodesByDepth {
    /// Counts the nodes of a document.
    pub(super) fn of(document: &Json) -> Self {
        fn count(node: &Json, depth: usize, levels: &mut NodesByDepth) {
            levels.0[depth.min(DEPTH + 1)] += 1;
            match node {
                Json::Array(items) => items.iter().for_each(|item| count(item, depth + 1, levels)),
                Json::Object(map) => map.values().for_each(|item| count(item, depth + 1, levels)),
                _ => {}
            }
        }
        let mut levels = Self([0; DEPTH + 2]);
        count(document, 0, &mut levels);
        levels
    }

    /// Returns an upper bound of the nodes reached by `descents` steps to any descendant, each
    /// counted once per way to it: a node at depth d has C(d + 1, descents) chains of ancestors.
    fn reached(&self, descents: u32) -> u64 {
        let ways = |depth: usize| binomial(depth as u64 + 1, u64::from(descents));
        let of = |(depth, count): (usize, &u64)| count.saturating_mul(ways(depth));
        self.0.iter().enumerate().map(of).fold(0, u64::saturating_add)
    }
}

fn binomial(n: u64, k: u64) -> u64 {
    let mut result: u64 = 1;
    for step in 0..k {
        // Exact: a product of this many consecutive integers is divisible by the next divisor.
        result = result.saturating_mul(n.saturating_sub(step)) / (step + 1);
    }
    result
}

impl PathQuery {
    /// Returns an upper bound of the nodes it visits, from nodes that `descents` steps led to;
    /// `many`: it may start from any number of nodes.
    fn cost(&self, levels: &NodesByDepth, descents: u32, many: bool) -> u64 {
        let (mut descents, mut many) = (descents, many);
        let (mut selectors, mut cost) = (1u64, 0u64);
        for segment in &self.segments {
            descents += u32::from(segment.descends);
            many |= segment.descends || segment.takes_many;
            selectors = selectors.saturating_mul(segment.selectors.max(1));
            let reached = match (many, descents) {
                (false, _) => 1,
                (true, 0) => levels.reached(0),
                (true, _) => levels.reached(descents),
            };
            let tested = reached.saturating_mul(selectors);
            cost = cost.saturating_add(tested);
            cost = cost.saturating_add(tested.saturating_mul(segment.regexes * REGEX));
            for filter in &segment.filters {
                let one = if filter.is_absolute {
                    // It is evaluated for each node, and its whole result is compared.
                    let whole = filter.cost(levels, 0, false).saturating_add(levels.reached(0));
                    tested.saturating_mul(whole)
                } else {
                    // Its whole result may be compared: one more level of descent.
                    let own = filter.cost(levels, descents, true);
                    own.saturating_add(levels.reached(descents + 1)).saturating_mul(selectors)
                };
                cost = cost.saturating_add(one);
            }
        }
        cost
    }
}

/// Reads the structure of a path that is known to be valid.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Reads from `$` or `@` to the end of its segments.
    fn query(&mut self) -> PathQuery {
        let mut query = PathQuery { is_absolute: self.peek() == Some(b'$'), segments: Vec::new() };
        self.at += 1;
        loop {
            let before = self.at;
            self.skip_blanks();
            let mut segment = PathSegment { selectors: 1, ..PathSegment::default() };
            while self.peek() == Some(b'.') {
                segment.descends |= self.text.get(self.at + 1) == Some(&b'.');
                self.at += 1;
            }
            let has_dot = self.text[before..self.at].contains(&b'.');
            match self.peek() {
                Some(b'[') => self.brackets(&mut segment),
                Some(b'*') if has_dot => {
                    segment.takes_many = true;
                    self.at += 1;
                }
                Some(byte) if has_dot && is_name(byte) => {
                    while self.peek().is_some_and(is_name) {
                        self.at += 1;
                    }
                }
                _ => {
                    self.at = before;
                    return query;
                }
            }
            query.segments.push(segment);
        }
    }

    /// Reads `[` selectors `]`.
    fn brackets(&mut self, segment: &mut PathSegment) {
        self.at += 1;
        let mut depth = 0u32;
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' | b'"' => self.quoted(byte),
                b'$' | b'@' => segment.filters.push(self.query()),
                b'm' if self.text[self.at..].starts_with(b"match") => self.regex(segment, 5),
                b's' if self.text[self.at..].starts_with(b"search") => self.regex(segment, 6),
                b']' => {
                    self.at += 1;
                    return;
                }
                _ => {
                    depth += u32::from(byte == b'(');
                    depth -= u32::from(byte == b')' && depth > 0);
                    segment.selectors += u64::from(byte == b',' && depth == 0);
                    segment.takes_many |= matches!(byte, b'*' | b':' | b'?');
                    self.at += 1;
                }
            }
        }
    }

    fn regex(&mut self, segment: &mut PathSegment, length: usize) {
        segment.regexes += 1;
        self.at += length;
    }

    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1 + usize::from(byte == b'\\');
            if byte == quote {
                return;
            }
        }
    }
}

/// Whether a byte can be part of a name after a dot.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cost(text: &str, document: &Json) -> u64 {
        text.parse::<BoundedPath>().unwrap().shape.cost(&NodesByDepth::of(document), 0, false)
    }

    /// Counts the nodes that a path of descents and wildcards visits, one by one.
    fn visited(document: &Json, descents: u32) -> u64 {
        fn below<'d>(node: &'d Json, visits: &mut u64, out: &mut Vec<&'d Json>) {
            *visits += 1;
            let children: Vec<&Json> = match node {
                Json::Array(items) => items.iter().collect(),
                Json::Object(map) => map.values().collect(),
                _ => Vec::new(),
            };
            out.extend(&children);
            children.into_iter().for_each(|child| below(child, visits, out));
        }
        let (mut nodes, mut visits) = (vec![document], 0);
        for _ in 0..descents {
            let mut next = Vec::new();
            nodes.into_iter().for_each(|node| below(node, &mut visits, &mut next));
            nodes = next;
        }
        visits
    }

    #[test]
    fn structure_is_read_from_any_spelling_of_a_path() {
        let segments = |text: &str| {
            let shape = text.parse::<BoundedPath>().unwrap().shape;
            let of = |one: &PathSegment| (one.descends, one.selectors, one.takes_many);
            shape.segments.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(segments("$"), []);
        assert_eq!(segments("$.a['b, *']"), [(false, 1, false); 2]);
        assert_eq!(
            segments("$..* [0, 1,-1].é"),
            [(true, 1, true), (false, 3, false), (false, 1, false)]
        );
        assert_eq!(segments("$..[1:3]"), [(true, 1, true)]);
        let filter = "$[?count($..x[?@.y == ']']) > 1 && match(@.z, 'a')].b".parse::<BoundedPath>();
        let shape = filter.unwrap().shape;
        assert_eq!((shape.segments.len(), shape.segments[0].regexes), (2, 1));
        let queries = &shape.segments[0].filters;
        assert_eq!(queries.iter().map(|one| one.is_absolute).collect::<Vec<_>>(), [true, false]);
        assert_eq!(queries[0].segments[1].filters.len(), 1);
    }

    #[test]
    fn bound_is_never_below_actual_visits() {
        let mut deep = json!([1, 2]);
        for _ in 0..20 {
            deep = json!([deep, 0]);
        }
        let wide = json!({"a": [1, 2, {"b": [3, 4]}], "c": {"d": [[5]]}});
        for (document, descents) in [(&deep, 1), (&deep, 3), (&deep, 4), (&wide, 1), (&wide, 3)] {
            let path = format!("${}", "..*".repeat(descents as usize));
            let (bound, exact) = (cost(&path, document), visited(document, descents));
            assert!(bound >= exact && bound <= 40 * exact, "{path}: {bound} for {exact}");
        }
    }

    #[test]
    fn unbounded_paths_are_rejected() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep, 1]);
        }
        let wide: Json = (0..50_000).map(|id| json!({"id": id, "price": 1})).collect();
        for (path, document, is_queried) in [
            ("$..*", &deep, true),
            ("$..*..*..*..*..*", &deep, false),
            ("$..id", &wide, true),
            ("$[?@.id == 7].price", &wide, true),
            ("$[?@.id == $[0].id]", &wide, false),
            ("$[?count($..id) > 1]", &wide, false),
            ("$[?match(@.id, 'a')]", &wide, false),
            ("$['a'].b[0]", &wide, true),
        ] {
            let levels = NodesByDepth::of(document);
            let found = path.parse::<BoundedPath>().unwrap().query(document, || &levels);
            assert_eq!(found.is_ok(), is_queried, "{path}");
        }
    }
}
