//! `network:` of an archetype: the emulated network of its users.
//!
//! `archetype` calls it.
//! Invariant: a compiled link slows something down.

use crate::plan::transport::LinkProfile;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Reads a user's emulated link.
pub(crate) fn link(diagnostics: &mut Diagnostics, node: &Node) -> Option<LinkProfile> {
    let expected = "`{ latency: 150ms, down: 1.6Mbit/s, up: 750kbit/s }`";
    let mut fields = Fields::read_as(diagnostics, node, "`network`", expected)?;
    let mut link = LinkProfile::default();
    let mistakes = diagnostics.count();
    let bytes =
        |diagnostics: &mut Diagnostics, node: &Node| values::bandwidth(diagnostics, node).map(Some);
    fields.read_into(diagnostics, "latency", &mut link.latency, values::duration);
    fields.read_into(diagnostics, "down", &mut link.down, bytes);
    fields.read_into(diagnostics, "up", &mut link.up, bytes);
    fields.finish(diagnostics);
    if link == LinkProfile::default() && diagnostics.count() == mistakes {
        return report_wrong(diagnostics, node, expected);
    }
    Some(link)
}
