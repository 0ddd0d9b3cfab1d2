//! `shift:` — a shift of load from one target of a service to another.
//!
//! `compile` reads it, and makes the new target a backend of the service.
//! Invariant: the service has exactly two backends, and all users begin on the first.

use std::time::Duration;

use crate::ids::ServiceId;
use crate::plan::backends::{Backend, BalanceMode};
use crate::plan::health::HealthPolicy;
use crate::plan::shift::{ShiftCommands, ShiftPlan};
use crate::plan::{Backends, Service, ServiceTarget};
use crate::scenario::nouns::shift::{MAX_RULES, MAX_STEPS, SHIFT};
use crate::scenario::service::url::address;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::suggest::nearest;
use crate::units::show_duration;
use crate::verdict::SideRule;

/// The rules without `rules`.
const RULES: [&str; 2] = ["errors <= 5%", "response.p95 <= 5s"];

const URL: &str = "a URL such as \"http://127.0.0.1:8082\"";

/// Reads the shift of a scenario, if it has one; also returns its place.
pub(crate) fn read(
    diagnostics: &mut Diagnostics,
    node: Option<&Node>,
    services: &mut Vec<Service>,
) -> Option<(ShiftPlan, SourceSpan)> {
    let node = node?;
    Some((shift(diagnostics, node, services)?, node.span))
}

/// Reads a shift; its service gets the new target as a second backend.
fn shift(
    diagnostics: &mut Diagnostics,
    node: &Node,
    services: &mut Vec<Service>,
) -> Option<ShiftPlan> {
    let mut fields = Fields::read(diagnostics, node, &SHIFT)?;
    let service = match fields.take("service") {
        Some(node) => service(diagnostics, node, services),
        None => Some(ServiceId::new(0)),
    };
    let to = fields.entry("to").map(|(_, node)| node);
    let steps = fields.take("steps").map(|node| steps(diagnostics, node));
    let start = fields.value(diagnostics, "start").unwrap_or(Duration::ZERO);
    let at = fields.entry("hold").map(|(_, node)| node);
    let hold = fields.value(diagnostics, "hold").unwrap_or(ShiftPlan::HOLD);
    if let (Some(at), true) = (at, hold < ShiftPlan::MIN_HOLD) {
        let shortest = show_duration(ShiftPlan::MIN_HOLD);
        diagnostics
            .mistake(at.span, format!("`hold: {}` is too short", show_duration(hold)))
            .expected(format!("at least {shortest}: a step is judged by the whole seconds in it"));
    }
    let min_calls = fields.value(diagnostics, "min_calls").unwrap_or(ShiftPlan::MIN_CALLS);
    let rules = match fields.take("rules") {
        Some(node) => rules(diagnostics, node),
        None => RULES.iter().filter_map(|rule| SideRule::parse(rule).ok()).collect(),
    };
    let mut command = |diagnostics: &mut Diagnostics, name| {
        let expected = "a command of the shell";
        let node = fields.take(name)?;
        values::plain_text(diagnostics, node, expected).map(str::to_owned)
    };
    let commands = ShiftCommands {
        before: command(diagnostics, "before"),
        after: command(diagnostics, "after"),
        rollback: command(diagnostics, "rollback"),
    };
    fields.finish(diagnostics);
    let (service, to) = (service?, to?);
    let text = values::plain_text(diagnostics, to, URL)?;
    let target = ServiceTarget::Url(address(diagnostics, to, text, URL)?);
    let steps = steps.unwrap_or_else(|| Some(ShiftPlan::STEPS.to_vec()))?;
    add_target(diagnostics, to, (services, service), target)?;
    Some(ShiftPlan { service, steps, start, hold, min_calls, rules, commands })
}

fn service(diagnostics: &mut Diagnostics, node: &Node, services: &[Service]) -> Option<ServiceId> {
    let name = values::plain_text(diagnostics, node, "the name of a service")?;
    let own = || services.iter().filter(|service| service.backend_of.is_none());
    if let Some(at) = own().position(|service| service.name == name) {
        return Some(ServiceId::new(at));
    }
    let names: Vec<&str> = own().map(|service| service.name.as_str()).collect();
    let near = nearest(name, names.iter().copied());
    let mistake = diagnostics.mistake(node.span, format!("unknown service `{name}`"));
    mistake.expected(format!("one of {}", names.join(", ")));
    if let Some(near) = near {
        mistake.help(format!("did you mean `{near}`?"));
    }
    None
}

