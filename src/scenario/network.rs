//! `network:` of an archetype: the emulated network of its users.
//!
//! `archetype` calls it, and `load` once the services are known.
//! Invariant: a compiled link slows something down.

use super::diagnostics::Diagnostics;
use super::fields::{self, Fields, wrong};
use super::lint::SourceSpans;
use super::node::Node;
use crate::plan::transport::{HttpVersion, LinkProfile};
use crate::plan::{Plan, Service, ServiceTarget};

/// Reads a user's emulated link.
pub(super) fn link(review: &mut Diagnostics, node: &Node) -> Option<LinkProfile> {
    let expected = "`{ latency: 150ms, down: 1.6Mbit/s, up: 750kbit/s }`";
    let mut fields = Fields::like(review, node, "`network`", expected)?;
    let mut link = LinkProfile::default();
    let mistakes = review.count();
    let bytes = |review: &mut Diagnostics, node: &Node| fields::bandwidth(review, node).map(Some);
    fields.set(review, "latency", &mut link.latency, fields::duration);
    fields.set(review, "down", &mut link.down, bytes);
    fields.set(review, "up", &mut link.up, bytes);
    fields.finish(review);
    if link == LinkProfile::default() && review.count() == mistakes {
        return wrong(review, node, expected);
    }
    Some(link)
}

/// Reports links to services that do not use HTTP/1.1.
pub(super) fn spoken(review: &mut Diagnostics, plan: &Plan, marked: &SourceSpans) {
    for (archetype, marks) in plan.archetypes.iter().zip(&marked.archetypes) {
        let Some(span) = marks.network else { continue };
        for (index, service) in plan.services.iter().enumerate() {
            if !archetype.calls.iter().any(|call| call.service == index) {
                continue;
            }
            let (name, who) = (&service.name, &archetype.name);
            match service.transport.version {
                HttpVersion::Http2 => {
                    let message = format!("`{name}` is called over HTTP/2 by `{who}`");
                    review
                        .mistake(span, message)
                        .expected("services over HTTP/1.1: a link is simulated over it alone")
                        .help(format!("say `http: {{ version: 1.1 }}` in `{name}`"));
                }
                HttpVersion::Auto if is_secure(service) => {
                    let message = format!("`{who}` will call `{name}` over HTTP/1.1");
                    let help = "a link is simulated over it alone; `http: { version: 1.1 }` in \
                                the service says the same";
                    review.warn(span, message, help);
                }
                _ => {}
            }
        }
    }
}

fn is_secure(service: &Service) -> bool {
    matches!(&service.target, ServiceTarget::Url(address) if address.tls)
}
