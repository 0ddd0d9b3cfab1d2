//! An HTML page and the elements that a selector matches, with the work counted.
//!
//! `capture` uses it for `css`. The parser is html5ever and the matcher is the crate `selectors`,
//! as in scraper; both access the page through counting types of ours.
//! Invariant: a page has at most [`MAX_NODES`] nodes in [`MAX_DEPTH`] levels, an element at most
//! [`MAX_ATTRIBUTES`] attributes, and one selector visits at most [`MAX_VISITS`] nodes.

use std::borrow::Cow;
use std::cell::{Cell, Ref};
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ParseOpts, QualName, parse_document};
use scraper::selector::{Parser, Simple};
use scraper::{ElementRef, Html, HtmlTreeSink};
use selectors::matching::{self, MatchingContext, SelectorCaches};
use selectors::parser::{ParseRelative, SelectorList};

use super::counted::CountedElement;
use super::limits::{MAX_CAPTURE, TooComplex};

/// The longest page that is parsed: 4 MiB.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// Maximum nodes of a page.
pub(super) const MAX_NODES: u64 = 200_000;

/// The deepest nesting of its elements. The parser reads the whole stack of open elements for many
/// tags, so its work is nodes × depth; browsers stop at 512.
pub(super) const MAX_DEPTH: usize = 256;

/// Maximum attributes of an element: the tokenizer compares each with all before it.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// Maximum nodes that one selector visits on one page, including the texts that it finds.
pub(super) const MAX_VISITS: u64 = 20_000_000;

/// Bytes that the parser is fed at a time; between chunks the size of the page is checked.
const CHUNK: usize = 4 << 10;

/// A CSS selector.
#[derive(Clone, Debug)]
pub struct CssSelector(SelectorList<Simple>);

impl CssSelector {
    /// Parses a selector; `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parser = cssparser::Parser::new(text);
        SelectorList::parse(&Parser, &mut parser, ParseRelative::No).ok().map(Self)
    }

    /// Returns the attribute or the text of each matching element, at most `most`, in the order of
    /// the page.
    pub(super) fn find(
        &self,
        page: &Html,
        attribute: Option<&str>,
        most: usize,
    ) -> Result<Vec<String>, TooComplex> {
        let visits = Cell::new(MAX_VISITS);
        let found = self.select(page, attribute, most, &visits);
        if visits.get() == 0 { Err(TooComplex) } else { Ok(found) }
    }

    /// As `find`, charging the visits to `visits`.
    pub(super) fn select(
        &self,
        page: &Html,
        attribute: Option<&str>,
        most: usize,
        visits: &Cell<u64>,
    ) -> Vec<String> {
        let mut caches = SelectorCaches::default();
        let mut found = Vec::new();
        for node in page.tree.root().descendants() {
            let Some(element) = ElementRef::wrap(node) else { continue };
            let counted = CountedElement::new(element, visits);
            if self.matches(&counted, &mut caches) {
                found.extend(match attribute {
                    Some(name) => element.value().attr(name).map(str::to_owned),
                    None => Some(text_of(&counted)),
                });
            }
            if found.len() == most || !counted.charge(1) {
                break;
            }
        }
        found
    }

    fn matches(&self, element: &CountedElement<'_, '_>, caches: &mut SelectorCaches) -> bool {
        let mut context = MatchingContext::new(
            matching::MatchingMode::Normal,
            None,
            caches,
            matching::QuirksMode::NoQuirks,
            matching::NeedsSelectorFlags::No,
            matching::MatchingForInvalidation::No,
        );
        let mut all = self.0.slice().iter();
        all.any(|one| matching::matches_selector(one, 0, None, element, &mut context))
    }
}

/// Returns the text of an element, up to the size of a capture.
fn text_of(element: &CountedElement<'_, '_>) -> String {
    let mut text = String::new();
    for node in element.element().descendants() {
        if !element.charge(1) || text.len() > 2 * MAX_CAPTURE {
            break;
        }
        if let Some(part) = node.value().as_text() {
            text.push_str(part);
        }
    }
    text.trim().to_owned()
}

/// Parses a page; any text is one.
///
/// # Errors
/// If it exceeds a limit.
pub(super) fn parse(body: &[u8]) -> Result<Html, TooComplex> {
    if body.len() > MAX_BYTES || most_attributes(body) > MAX_ATTRIBUTES {
        return Err(TooComplex);
    }
    let left = Rc::new(Cell::new(MAX_NODES));
    let text = String::from_utf8_lossy(body);
    let sink =
        CountingSink { tree: HtmlTreeSink::new(Html::new_document()), left: Rc::clone(&left) };
    let mut parser = parse_document(sink, ParseOpts::default());
    let mut rest: &str = &text;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK));
        parser.process(StrTendril::from(chunk));
        if left.get() == 0 {
            return Err(TooComplex);
        }
        rest = after;
    }
    let page = parser.finish();
    if left.get() == 0 { Err(TooComplex) } else { Ok(page) }
}