/// Reads the shares of the new target: they rise to 100 %.
fn steps(diagnostics: &mut Diagnostics, node: &Node) -> Option<Vec<u32>> {
    let expected = "shares that rise to 100%, such as [10%, 50%, 100%]";
    let NodeKind::List(items) = &node.kind else {
        return report_wrong(diagnostics, node, expected);
    };
    let mut steps = Vec::new();
    for item in items.iter().take(MAX_STEPS + 1) {
        let share = values::share(diagnostics, item, "10%")?;
        let percent = (share * 100.0).round() as u32;
        let is_whole = (f64::from(percent) / 100.0 - share).abs() < 1e-9 && percent > 0;
        if !is_whole || steps.last().is_some_and(|last| *last >= percent) {
            return report_wrong(diagnostics, item, "a whole percentage above the one before");
        }
        steps.push(percent);
    }
    if steps.last() != Some(&100) || steps.len() > MAX_STEPS {
        return report_wrong(diagnostics, node, expected);
    }
    Some(steps)
}

fn rules(diagnostics: &mut Diagnostics, node: &Node) -> Vec<SideRule> {
    let expected = "a list of rules, such as `- errors < 5%` or `- response.p95 < 1.2 * old`";
    let Some(items) = values::list(diagnostics, node, expected) else { return Vec::new() };
    if items.is_empty() || items.len() > MAX_RULES {
        report_wrong::<()>(diagnostics, node, expected);
    }
    let mut rules = Vec::new();
    for item in items {
        let Some(text) = values::plain_text(diagnostics, item, expected) else { continue };
        match SideRule::parse(text) {
            Ok(rule) => rules.push(rule),
            Err(error) => {
                let mistake = diagnostics.mistake(item.span, error.message);
                mistake.expected(error.expected);
                if let Some(help) = error.help {
                    mistake.help(help);
                }
            }
        }
    }
    rules
}

/// Makes the new target the second backend of the service.
fn add_target(
    diagnostics: &mut Diagnostics,
    node: &Node,
    (services, id): (&mut Vec<Service>, ServiceId),
    target: ServiceTarget,
) -> Option<()> {
    let front = services.get(id.index())?.clone();
    if front.backends.is_some() {
        diagnostics
            .mistake(node.span, format!("`{}` has several addresses", front.name))
            .expected("a service with one address, which becomes the old target");
        return None;
    }
    if let (ServiceTarget::Url(old), ServiceTarget::Url(new)) = (&front.target, &target) {
        let wrong = if old.origin() == new.origin() {
            Some(("this is the old target", "another URL than that of the service"))
        } else if old.tls != new.tls {
            Some(("the old and the new target have different schemes", "the same scheme for both"))
        } else {
            None
        };
        if let Some((message, expected)) = wrong {
            diagnostics.mistake(node.span, message).expected(expected);
            return None;
        }
    }
    let mut backend = Service { target, backend_of: Some(id), ..front.clone() };
    backend.name = format!("{} ({})", front.name, backend.backend_name(1));
    let (second, prefixes) = (ServiceId::new(services.len()), vec![backend.prefix().to_owned()]);
    services.push(backend);
    let service = &mut services[id];
    // A target that does not respond gets no users.
    service.health.get_or_insert_with(|| HealthPolicy {
        statuses: (200..500).collect(),
        timeout: Duration::from_secs(10),
        within: Duration::from_secs(10),
        ..HealthPolicy::default()
    });
    service.backends = Some(Box::new(Backends {
        members: vec![Backend { service: id, weight: 1 }, Backend { service: second, weight: 0 }],
        balance: BalanceMode::Shifted,
        ejection: None,
        slow_start: Duration::ZERO,
        prefixes,
    }));
    Some(())
}
