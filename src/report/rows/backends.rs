//! Rows of backends: one for each backend of the services that have several.
//!
//! Invariant: a row per backend in the order of `urls`, also for those that got no calls.

use crate::event::Report;
use crate::ids::{ServiceId, StepId};
use crate::stats::delta::BackendWindow;

/// A backend with its figures after the warm-up.
pub(crate) struct BackendRow<'r> {
    pub(crate) service: &'r str,
    pub(crate) name: &'r str,
    /// All its calls.
    pub(crate) whole: BackendWindow,
    /// Its calls by step; steps that never called it are left out.
    pub(crate) steps: Vec<(StepId, &'r BackendWindow)>,
}

/// All backends.
pub(crate) fn backends(report: &Report) -> Vec<BackendRow<'_>> {
    let (plan, measured) = (&report.info.plan, &report.snapshot.measured);
    let mut rows: Vec<(ServiceId, BackendRow<'_>)> = Vec::new();
    for (series, window) in plan.backends.iter().zip(&measured.backends) {
        let known = rows
            .iter_mut()
            .find(|(service, row)| *service == series.service && row.name == series.name);
        let row = match known {
            Some((_, row)) => row,
            None => {
                let service = plan.services.get(series.service.index());
                let row = BackendRow {
                    service: service.map_or("", |(name, _)| name),
                    name: &series.name,
                    whole: BackendWindow::default(),
                    steps: Vec::new(),
                };
                rows.push((series.service, row));
                let Some((_, row)) = rows.last_mut() else { continue };
                row
            }
        };
        if let Some(window) = window {
            row.whole.merge(window);
            row.steps.push((series.step, window));
        }
    }
    rows.sort_by_key(|(service, _)| *service);
    rows.into_iter().map(|(_, row)| row).collect()
}
