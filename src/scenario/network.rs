//! `network:` of an archetype: the emulated network of its users.
//!
//! `archetype` calls it, and `load` once the services are known.
//! Invariant: a compiled link slows something down.

use super::diagnostics::Diagnostics;
use super::fields::{self, Fields, report_wrong};
use super::lint::SourceSpans;
use super::node::Node;
use crate::plan::transport::{HttpVersion, LinkProfile};
use crate::plan::{Plan, Service, ServiceTarget};

/// Reads a user's emulated link.
pub(super) fn link(diagnostics: &mut Diagnostics, node: &Node) -> Option<LinkProfile> {
    let expected = "`{ latency: 150ms, down: 1.6Mbit/s, up: 750kbit/s }`";
    let mut fields = Fields::read_as(diagnostics, node, "`network`", expected)?;
    let mut link = LinkProfile::default();
    let mistakes = diagnostics.count();
    let bytes =
        |diagnostics: &mut Diagnostics, node: &Node| fields::bandwidth(diagnostics, node).map(Some);
    fields.read_into(diagnostics, "latency", &mut link.latency, fields::duration);
    fields.read_into(diagnostics, "down", &mut link.down, bytes);
    fields.read_into(diagnostics, "up", &mut link.up, bytes);
    fields.finish(diagnostics);
    if link == LinkProfile::default() && diagnostics.count() == mistakes {
        return report_wrong(diagnostics, node, expected);
    }
    Some(link)
}

/// Reports links to services that do not use HTTP/1.1.
pub(super) fn check_http_version(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    for (archetype, archetype_spans) in plan.archetypes.iter().zip(&spans.archetypes) {
        let Some(span) = archetype_spans.network else { continue };
        for (index, service) in plan.services.iter().enumerate() {
            if !archetype.calls.iter().any(|call| call.service == index) {
                continue;
            }
            let (name, user) = (&service.name, &archetype.name);
            match service.transport.version {
                HttpVersion::Http2 => {
                    let message = format!("`{name}` is called over HTTP/2 by `{user}`");
                    diagnostics
                        .mistake(span, message)
                        .expected("services over HTTP/1.1: a link is simulated over it alone")
                        .help(format!("say `http: {{ version: 1.1 }}` in `{name}`"));
                }
                HttpVersion::Auto if is_secure(service) => {
                    let message = format!("`{user}` will call `{name}` over HTTP/1.1");
                    let help = "a link is simulated over it alone; `http: { version: 1.1 }` in \
                                the service says the same";
                    diagnostics.warn(span, message, help);
                }
                _ => {}
            }
        }
    }
}

fn is_secure(service: &Service) -> bool {
    matches!(&service.target, ServiceTarget::Url(address) if address.tls)
}
