//! The limits of the machine that an agent runs on: its user's safety file, and its list of allowed
//! targets.
//!
//! An agent calls it for the plan that it has compiled from the files of a coordinator.
//! Invariant: it only tightens the plan's limits; the load is judged, never changed, since all
//! agents need the same.

use std::path::Path;
use std::sync::Arc;

use super::safety::{check_maximums, read_user_file, refused_services, report_denied};
use super::syntax::diagnostics::Diagnostics;
use super::syntax::mistake::Mistakes;
use crate::plan::allowed_targets::AllowedTargets;
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
    let mut safety = Safety::clone(&plan.safety);
    safety.hosts.extend(own.hosts);
    safety.methods.extend(own.methods);
    safety.paths.extend(own.paths);
    safety.allowed = allowed;
    for (what, why) in refused_services(plan, &safety) {
        diagnostics.global_mistake(LABEL, format!("{what}: {why}"));
    }
    plan.safety = Arc::new(safety);
    diagnostics.finish(Some(())).map(drop)
}
