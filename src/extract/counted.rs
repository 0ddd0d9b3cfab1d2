//! An element for the selector engine: scraper's own, with each step to another element counted.
//!
//! `page` matches selectors with it.
//! Invariant: once the visits are used up it has no relatives and matches nothing, so that matching
//! ends.

use std::cell::Cell;
use std::ops::Deref;

use html5ever::Namespace;
use scraper::ElementRef;
use scraper::selector::{CssLocalName, CssString, NonTSPseudoClass, PseudoElement, Simple};
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::matching::{ElementSelectorFlags, MatchingContext};
use selectors::{Element, OpaqueElement};

/// An element, and the remaining visits of the running selector.
#[derive(Clone, Debug)]
pub(super) struct CountedElement<'p, 'v> {
    element: ElementRef<'p>,
    visits: &'v Cell<u64>,
}

/// A node of the tree, a type that scraper does not name itself.
type TreeNode<'p> = <ElementRef<'p> as Deref>::Target;

/// Bytes of an attribute that count as a visit.
const BYTES: usize = 64;

impl<'p, 'v> CountedElement<'p, 'v> {
    pub(super) fn new(element: ElementRef<'p>, visits: &'v Cell<u64>) -> Self {
        Self { element, visits }
    }

    pub(super) fn element(&self) -> ElementRef<'p> {
        self.element
    }

    /// Charges `visits`; returns false if fewer are left.
    pub(super) fn charge(&self, visits: u64) -> bool {
        let left = self.visits.get().saturating_sub(visits);
        self.visits.set(left);
        left > 0
    }

    /// Returns the first element among nodes, each of which counts as a visit.
    fn first(&self, nodes: impl Iterator<Item = TreeNode<'p>>) -> Option<Self> {
        for node in nodes {
            if !self.charge(1) {
                return None;
            }
            if let Some(element) = ElementRef::wrap(node) {
                return Some(Self::new(element, self.visits));
            }
        }
        None
    }
}

impl Element for CountedElement<'_, '_> {
    type Impl = Simple;

    fn opaque(&self) -> OpaqueElement {
        self.element.opaque()
    }

    fn parent_element(&self) -> Option<Self> {
        self.first(self.element.parent().into_iter())
    }

    fn parent_node_is_shadow_root(&self) -> bool {
        false
    }

    fn containing_shadow_host(&self) -> Option<Self> {
        None
    }

    fn is_pseudo_element(&self) -> bool {
        false
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.first(self.element.prev_siblings())
    }

    fn next_sibling_element(&self) -> Option<Self> {
        self.first(self.element.next_siblings())
    }

    fn first_element_child(&self) -> Option<Self> {
        self.first(self.element.children())
    }

    fn is_html_element_in_html_document(&self) -> bool {
        self.element.is_html_element_in_html_document()
    }

    fn has_local_name(&self, name: &CssLocalName) -> bool {
        self.charge(1) && self.element.has_local_name(name)
    }

    fn has_namespace(&self, namespace: &Namespace) -> bool {
        self.element.has_namespace(namespace)
    }

    fn is_same_type(&self, other: &Self) -> bool {
        self.element.is_same_type(&other.element)
    }

    fn attr_matches(
        &self,
        namespace: &NamespaceConstraint<&Namespace>,
        name: &CssLocalName,
        operation: &AttrSelectorOperation<&CssString>,
    ) -> bool {
        let read: usize =
            self.element.value().attrs().map(|(_, value)| 1 + value.len() / BYTES).sum();
        self.charge(read as u64) && self.element.attr_matches(namespace, name, operation)
    }

    fn match_non_ts_pseudo_class(
        &self,
        class: &NonTSPseudoClass,
        context: &mut MatchingContext<'_, Simple>,
    ) -> bool {
        self.element.match_non_ts_pseudo_class(class, context)
    }

    fn match_pseudo_element(
        &self,
        pseudo: &PseudoElement,
        context: &mut MatchingContext<'_, Simple>,
    ) -> bool {
        self.element.match_pseudo_element(pseudo, context)
    }

    fn apply_selector_flags(&self, _: ElementSelectorFlags) {}

    fn is_link(&self) -> bool {
        self.element.is_link()
    }

    fn is_html_slot_element(&self) -> bool {
        self.element.is_html_slot_element()
    }

    fn has_id(&self, id: &CssLocalName, case: CaseSensitivity) -> bool {
        self.charge(1) && self.element.has_id(id, case)
    }

    fn has_class(&self, name: &CssLocalName, case: CaseSensitivity) -> bool {
        let classes = self.element.value().attr("class").map_or(0, str::len);
        self.charge(1 + (classes / BYTES) as u64) && self.element.has_class(name, case)
    }

    fn has_custom_state(&self, name: &CssLocalName) -> bool {
        self.element.has_custom_state(name)
    }

    fn imported_part(&self, name: &CssLocalName) -> Option<CssLocalName> {
        self.element.imported_part(name)
    }

    fn is_part(&self, name: &CssLocalName) -> bool {
        self.element.is_part(name)
    }

    fn is_empty(&self) -> bool {
        let mut nodes = self.element.children();
        !nodes.any(|node| !self.charge(1) || node.value().is_element() || node.value().is_text())
    }

    fn is_root(&self) -> bool {
        self.element.is_root()
    }

    fn add_element_unique_hashes(&self, _: &mut BloomFilter) -> bool {
        false
    }
}
