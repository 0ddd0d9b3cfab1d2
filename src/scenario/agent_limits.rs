//! The limits of the machine that an agent runs on: its user's safety file, and its list of allowed
//! targets.
//!
//! An agent calls it for the plan that it has compiled from the files of a coordinator.
//! Invariant: it only tightens the plan's limits; the load is judged, never changed, since all
//! agents need the same.

use std::path::Path;
use std::sync::Arc;

use super::limits::{check_maximums, refused_services, report_denied};
use super::safety::read_user_file;
use super::syntax::diagnostics::Diagnostics;
use super::syntax::mistake::Mistakes;
use crate::plan::allowed_targets::AllowedTargets;
use crate::plan::data::sanitize::ColumnRules;
use crate::plan::{Plan, Safety};

/// What the mistakes are about.
const LABEL: &str = "the plan";

/// Adds the limits of this machine to those of the plan.
///
/// # Errors
/// If the file is wrong, or the plan does not keep its limits.
pub fn restrict(
    plan: &mut Plan,
    own_file: Option<&Path>,
    allowed: Option<AllowedTargets>,
) -> Result<(), Mistakes> {
    let mut diagnostics = Diagnostics::default();
    let own = read_user_file(&mut diagnostics, own_file).safety;
    check_maximums(&mut diagnostics, LABEL, plan, &own);
    report_denied(&mut diagnostics, LABEL, plan, &own);
    report_columns(&mut diagnostics, plan);
    let mut safety = Safety::clone(&plan.safety);
    safety.hosts.extend(own.hosts);
    safety.methods.extend(own.methods);
    safety.paths.extend(own.paths);
    safety.allowed = allowed;
    safety.ceilings.tighten(own.ceilings.of_machine());
    for (what, why) in refused_services(plan, &safety) {
        diagnostics.global_mistake(LABEL, format!("{what}: {why}"));
    }
    plan.safety = Arc::new(safety);
    diagnostics.finish(Some(())).map(drop)
}

/// Reports columns for which this machine requires a rule that they do not have: their rows are
/// read already.
fn report_columns(diagnostics: &mut Diagnostics, plan: &Plan) {
    let required = ColumnRules::required(std::mem::take(&mut diagnostics.required_rules));
    if required.is_empty() {
        return;
    }
    for draw in plan.archetypes.iter().flat_map(|archetype| &archetype.data) {
        let rows = &draw.feed.rows;
        let columns = rows.columns();
        let lacking = columns.iter().flatten().find(|name| !rows.rules().keep(name, &required));
        let what = match (lacking, &columns) {
            (Some(column), _) => format!("the column `{column}`"),
            // Rows that are read when they are needed may have any.
            (None, None) => "its rows, which are not held in memory,".to_owned(),
            (None, Some(_)) => continue,
        };
        let feed = &draw.feed.name;
        let message = format!("the data `{feed}`: {what} has no rule that this machine requires");
        diagnostics
            .global_mistake(LABEL, message)
            .help("add it to `sanitize` of the scenario, or of the coordinator's safety file");
    }
}
