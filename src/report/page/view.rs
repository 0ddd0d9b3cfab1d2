//! A report with the values that several sections of a page need.
//!
//! `document` builds it once per page.
//! Invariant: everything in it is derived from the report.

use super::axis::{self, TimeAxis};
use crate::event::Report;
use crate::plan::RunManifest;
use crate::stats::{Latency, Snapshot};

/// A report with the values that several sections need.
pub(super) struct PageView<'a> {
    pub(super) report: &'a Report,
    pub(super) plan: &'a RunManifest,
    pub(super) snapshot: &'a Snapshot,
    /// The axis of large charts.
    pub(super) axis: TimeAxis,
    /// The axis of small charts.
    pub(super) coarse: TimeAxis,
    pub(super) response: Latency,
    pub(super) service: Latency,
}

impl<'a> PageView<'a> {
    /// Derives the values from a report.
    pub(super) fn new(report: &'a Report) -> Self {
        let measured = &report.snapshot.measured;
        Self {
            report,
            plan: &report.info.plan,
            snapshot: &report.snapshot,
            axis: TimeAxis::of(report, axis::COLUMNS),
            coarse: TimeAxis::of(report, axis::FEW),
            response: measured.response(|_| true, measured.lost()),
            service: measured.service(|_| true),
        }
    }
}
