//! `network:` of an archetype: what its users' own way to the network is like.
//!
//! `archetype` calls it.
//! Invariant: a link that comes out slows something down.

use super::diagnose::Review;
use super::node::Node;
use super::shape::{self, Fields, wrong};
use crate::plan::reach::Link;

/// A user's own link.
pub(super) fn link(review: &mut Review, node: &Node) -> Option<Link> {
    let expected = "`{ latency: 150ms, down: 1.6Mbit/s, up: 750kbit/s }`";
    let mut fields = Fields::like(review, node, "`network`", expected)?;
    let mut link = Link::default();
    let mistakes = review.count();
    let bytes = |review: &mut Review, node: &Node| shape::bandwidth(review, node).map(Some);
    fields.set(review, "latency", &mut link.latency, shape::duration);
    fields.set(review, "down", &mut link.down, bytes);
    fields.set(review, "up", &mut link.up, bytes);
    fields.finish(review);
    if link == Link::default() && review.count() == mistakes {
        return wrong(review, node, expected);
    }
    Some(link)
}
