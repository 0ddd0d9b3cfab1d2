//! Reads `breakers:` and failure criteria.
//!
//! `attempts` also reads `when` of retries here.
//! Invariant: a breaker counts consecutive failures or a share of failures, never both.

use std::time::Duration;

use crate::plan::policy::{BreakerPolicies, BreakerPolicy, BreakerTrip, FailureCriteria};
use crate::scenario::client::block::block;
use crate::scenario::nouns::pools::{BREAKER, BREAKERS};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Default window and minimum attempts of a share.
const WINDOW: Duration = Duration::from_secs(10);

const LEAST: u32 = 20;

/// Returns the default breakers of all three levels.
pub(crate) fn all() -> BreakerPolicies {
    let level =
        |failures, open_s| Some(BreakerPolicy::in_a_row(failures, Duration::from_secs(open_s)));
    BreakerPolicies { endpoint: level(5, 10), service: level(20, 30), system: level(50, 60) }
}

/// Reads the given levels on top of `over`, the client's defaults.
pub(crate) fn breakers(
    diagnostics: &mut Diagnostics,
    node: &Node,
    mut over: BreakerPolicies,
) -> BreakerPolicies {
    if let NodeKind::Bool(on) = node.kind {
        return if on { all() } else { BreakerPolicies::default() };
    }
    let Some(mut fields) = Fields::read(diagnostics, node, &BREAKERS) else {
        return over;
    };
    let default = all();
    let levels = [
        ("endpoint", &mut over.endpoint, default.endpoint),
        ("service", &mut over.service, default.service),
        ("system", &mut over.system, default.system),
    ];
    for (key, level, default) in levels {
        if let (Some(node), Some(default)) = (fields.take(key), default) {
            *level = block(diagnostics, node, &BREAKER, default, |diagnostics, fields, level| {
                Some(one(diagnostics, fields, level))
            });
        }
    }
    fields.finish(diagnostics);
    over
}

fn one(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    mut breaker: BreakerPolicy,
) -> BreakerPolicy {
    let share = fields.entry("share");
    let of_share = fields.entry("window").or(fields.entry("least"));
    if let (true, Some((key, _))) = (fields.has("failures"), share) {
        diagnostics
            .mistake(key.span, "a breaker has either `failures` or `share`")
            .expected("one of the two");
    }
    if let Some(failures) = fields.value(diagnostics, "failures") {
        breaker.trips = BreakerTrip::InARow(failures);
    }
    if share.is_some() {
        let (mut window, mut least) = (WINDOW, LEAST);
        fields.fill(diagnostics, "window", &mut window);
        fields.fill(diagnostics, "least", &mut least);
        if let Some(share) = fields.value(diagnostics, "share") {
            breaker.trips = BreakerTrip::Share { share, window, least };
        }
    } else if let Some((key, _)) = of_share {
        let message = format!("`{}` needs `share`", key.name);
        diagnostics.mistake(key.span, message).expected("`share: 50%` in the same breaker");
    }
    fields.fill(diagnostics, "open", &mut breaker.open);
    fields.fill(diagnostics, "probes", &mut breaker.probes);
    fields.fill(diagnostics, "successes", &mut breaker.successes);
    fields.read_into(diagnostics, "when", &mut breaker.when, failures_of);
    breaker
}

/// Reads which outcomes of an attempt count as failures.
pub(crate) fn failures_of(diagnostics: &mut Diagnostics, node: &Node) -> Option<FailureCriteria> {
    const EXPECTED: &str =
        "`connect`, `timeout`, `broken`, or statuses such as 503, 5xx or \"500-504\"";
    let items = values::one_or_more(node);
    if items.is_empty() {
        return report_wrong(diagnostics, node, EXPECTED);
    }
    let mut found = FailureCriteria::default();
    for item in items {
        match values::scalar(item) {
            Some("connect") => found.connect = true,
            Some("timeout") => found.timeout = true,
            Some("broken") => found.broken = true,
            text => match text.and_then(statuses) {
                Some(range) => found.statuses.push(range),
                None => drop(report_wrong::<()>(diagnostics, item, EXPECTED)),
            },
        }
    }
    Some(found)
}

/// Parses `503`, `5xx` or `500-504` as a range of statuses.
fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| -> Option<u16> {
        text.trim().parse().ok().filter(|status| (100..=999).contains(status))
    };
    Some((status(from)?, status(to)?)).filter(|(from, to)| from <= to)
}

#[cfg(test)]
mod tests {
    use super::statuses;

    #[test]
    fn statuses_are_ranges() {
        for (text, range) in [
            ("503", Some((503, 503))),
            ("5xx", Some((500, 599))),
            ("500-504", Some((500, 504))),
            ("500 - 504", Some((500, 504))),
            ("6xx", Some((600, 699))),
            ("799", Some((799, 799))),
            ("0xx", None),
            ("1000", None),
            ("504-500", None),
            ("99", None),
            ("500-", None),
            ("-500", None),
        ] {
            assert_eq!(statuses(text), range, "{text}");
        }
    }
}