/// Returns an upper bound of the attributes of any tag, from the bytes: at least as many as the
/// tokenizer will find, except in comments and scripts, which have none.
fn most_attributes(body: &[u8]) -> usize {
    let (mut most, mut at) = (0, 0);
    while let Some(open) = memchr::memchr(b'<', &body[at..]) {
        at += open + 1;
        let is_tag = body.get(at).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'/');
        if !is_tag {
            continue;
        }
        let (end, attributes) = tag_end(body, at);
        most = most.max(attributes);
        at = next_tag(body, at, end);
    }
    most
}

/// Returns where the tag ends whose name begins at `at`, and an upper bound of its attributes.
fn tag_end(body: &[u8], at: usize) -> (usize, usize) {
    let (mut attributes, mut quote, mut before) = (0, None, b'x');
    for (index, &byte) in body.iter().enumerate().skip(at) {
        match quote {
            Some(open) if byte == open => (quote, before) = (None, b' '),
            Some(_) => {}
            None if byte == b'>' => return (index, attributes),
            None if matches!(byte, b'"' | b'\'') && before == b'=' => quote = Some(byte),
            None => {
                let is_gap = |byte: u8| byte.is_ascii_whitespace() || byte == b'/';
                // Between `=` and its value there may be white space.
                if is_gap(byte) && before == b'=' {
                    continue;
                }
                attributes += usize::from(is_gap(before) && !is_gap(byte) && byte != b'=');
                before = byte;
            }
        }
    }
    (body.len(), attributes)
}

/// Returns where the next tag may begin: after a script or style, whose text has no tags.
fn next_tag(body: &[u8], name: usize, end: usize) -> usize {
    for (raw, close) in [(&b"script"[..], &b"</script"[..]), (b"style", b"</style")] {
        let named = body.get(name..name + raw.len());
        if named.is_some_and(|named| named.eq_ignore_ascii_case(raw)) {
            let rest = &body[end..];
            let mut windows = rest.windows(close.len());
            let found = windows.position(|window| window.eq_ignore_ascii_case(close));
            return found.map_or(body.len(), |found| end + found);
        }
    }
    end
}

/// scraper's tree, with its nodes and levels counted.
struct CountingSink {
    tree: HtmlTreeSink,
    /// Remaining nodes; zero once a limit is exceeded.
    left: Rc<Cell<u64>>,
}

impl CountingSink {
    fn count(&self) {
        self.left.set(self.left.get().saturating_sub(1));
    }

    /// Checks the depth of a node that is added below `parent`.
    fn measure(&self, parent: <Self as TreeSink>::Handle) {
        let page = self.tree.0.borrow();
        let above =
            page.tree.get(parent).map_or(0, |node| node.ancestors().take(MAX_DEPTH + 1).count());
        if above > MAX_DEPTH {
            self.left.set(0);
        }
    }
}

impl TreeSink for CountingSink {
    type Handle = <HtmlTreeSink as TreeSink>::Handle;
    type Output = Html;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Html {
        self.tree.finish()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Self::Handle {
        self.tree.get_document()
    }

    fn elem_name<'a>(&'a self, target: &'a Self::Handle) -> Self::ElemName<'a> {
        self.tree.elem_name(target)
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> Self::Handle {
        self.count();
        self.tree.create_element(name, attributes, flags)
    }

    fn create_comment(&self, text: StrTendril) -> Self::Handle {
        self.count();
        self.tree.create_comment(text)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Self::Handle {
        self.count();
        self.tree.create_pi(target, data)
    }

    fn append(&self, parent: &Self::Handle, child: NodeOrText<Self::Handle>) {
        match child {
            NodeOrText::AppendNode(_) => self.measure(*parent),
            NodeOrText::AppendText(_) => self.count(),
        }
        self.tree.append(parent, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Self::Handle,
        before: &Self::Handle,
        child: NodeOrText<Self::Handle>,
    ) {
        self.count();
        self.measure(*element);
        self.tree.append_based_on_parent_node(element, before, child);
    }

    fn append_doctype_to_document(&self, name: StrTendril, public: StrTendril, system: StrTendril) {
        self.tree.append_doctype_to_document(name, public, system);
    }

    fn get_template_contents(&self, target: &Self::Handle) -> Self::Handle {
        self.tree.get_template_contents(target)
    }

    fn same_node(&self, a: &Self::Handle, b: &Self::Handle) -> bool {
        a == b
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.tree.set_quirks_mode(mode);
    }

    fn append_before_sibling(&self, sibling: &Self::Handle, child: NodeOrText<Self::Handle>) {
        self.count();
        self.tree.append_before_sibling(sibling, child);
    }

    fn add_attrs_if_missing(&self, target: &Self::Handle, attributes: Vec<Attribute>) {
        self.tree.add_attrs_if_missing(target, attributes);
    }

    fn remove_from_parent(&self, target: &Self::Handle) {
        self.tree.remove_from_parent(target);
    }

    fn reparent_children(&self, node: &Self::Handle, parent: &Self::Handle) {
        self.count();
        self.measure(*parent);
        self.tree.reparent_children(node, parent);
    }
}
