//! Loads a scenario: reads, overlays, compiles, applies overrides, checks limits, warns.
//!
//! `cli` calls [`load`]; [`environments`] lists names for completion.
//! Invariant: a plan is only returned without mistakes.

use std::path::Path;

use crate::files::FileRole;
use crate::plan::Plan;
use crate::scenario::library::ArchetypeLibrary;
use crate::scenario::lint::plan_warnings;
use crate::scenario::overrides::ScenarioOverrides;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::{Mistakes, Warning};
use crate::scenario::{compile, http_version, library, overlay, safety, thresholds};
use crate::units::show_duration;

/// Loads the scenario at `path` with all files that it names, and applies the command line's
/// options. Messages show paths as given here.
///
/// # Errors
///
/// All mistakes at once, each with its place.
pub fn load(path: &Path, overrides: &ScenarioOverrides) -> Result<(Plan, Vec<Warning>), Mistakes> {
    let mut diagnostics = Diagnostics::reading(&overrides.source);
    diagnostics.reflected.clone_from(&overrides.reflected);
    let limits = safety::read_user_file(&mut diagnostics, overrides.safety.as_deref());
    // Readable folders: the scenario's own, and the one for archetypes.
    diagnostics.readable.add(path.parent().unwrap_or(Path::new("")));
    diagnostics.readable.add(Path::new("archetypes"));
    overrides.files.iter().chain(&limits.files).for_each(|folder| diagnostics.readable.add(folder));
    let document = library::read(&mut diagnostics, path, FileRole::Scenario, None);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario");
    let plan = document
        .and_then(|mut document| {
            overlay::environment(
                &mut diagnostics,
                &mut document.node,
                overrides.environment.as_deref(),
            );
            for words in &overrides.set {
                overlay::set(&mut diagnostics, &mut document.node, words);
            }
            compile::scenario(
                &mut diagnostics,
                &document.node,
                stem,
                ArchetypeLibrary::beside(path),
                limits,
            )
        })
        .map(|compiled| finish(&mut diagnostics, &path.display().to_string(), compiled, overrides));
    diagnostics.finish(plan)
}

/// Returns the names of a scenario's environments; none if it cannot be read.
pub fn environments(path: &Path) -> Vec<String> {
    let mut diagnostics = Diagnostics::default();
    let document = library::read(&mut diagnostics, path, FileRole::Scenario, None);
    document.map(|document| overlay::names(&document.node)).unwrap_or_default()
}

pub(crate) fn finish(
    diagnostics: &mut Diagnostics,
    label: &str,
    compiled: compile::CompiledScenario,
    overrides: &ScenarioOverrides,
) -> Plan {
    let compile::CompiledScenario { mut plan, spans, limits } = compiled;
    overrides.apply(diagnostics, &mut plan);
    safety::enforce(
        diagnostics,
        label,
        &mut plan,
        limits,
        &overrides.authorised,
        &overrides.ceilings,
        overrides.once,
    );
    thresholds::check_selectors(diagnostics, &plan, &spans.thresholds);
    http_version::check_http_version(diagnostics, &plan, &spans);
    if let (Some(end), Some(span)) = (plan.load_end(), spans.warmup)
        && plan.warmup >= end
    {
        diagnostics
            .mistake(span, "the warm-up covers the whole run, nothing is measured")
            .expected(format!("a warm-up shorter than the load ({})", show_duration(end)));
    }
    if let (Some(shift), Some(end), Some(span)) = (&plan.shift, plan.load_end(), spans.shift)
        && shift.shortest() > end
    {
        let (needed, end) = (show_duration(shift.shortest()), show_duration(end));
        diagnostics
            .mistake(span, format!("the shift takes {needed} at least, the load {end}"))
            .expected("a longer load, fewer `steps`, or a shorter `hold`");
    }
    if diagnostics.count() == 0 {
        plan_warnings::warn_all(diagnostics, &plan, &spans);
    }
    plan.sources = diagnostics.sources();
    plan
}
