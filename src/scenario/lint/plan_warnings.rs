//! Warnings about valid plans: settings that are legal but probably not intended.
//!
//! `load` calls it last; the compilers of all parts provide the places.
//! Invariant: a warning never prevents a run; it has a place, and says how to resolve it.

use std::time::Duration;

use crate::forecast::feeds::{FeedDemand, feeds};
use crate::forecast::load::{WorkloadVolume, workload_volume};
use crate::forecast::pass::section_pass;
use crate::forecast::{TargetAssumptions, visits::VisitAssumptions};
use crate::ids::{ArchetypeId, ServiceId, WorkloadId};
use crate::plan::data::{AtEnd, ShortSource, short_sources as short_sources_of};
use crate::plan::flow::Session;
use crate::plan::{Archetype, Load, Plan};
use crate::scenario::lint::{cache_warnings, pool_warnings, stream_warnings, threshold_warnings};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::spans::{ArchetypeSpans, SourceSpans};
use crate::units::{counted, show_duration};

/// Reports all warnings.
pub(crate) fn warn_all(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    for (name, span) in &spans.unused {
        diagnostics.warn(
            *span,
            format!("archetype `{name}` is not used"),
            "add it to a workload's `archetypes:`, or remove it",
        );
    }
    unused_services(diagnostics, plan, spans);
    unread_variables(diagnostics, plan, spans);
    rows(diagnostics, plan, spans);
    short_sources(diagnostics, plan, spans);
    ineffective_settings(diagnostics, plan, spans);
    long_durations(diagnostics, plan, spans);
    threshold_warnings::thresholds(diagnostics, plan, spans);
    pool_warnings::endpoints(diagnostics, plan, spans);
    pool_warnings::streams(diagnostics, plan, spans);
    stream_warnings::streams(diagnostics, plan, spans);
    cache_warnings::caches(diagnostics, plan, spans);
}

fn unused_services(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let calls = || plan.all_archetypes().flat_map(|archetype| &archetype.calls);
    // A redirect may lead to a service that no step uses.
    let follows = |call: &crate::plan::Call| {
        call.redirects.or(plan.services[call.service].redirects).is_some_and(|most| most > 0)
    };
    if calls().any(follows) || !spans.unused.is_empty() {
        return;
    }
    for (id, (span, _)) in ServiceId::number(&spans.services) {
        if !calls().any(|call| call.service == id) {
            let name = &plan.services[id].name;
            let message = format!("service `{name}` is not used");
            diagnostics.warn(*span, message, "use it in a step's `service:`, or remove it");
        }
    }
}

/// Warns about variables that no template reads.
fn unread_variables(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let mut warn = |archetype: &Archetype,
                    archetype_spans: &ArchetypeSpans,
                    others: &dyn Fn(usize) -> bool| {
        let read = archetype.variables_read();
        for (name, span) in &archetype_spans.variables {
            let slot = archetype.variables.iter().position(|known| known == name);
            let is_read = slot.is_some_and(|slot| read[slot] || others(slot));
            if is_read || name.starts_with('_') {
                continue;
            }
            let kind = if archetype_spans.feeds.contains(span) { "feed" } else { "variable" };
            let help = format!("remove it, or rename it to `_{name}` to keep it");
            diagnostics.warn(*span, format!("{kind} `{name}` is never read"), &help);
        }
    };
    let never = |_: usize| false;
    if let (Some(setup), Some(archetype_spans)) = (&plan.setup, &spans.setup) {
        // Variables of `setup` have the same slots in all archetypes.
        let reads: Vec<Vec<bool>> = plan.all_archetypes().map(Archetype::variables_read).collect();
        warn(setup, archetype_spans, &|slot| {
            reads.iter().any(|read| read.get(slot) == Some(&true))
        });
    }
    for (archetype, archetype_spans) in plan.archetypes.iter().zip(&spans.archetypes) {
        warn(archetype, archetype_spans, &never);
    }
    if let (Some(teardown), Some(archetype_spans)) = (&plan.teardown, &spans.teardown) {
        warn(teardown, archetype_spans, &never);
    }
}

