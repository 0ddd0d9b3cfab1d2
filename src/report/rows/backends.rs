//! Rows of backends: one for each backend of the services that have several.
//!
//! Invariant: a row per backend in the order of `urls`, also for those that got no calls.

use crate::event::Report;
use crate::ids::{ServiceId, StepId};
use crate::stats::delta::BackendWindow;
use crate::stats::{Change, ChangeSubject, StateChange};

/// What a backend may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendStanding {
    /// Calls.
    InUse,
    /// None, since its health checks fail.
    Unhealthy,
    /// None for a time, since its attempts failed.
    Ejected,
}

/// A backend with its figures after the warm-up.
pub(crate) struct BackendRow<'r> {
    pub(crate) service: &'r str,
    pub(crate) name: &'r str,
    /// Its state now; `None` if too many state changes were lost.
    pub(crate) state: Option<BackendStanding>,
    /// All its calls.
    pub(crate) whole: BackendWindow,
    /// Its calls by step; steps that never called it are left out.
    pub(crate) steps: Vec<(StepId, &'r BackendWindow)>,
}

/// All backends.
pub(crate) fn backends<'r>(report: &'r Report) -> Vec<BackendRow<'r>> {
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
                    state: None,
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
    let changes = &report.snapshot.changes;
    let with_state = |(_, mut row): (ServiceId, BackendRow<'r>)| {
        row.state = (changes.lost == 0).then(|| state(&changes.list, row.service, row.name));
        row
    };
    rows.into_iter().map(with_state).collect()
}

/// The state of a backend after these changes. Health checks and ejection are apart: a backend that
/// is both unhealthy and ejected gets calls only when it is neither.
fn state(changes: &[StateChange], service: &str, name: &str) -> BackendStanding {
    let (mut is_healthy, mut is_ejected) = (true, false);
    let own = changes.iter().filter(|notice| match &notice.subject {
        ChangeSubject::Backend { service: of, backend } => of == service && backend == name,
        _ => false,
    });
    let mut own: Vec<&StateChange> = own.collect();
    own.sort_by_key(|notice| notice.at);
    for notice in own {
        match notice.change {
            Change::BackendHealth { healthy } => is_healthy = healthy,
            Change::BackendEjected { .. } => is_ejected = true,
            Change::BackendReturned => is_ejected = false,
            _ => {}
        }
    }
    match (is_healthy, is_ejected) {
        (false, _) => BackendStanding::Unhealthy,
        (true, true) => BackendStanding::Ejected,
        (true, false) => BackendStanding::InUse,
    }
}
