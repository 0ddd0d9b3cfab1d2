//! `health:` of a service.
//!
//! `services` calls it with the service's fields.
//! Invariant: a check has a path, and some statuses are healthy.

use crate::plan::health::HealthPolicy;
use crate::scenario::nouns::responses::HIGHEST_STATUS;
use crate::scenario::nouns::services::HEALTH;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Reads the health checks of a service.
pub(crate) fn health(diagnostics: &mut Diagnostics, node: &Node) -> Option<HealthPolicy> {
    let mut fields = Fields::read(diagnostics, node, &HEALTH)?;
    let mut policy = HealthPolicy::default();
    let path = fields.take("path").and_then(|node| path(diagnostics, node));
    let statuses =
        fields.take("status").and_then(|node| values::statuses(diagnostics, node, HIGHEST_STATUS));
    let body = fields.take("body");
    policy.body = body
        .and_then(|node| values::plain_text(diagnostics, node, "a text of the body"))
        .map(str::to_owned);
    fields.fill(diagnostics, "every", &mut policy.every);
    fields.fill(diagnostics, "timeout", &mut policy.timeout);
    fields.fill(diagnostics, "rise", &mut policy.rise);
    fields.fill(diagnostics, "fall", &mut policy.fall);
    fields.fill(diagnostics, "within", &mut policy.within);
    fields.finish(diagnostics);
    policy.path = path?;
    if let Some((statuses, _)) = statuses {
        policy.statuses = statuses;
    }
    Some(policy)
}

fn path(diagnostics: &mut Diagnostics, node: &Node) -> Option<String> {
    let expected = "a path such as /health";
    let text = values::plain_text(diagnostics, node, expected)?;
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path { Some(text.to_owned()) } else { report_wrong(diagnostics, node, expected) }
}
