//! Warnings about caches: those that no step uses, keys that all users share, settings without an
//! effect.
//!
//! `plan_warnings` calls it.
//! Invariant: a warning never prevents a run.

use crate::plan::cache::LayerKind;
use crate::plan::{Archetype, Plan, Step};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::spans::SourceSpans;

/// Reports them.
pub(crate) fn caches(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let all = || plan.all_archetypes();
    let uses = |archetype: &Archetype, cache: usize| {
        archetype.steps.iter().any(|step| matches!(step, Step::Cached(one) if one.cache == cache))
    };
    for (at, (cache, span)) in plan.caches.iter().zip(&spans.caches).enumerate() {
        let name = &cache.name;
        if !all().any(|archetype| uses(archetype, at)) && spans.unused.is_empty() {
            let message = format!("cache `{name}` is not used");
            diagnostics.warn(*span, message, "use it in a `cached:` step, or remove it");
        }
        if cache.has_stores() && cache.secret.is_none() {
            diagnostics.warn(
                *span,
                format!("the entries of cache `{name}` are not encrypted in its stores"),
                "use `encrypt: '{{ secret(\"CACHE_KEY\") }}'`",
            );
        }
        if cache.has_stores() && cache.layers.iter().all(|layer| layer.kind != LayerKind::Memory) {
            diagnostics.warn(
                *span,
                format!("each lookup of cache `{name}` is a request to a store"),
                "put `memory` before its layers",
            );
        }
    }
    for (archetype, own) in plan.archetypes.iter().zip(&spans.archetypes) {
        for (step, span) in &own.cached {
            let Some(Step::Cached(cached)) = archetype.steps.get(*step) else { continue };
            if cached.key.as_static().is_some() {
                diagnostics.warn(
                    *span,
                    "all users share this entry: its key has no `{{ }}`".to_owned(),
                    "put what tells users apart into the key, such as '{{ account.email }}'; a \
                     value for all users belongs in `setup`",
                );
            }
        }
    }
}
