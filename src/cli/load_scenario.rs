//! Loading the scenario that a command names.
//!
//! `check`, `plan`, `run`, `hit` and `dashboards` use it.
//! Invariant: a mistake on the command line ends a command with 2, one in a file with 3.

use std::path::Path;

use super::args::OverlayArgs;
use super::limits::{self, UserLimits};
use super::output::print_remark;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::grpc::reflection::ReflectedSets;
use crate::plan::Plan;
use crate::run::reflection;
use crate::scenario::{self, Mistakes, ScenarioOverrides, Warning};

/// The status of a command that ends with these mistakes.
pub(super) fn status_of(mistakes: &Mistakes) -> ExitStatus {
    if mistakes.has_flag_mistake() { ExitStatus::Usage } else { ExitStatus::Scenario }
}

/// Loads a scenario, and prints its warnings, or its mistakes.
///
/// # Errors
/// The status with which the command ends.
pub(super) fn load_or_print(
    path: &Path,
    overrides: &ScenarioOverrides,
) -> Result<Plan, ExitStatus> {
    let loaded = scenario::load(path, overrides);
    let (plan, warnings) = loaded.map_err(|mistakes| print_mistakes(&mistakes))?;
    warnings.iter().for_each(|warning| print_remark(&warning.render(true)));
    Ok(plan)
}

/// Loads a scenario that is about to be run. Servers of gRPC that are to tell their methods are
/// asked, and the scenario is loaded again with what they told.
///
/// # Errors
/// All mistakes at once, those of the servers among them.
pub(super) fn load_asking(
    path: &Path,
    overrides: &ScenarioOverrides,
) -> Result<(Plan, Vec<Warning>), Mistakes> {
    let loaded = scenario::load(path, overrides)?;
    let Some(reflected) = reflection::ask(&loaded.0) else { return Ok(loaded) };
    scenario::load(path, &ScenarioOverrides { reflected, ..overrides.clone() })
}

/// Compiles a plan; servers of gRPC that are to tell their methods are asked, and it is compiled
/// again with what they told.
///
/// # Errors
/// Those of `compile`.
pub(super) fn compile_asking<E>(
    compile: impl Fn(&ReflectedSets) -> Result<Plan, E>,
) -> Result<Plan, E> {
    let plan = compile(&ReflectedSets::new())?;
    reflection::ask(&plan).map_or(Ok(plan), |told| compile(&told))
}

/// Prints mistakes; returns the status with which the command ends.
pub(super) fn print_mistakes(mistakes: &Mistakes) -> ExitStatus {
    print_remark(&mistakes.render(true));
    status_of(mistakes)
}

/// The overrides of a command that sends no load.
pub(super) fn overrides_without_load(
    changes: &OverlayArgs,
    limits: &UserLimits,
) -> ScenarioOverrides {
    ScenarioOverrides {
        safety: limits::safety_file(&Files::default()),
        files: changes.allow_files.clone(),
        authorised: limits.authorised.clone(),
        environment: changes.environment.clone(),
        set: changes.set.clone(),
        ..ScenarioOverrides::default()
    }
}
