//! Checks of a plan against its limits: load, hosts, requests, the header of the run.
//!
//! `safety` calls them for the limits of a scenario and its user, `agent_limits` for those of the
//! machine of an agent.
//! Invariant: a plan is judged, never changed.

use crate::plan::address_scope::AddressScope;
use crate::plan::safety::{RUN_HEADER, Safety};
use crate::plan::{Load, Plan, ServiceTarget};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::template::Template;
use crate::units::Rate;

/// Reports a load that exceeds the maximums.
pub(crate) fn check_maximums(
    diagnostics: &mut Diagnostics,
    label: &str,
    plan: &Plan,
    safety: &Safety,
) {
    let (_, rate) = peak_load(plan);
    if let Some((most, origin)) = &safety.max_rate
        && rate > most.units()
    {
        let scheduled = Rate::from_units(rate).as_f64();
        let most = most.as_f64();
        let message = format!("{scheduled}/s at the peak: {origin} allows {most}/s");
        diagnostics
            .global_mistake(label, message)
            .help("lower the rate, or raise `max_rate` there");
    }
    let Some((most, origin)) = &safety.max_users else { return };
    let users = plan.peak_users();
    if users > *most {
        let message = format!("{users} users at the peak: {origin} allows {most}");
        diagnostics
            .global_mistake(label, message)
            .help("lower the number of users, or raise `max_users` there");
    }
}

/// Returns the services that are refused, as far as names tell, with the reason.
pub(crate) fn refused_services(plan: &Plan, safety: &Safety) -> Vec<(String, String)> {
    let mut refused_services = Vec::new();
    for service in &plan.services {
        let ServiceTarget::Url(address) = &service.target else { continue };
        let transport = &service.transport;
        let connect_host = transport.connect_to.as_ref().map(|(host, _)| host);
        let host = connect_host.unwrap_or(&address.host);
        let metadata = AddressScope::from_host(&address.host) == Some(AddressScope::Metadata);
        let is_proxied = transport.proxy.is_some();
        let of_own = match &transport.proxy {
            _ if metadata => safety.refusal_by_name(&address.host, true),
            _ if transport.unix.is_some() => None,
            Some(proxy) => safety
                .refusal_by_name(host, true)
                .or_else(|| Some(format!("proxy {}", safety.refusal_by_name(&proxy.host, false)?))),
            None => safety.refusal_by_name(host, false),
        };
        let mut further = transport.bootstrap.iter();
        let why = of_own
            .or_else(|| further.find_map(|(host, _)| safety.refusal_by_name(host, is_proxied)));
        refused_services.extend(why.map(|why| (format!("service `{}`", service.name), why)));
    }
    refused_services
}

/// Reports all denied requests of a plan whose paths and names are constant.
pub(crate) fn report_denied(
    diagnostics: &mut Diagnostics,
    label: &str,
    plan: &Plan,
    safety: &Safety,
) {
    for call in plan.archetypes.iter().flat_map(|archetype| &archetype.calls) {
        let service = &plan.services[call.service];
        let is_url = matches!(service.target, ServiceTarget::Url(_));
        let of_url = is_url.then(|| safety.denial_of(&call.request, &service.prefixes())).flatten();
        if let Some(why) = of_url.or_else(|| safety.denial_of_call(call)) {
            diagnostics.global_mistake(label, format!("this request is not sent: {why}"));
        }
    }
}

/// Reports headers that would replace the one that identifies the run.
pub(crate) fn report_other_run_headers(diagnostics: &mut Diagnostics, label: &str, plan: &Plan) {
    let is_it = |(name, _): &(String, Template)| name.eq_ignore_ascii_case(RUN_HEADER);
    let services = plan.services.iter().filter(|service| service.headers.iter().any(is_it));
    let services = services.map(|service| format!("service `{}`", service.name));
    let archetypes = plan.all_archetypes();
    let archetypes = archetypes.filter(|archetype| {
        archetype.calls.iter().any(|call| call.request.headers.iter().any(is_it))
    });
    let archetypes = archetypes.map(|archetype| format!("archetype `{}`", archetype.name));
    for place in services.chain(archetypes).collect::<Vec<_>>() {
        diagnostics
            .global_mistake(label, format!("{place} has a header {RUN_HEADER} of its own"))
            .help("leave it out: a safety file requires `run_header`");
    }
}

/// Returns the total peak of users in closed workloads, and of the rate (in its units) in open
/// ones.
pub(crate) fn peak_load(plan: &Plan) -> (u64, u64) {
    plan.workloads.iter().fold((0u64, 0u64), |(users, rate), peak_load| match &peak_load.load {
        Load::Closed(_) => (users.saturating_add(peak_load.peak_users()), rate),
        Load::Open(open) => (users, rate.saturating_add(open.curve.peak())),
    })
}