/// Warns about feeds with fewer rows than are certainly taken.
fn rows(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    if plan.archetypes.iter().all(|archetype| archetype.data.is_empty()) {
        return;
    }
    let target = TargetAssumptions { fallback_s: 0.0, series_s: Vec::new() };
    let ids = WorkloadId::first(plan.workloads.len());
    let volumes: Vec<WorkloadVolume> =
        ids.map(|id| workload_volume(plan, id, VisitAssumptions::EXPECTED, &target)).collect();
    let mut demands: std::vec::IntoIter<FeedDemand> = feeds(plan, &volumes).into_iter();
    let mut reported: Vec<SourceSpan> = Vec::new();
    for (workload, volumes) in plan.workloads.iter().zip(&volumes) {
        for share in &workload.shares {
            let archetype = &plan.archetypes[share.archetype];
            let archetype_spans = &spans.archetypes[share.archetype.index()];
            for (draw, span) in archetype.data.iter().zip(&archetype_spans.feeds) {
                let Some(feed) = demands.next() else { return };
                let closed = matches!(workload.load, Load::Closed(_));
                let by_user = !draw.per_iteration && closed;
                let known = if by_user {
                    matches!(archetype.session, Session::Endless)
                } else {
                    volumes.spread == 0.0
                };
                // Arrivals choose their archetype at random.
                let slack = if workload.shares.len() > 1 { 3.0 * feed.needed.sqrt() } else { 0.0 };
                let sure = feed.needed - slack;
                if feed.out_s.is_none()
                    || !known
                    || sure <= feed.rows as f64
                    || reported.contains(span)
                {
                    continue;
                }
                reported.push(*span);
                let who = if draw.per_iteration { "iteration" } else { "user" };
                let message = format!(
                    "`{}` has {} for {} of `{}`",
                    feed.name,
                    counted(feed.rows, "row"),
                    counted(feed.needed.round() as u64, who),
                    workload.name
                );
                let help = format!(
                    "after the last row {}; add rows, or set `pick: circular` or \
                     `at_end: wrap`",
                    if feed.at_end == "stop" { "the user stops" } else { "the run stops" }
                );
                diagnostics.warn(*span, message, &help);
            }
        }
    }
}

/// Warns about sources with too few `unique` rows, whose feeds take turns.
fn short_sources(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    for ShortSource { feeds, takers } in short_sources_of(plan) {
        let place = |(load, share, draw): &(WorkloadId, usize, usize)| {
            let archetype = plan.workloads[*load].shares[*share].archetype;
            let span = *spans.archetypes[archetype.index()].feeds.get(*draw)?;
            Some((span, &plan.archetypes[archetype].data[*draw].feed))
        };
        let Some((span, feed)) = feeds.iter().find_map(place) else { continue };
        if feed.at_end == AtEnd::Wrap {
            continue;
        }
        let rows = feed.rows.len();
        diagnostics.warn(
            span,
            format!(
                "{} of `{}` for {takers} readers (workloads and archetypes): {} each",
                counted(rows, "unique row"),
                feed.name,
                rows / takers as u64
            ),
            "add rows, or set `pick: circular` or `at_end: wrap`",
        );
    }
}

/// Warns about `session` and `pace` where they have no effect, and about a `pace` that is too
/// short.
fn ineffective_settings(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    for (id, (archetype, archetype_spans)) in
        ArchetypeId::number(plan.archetypes.iter().zip(&spans.archetypes))
    {
        let users = plan.workloads.iter().filter(|workload| {
            workload.shares.iter().any(|share| share.archetype == id)
                && matches!(workload.load, Load::Closed(_))
        });
        let closed = users.count() > 0;
        let open = "only open-model workloads use this archetype, and each arrival is a new user";
        for (key, span) in [("session", archetype_spans.session), ("pace", archetype_spans.pace)] {
            // An archetype file may also serve closed workloads of other scenarios.
            let here = span.filter(|span| span.source == 0);
            if let (false, Some(span)) = (closed, here) {
                diagnostics.warn(span, format!("`{key}` has no effect"), open);
            }
        }
        let (Some(pace), Some(span), true) = (archetype.pace, archetype_spans.pace, closed) else {
            continue;
        };
        let pass =
            section_pass(archetype, archetype.sections.flow, VisitAssumptions::EXPECTED, &|_| 0.0);
        let own_s = pass.map_or(0.0, |pass| pass.stay_s());
        if own_s > pace.as_secs_f64() {
            let own = show_duration(Duration::from_secs_f64(own_s));
            let message = format!("think times and pauses of an iteration take {own} on average");
            let help = format!(
                "`pace: {}` is shorter than a typical iteration, so iterations start late",
                show_duration(pace)
            );
            diagnostics.warn(span, message, &help);
        }
    }
}

/// Warns about durations that are too long for the length of the run.
fn long_durations(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let Some(end) = plan.load_end() else { return };
    let shown = show_duration(end);
    if let Some(span) = spans.warmup
        && plan.warmup * 2 > end
    {
        let message = "the warm-up is longer than the measured part";
        diagnostics.warn(span, message, &format!("the load ends after {shown}"));
    }
    let service_timeouts = plan.services.iter().zip(&spans.services);
    let service_timeouts =
        service_timeouts.filter_map(|(service, (_, span))| Some((service.timeout, (*span)?)));
    let step_timeouts = spans
        .archetypes
        .iter()
        .flat_map(|archetype_spans| archetype_spans.timeouts.iter().copied());
    for (timeout, span) in service_timeouts.chain(step_timeouts) {
        if timeout > end {
            let message = format!("this timeout is longer than the load ({shown})");
            diagnostics.warn(
                span,
                message,
                "hanging calls are cancelled at the end of the run, not by this timeout",
            );
        }
    }
}
