//! `urls:` of a service: its backends, and how calls are distributed over them.
//!
//! `services` calls it with the service's fields.
//! Invariant: the backends of a service have one scheme and different addresses, and some of them
//! get calls.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::ServiceId;
use crate::plan::backends::{Backend, BalanceMode, EjectionPolicy, MAX_BACKENDS};
use crate::plan::{Address, Backends, Service, ServiceTarget};
use crate::scenario::nouns::services::{BACKEND, BALANCE, BALANCE_MODES, EJECT};
use crate::scenario::service::url::address;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

const EXPECTED: &str = "a URL such as \"http://127.0.0.1:8081\", or `{ url: URL, weight: 2 }`";

/// The keys beside `urls` that only a service with several backends has.
pub(crate) struct BalancingKeys {
    balance: BalanceMode,
    ejection: Option<EjectionPolicy>,
    slow_start: Duration,
    /// The keys that are given.
    given: Vec<(&'static str, SourceSpan)>,
}

impl BalancingKeys {
    /// Reads the keys.
    pub(crate) fn read(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> Self {
        let mut given = Vec::new();
        for name in ["balance", "eject", "slow_start"] {
            given.extend(fields.entry(name).map(|(key, _)| (name, key.span)));
        }
        let balance = fields.take("balance").and_then(|node| balance(diagnostics, node));
        let ejection = fields.take("eject").and_then(|node| ejection(diagnostics, node));
        let slow_start = fields.value(diagnostics, "slow_start").unwrap_or_default();
        let returns = ejection.is_some() || fields.entry("health").is_some();
        if let Some((_, span)) = given.iter().find(|(name, _)| *name == "slow_start" && !returns) {
            let help = "add `eject` or `health`: a slow start is for backends that are used again";
            diagnostics.warn(
                *span,
                "`slow_start` has no effect: no backend is ever left out",
                help,
            );
        }
        Self { balance: balance.unwrap_or_default(), ejection, slow_start, given }
    }

    /// Reports keys of a service with a single address.
    pub(crate) fn report_unused(&self, diagnostics: &mut Diagnostics) {
        for (name, span) in &self.given {
            diagnostics
                .mistake(*span, format!("`{name}` has no effect on a single address"))
                .expected("`urls:` with several addresses, or no such key");
        }
    }

    /// Backends with these weights; their places are set by [`add_members`].
    pub(crate) fn backends(self, weights: impl IntoIterator<Item = u32>) -> Backends {
        let member = |weight| Backend { service: ServiceId::default(), weight };
        Backends {
            members: weights.into_iter().map(member).collect(),
            balance: self.balance,
            ejection: self.ejection,
            slow_start: self.slow_start,
            prefixes: Vec::new(),
        }
    }
}

/// Reads `urls`: addresses and weights.
pub(crate) fn urls(diagnostics: &mut Diagnostics, node: &Node) -> Option<Vec<(Address, u32)>> {
    let expected = format!("a list of 1 to {MAX_BACKENDS} URLs");
    let NodeKind::List(items) = &node.kind else {
        return report_wrong(diagnostics, node, expected);
    };
    if items.is_empty() || items.len() > MAX_BACKENDS {
        return report_wrong(diagnostics, node, expected);
    }
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for item in items {
        let (text, weight) = backend(diagnostics, item)?;
        let address = address(diagnostics, item, text, EXPECTED)?;
        let first: &Address = found.first().map_or(&address, |(first, _)| first);
        if first.tls != address.tls {
            diagnostics
                .mistake(item.span, "the backends of a service have different schemes")
                .expected("http for all of them, or https for all of them");
            return None;
        }
        if !known.insert(address.origin()) {
            let message = format!("`{}` is given twice", address.origin());
            diagnostics
                .mistake(item.span, message)
                .expected("different URLs")
                .help("a backend gets a larger part by its weight: `{ url: URL, weight: 2 }`");
            return None;
        }
        found.push((address, weight));
    }
    if found.iter().all(|(_, weight)| *weight == 0) {
        diagnostics
            .mistake(node.span, "all backends have the weight 0")
            .expected("a weight above 0 for one of them at least");
        return None;
    }
    Some(found)
}

/// The first of `urls`, as written.
pub(crate) fn first_url(node: &Node) -> Option<&str> {
    let NodeKind::List(items) = &node.kind else { return None };
    let first = items.first()?;
    match &first.kind {
        NodeKind::Map(entries) => {
            let url = entries.iter().find(|(key, _)| key.name == "url");
            url.and_then(|(_, url)| values::scalar(url))
        }
        _ => values::scalar(first),
    }
}

fn backend<'n>(diagnostics: &mut Diagnostics, node: &'n Node) -> Option<(&'n str, u32)> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        return Some((values::plain_text(diagnostics, node, EXPECTED)?, 1));
    }
    let mut fields = Fields::read(diagnostics, node, &BACKEND)?;
    let url = fields.take("url").and_then(|url| values::plain_text(diagnostics, url, EXPECTED));
    let weight = fields.value(diagnostics, "weight").unwrap_or(1);
    fields.finish(diagnostics);
    Some((url?, weight))
}

fn balance(diagnostics: &mut Diagnostics, node: &Node) -> Option<BalanceMode> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        return values::one_of(diagnostics, node, &BALANCE_MODES).map(BalanceMode::from);
    }
    let mut fields = Fields::read(diagnostics, node, &BALANCE)?;
    let expected = "the name of a cookie, such as SERVERID";
    let name = fields.take("cookie").and_then(|node| {
        let name = values::plain_text(diagnostics, node, expected)?;
        let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return values::report_wrong(diagnostics, node, expected);
        }
        Some(name)
    });
    fields.finish(diagnostics);
    name.map(|name| BalanceMode::StickyCookie(name.to_owned()))
}

fn ejection(diagnostics: &mut Diagnostics, node: &Node) -> Option<EjectionPolicy> {
    let mut policy = EjectionPolicy::default();
    let mut fields = Fields::read(diagnostics, node, &EJECT)?;
    fields.fill(diagnostics, "failures", &mut policy.failures);
    fields.fill(diagnostics, "for", &mut policy.base);
    fields.fill(diagnostics, "most", &mut policy.most);
    fields.finish(diagnostics);
    Some(policy)
}

/// Adds the backends behind the first ones to the services, after all that are declared; `targets`
/// has those of each service, without its first.
pub(crate) fn add_members(services: &mut Vec<Service>, targets: Vec<Vec<ServiceTarget>>) {
    for (id, targets) in ServiceId::number(targets) {
        let Some(mut backends) = services[id].backends.take() else { continue };
        let front = services[id].clone();
        backends.members[0].service = id;
        let others = backends.members.iter_mut().enumerate().skip(1);
        for ((number, member), target) in others.zip(targets) {
            member.service = ServiceId::new(services.len());
            let mut backend = Service { target, backend_of: Some(id), ..front.clone() };
            backend.name = format!("{} ({})", front.name, backend.backend_name(number));
            backends.prefixes.push(backend.prefix().to_owned());
            services.push(backend);
        }
        services[id].backends = Some(backends);
    }
}
