//! The requests of a probe as bytes: the one that is searched with, and those that vary a part of
//! it.
//!
//! `cli` makes them of a plan, `sender` sends them.
//! Invariant: they are what `hit` would send to the same URL.

use std::net::IpAddr;
use std::sync::Arc;

use super::finding::ScopeDimension;
use crate::engine::call::request::PreparedRequest;
use crate::plan::{Address, Call, Plan, ServiceTarget};
use crate::template::Template;

/// A request.
#[derive(Clone, Debug)]
pub struct ProbeRequest {
    /// Head and body.
    pub bytes: Vec<u8>,
    /// Whether it may be sent twice.
    pub is_idempotent: bool,
    /// Whether its method is HEAD.
    pub is_head: bool,
    /// Place of its source address in the list of them.
    pub source: u64,
}

/// The requests of a probe; the first is the one that is searched with.
#[derive(Clone, Debug)]
pub struct ProbeRequests {
    /// The requests.
    pub requests: Vec<ProbeRequest>,
    /// What each further one varies.
    pub varied: Vec<ScopeDimension>,
    /// The address of the target.
    pub address: Address,
}

impl ProbeRequests {
    /// Makes the requests of a plan of `hit` for one URL, or for it and another path of the same
    /// origin; `headers` replace those of the same name for another user, `has_source`: a second
    /// source address follows the first.
    ///
    /// # Errors
    /// If the plan has several origins, as text.
    pub fn new(
        plan: &Plan,
        headers: &[(String, String)],
        sources: &[IpAddr],
        has_other_source: bool,
    ) -> Result<Self, String> {
        let [service] = plan.services.as_slice() else {
            return Err("`--other-path` has to be a path of the same host".to_owned());
        };
        let ServiceTarget::Url(address) = &service.target else {
            return Err("no URL".to_owned());
        };
        let calls: Vec<&Call> = plan.archetypes.iter().flat_map(|one| &one.calls).collect();
        let (mut requests, mut varied) = (Vec::new(), Vec::new());
        let mut add = |call: &Call, source: u64| {
            let safety = Arc::clone(&plan.safety);
            let prepared = PreparedRequest::new(call, service, address, &safety, (false, None));
            let PreparedRequest::Static(bytes) = prepared else {
                return Err("a probe sends the same request each time".to_owned());
            };
            let is_head = call.request.method == "HEAD";
            let is_idempotent = call.request.is_idempotent();
            requests.push(ProbeRequest { bytes, is_idempotent, is_head, source });
            Ok(())
        };
        let Some(first) = calls.first() else { return Err("no URL".to_owned()) };
        add(first, 0)?;
        if let Some(other) = calls.get(1) {
            add(other, 0)?;
            varied.push(ScopeDimension::Endpoint);
        }
        if !headers.is_empty() {
            let mut call = (*first).clone();
            for (name, value) in headers {
                call.request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
                let value = Template::literal(value.as_bytes());
                call.request.headers.push((name.clone(), value));
            }
            add(&call, 0)?;
            varied.push(ScopeDimension::User);
        }
        if has_other_source {
            add(first, sources.len() as u64 - 1)?;
            varied.push(ScopeDimension::Address);
        }
        Ok(Self { requests, varied, address: address.clone() })
    }
}
