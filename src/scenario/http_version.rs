//! Checks that users with an emulated network call services over HTTP/1.1.
//!
//! `loader` calls it once the services are known.
//! Invariant: only HTTP/1.1 goes over an emulated link.

use crate::ids::ServiceId;
use crate::plan::transport::HttpVersion;
use crate::plan::{Plan, Service, ServiceTarget};
use crate::protocol::Protocol;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::spans::SourceSpans;

/// Reports links to services that do not use HTTP/1.1.
pub(crate) fn check_http_version(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    for (archetype, archetype_spans) in plan.archetypes.iter().zip(&spans.archetypes) {
        let Some(span) = archetype_spans.network else { continue };
        for (id, service) in ServiceId::number(&plan.services) {
            if !archetype.calls.iter().any(|call| call.service == id) {
                continue;
            }
            let (name, user) = (&service.name, &archetype.name);
            match service.transport.version {
                HttpVersion::Http2 if service.protocol() == Protocol::Grpc => {
                    let message = format!("`{user}` has a `link`, and calls `{name}` over gRPC");
                    diagnostics
                        .mistake(span, message)
                        .help("a link is emulated for HTTP/1.1 only; remove it");
                }
                HttpVersion::Http2 => {
                    let message = format!("`{user}` has a `link`, and calls `{name}` over HTTP/2");
                    diagnostics
                        .mistake(span, message)
                        .expected("HTTP/1.1, since a link is emulated for HTTP/1.1 only")
                        .help(format!("set `http: {{ version: 1.1 }}` in the service `{name}`"));
                }
                HttpVersion::Auto if is_secure(service) => {
                    let message =
                        format!("`{user}` calls `{name}` over HTTP/1.1, since it has a `link`");
                    let help = "a link is emulated for HTTP/1.1 only; set `http: { version: 1.1 }` \
                                in the service";
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
