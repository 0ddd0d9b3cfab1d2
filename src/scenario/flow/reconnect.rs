//! `reconnect`: how a stream is opened again.
//!
//! `stream` and `grpc_stream` call it.
//! Invariant: a stream is opened again only if its step says so.

use crate::plan::stream::Reconnect;
use crate::scenario::nouns::streams::{RECONNECT, STREAM_BACKOFF};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};

/// Reads `reconnect`; `None` if the stream is not opened again.
pub(super) fn reconnect(diagnostics: &mut Diagnostics, node: &Node) -> Option<Reconnect> {
    let mut all = Reconnect::default();
    match node.kind {
        NodeKind::Bool(false) => return None,
        NodeKind::Bool(true) => return Some(all),
        _ => {}
    }
    let mut fields = Fields::read(diagnostics, node, &RECONNECT)?;
    if let Some(max) = fields.value::<u64>(diagnostics, "max") {
        all.max = u32::try_from(max).unwrap_or(u32::MAX);
    }
    fields.fill(diagnostics, "resume", &mut all.resume);
    if let Some(node) = fields.take("backoff")
        && let Some(mut fields) = Fields::read(diagnostics, node, &STREAM_BACKOFF)
    {
        fields.fill(diagnostics, "base", &mut all.base);
        fields.fill(diagnostics, "max", &mut all.cap);
        fields.finish(diagnostics);
    }
    fields.finish(diagnostics);
    Some(all)
}
