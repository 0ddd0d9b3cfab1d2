//! `network:` of an archetype: the emulated network of its users.
//!
//! `archetype` calls it.
//! Invariant: a compiled link slows something down.

use crate::plan::transport::LinkProfile;
use crate::scenario::nouns::users::NETWORK;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values::report_wrong;

/// Reads a user's emulated link.
pub(crate) fn link(diagnostics: &mut Diagnostics, node: &Node) -> Option<LinkProfile> {
    let mut fields = Fields::read(diagnostics, node, &NETWORK)?;
    let mut link = LinkProfile::default();
    let mistakes = diagnostics.count();
    fields.fill(diagnostics, "latency", &mut link.latency);
    fields.fill(diagnostics, "down", &mut link.down);
    fields.fill(diagnostics, "up", &mut link.up);
    fields.finish(diagnostics);
    if link == LinkProfile::default() && diagnostics.count() == mistakes {
        return report_wrong(diagnostics, node, NETWORK.form);
    }
    Some(link)
}
