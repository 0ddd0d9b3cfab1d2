//! Scenarios and archetypes: the language, compiled from YAML to a plan.
//!
//! `cli` calls [`load`] for a file and [`hit::plan`] for the scenario of its own command line.
//! Invariant: no other folder knows YAML, and a returned plan needs no further checks.

mod archetype;
mod body;
mod capture;
mod check;
mod columns;
mod compile;
mod control;
mod data;
mod diagnostics;
mod distribution;
mod fields;
mod files;
mod flow;
mod header;
pub mod hit;
mod include;
mod k6;
mod library;
mod lint;
mod load;
mod network;
mod node;
mod overlay;
mod overrides;
mod pem;
mod policy;
mod rules;
mod safety;
pub mod schema;
mod service;
mod stages;
mod states;
mod step;
mod tags;
#[cfg(test)]
mod tests;
mod texts;
mod transport;
mod transport_text;
mod workload;

use std::path::Path;

pub use diagnostics::{Mistake, Mistakes, SourcePlace, Warning};
pub use hit::HitOptions;
pub use overrides::ScenarioOverrides;

use crate::plan::Plan;
use crate::units::show_duration;
use diagnostics::Diagnostics;
use library::ArchetypeLibrary;

/// Loads the scenario at `path` with all files that it names, and applies the command line's
/// options. Messages show paths as given here.
///
/// # Errors
///
/// All mistakes at once, each with its place.
pub fn load(path: &Path, overrides: &ScenarioOverrides) -> Result<(Plan, Vec<Warning>), Mistakes> {
    let mut diagnostics = Diagnostics::default();
    let limits = safety::read_user_file(&mut diagnostics, overrides.safety.as_deref());
    // Readable folders: the scenario's own, and the one for archetypes.
    diagnostics.readable.add(path.parent().unwrap_or(Path::new("")));
    diagnostics.readable.add(Path::new("archetypes"));
    overrides.files.iter().chain(&limits.files).for_each(|folder| diagnostics.readable.add(folder));
    let document = library::read(&mut diagnostics, path, None);
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
    let document = library::read(&mut diagnostics, path, None);
    document.map(|document| overlay::names(&document.node)).unwrap_or_default()
}

fn finish(
    diagnostics: &mut Diagnostics,
    label: &str,
    compiled: compile::CompiledScenario,
    overrides: &ScenarioOverrides,
) -> Plan {
    let compile::CompiledScenario { mut plan, spans, limits } = compiled;
    overrides.apply(diagnostics, &mut plan);
    safety::enforce(diagnostics, label, &mut plan, limits, &overrides.authorised, overrides.once);
    rules::check_selectors(diagnostics, &plan, &spans.thresholds);
    network::check_http_version(diagnostics, &plan, &spans);
    if let (Some(end), Some(span)) = (plan.load_end(), spans.warmup)
        && plan.warmup >= end
    {
        diagnostics
            .mistake(span, "nothing would be measured: the warm-up covers the whole run")
            .expected(format!(
                "a warm-up shorter than the load, which ends at {}",
                show_duration(end)
            ));
    }
    if diagnostics.count() == 0 {
        lint::warn_all(diagnostics, &plan, &spans);
    }
    plan.sources = diagnostics.sources();
    plan
}
