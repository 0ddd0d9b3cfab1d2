//! Charts of response and service times over the run.
//!
//! `overview` and `latency` draw them.
//! Invariant: a second without a value is a gap, never a zero.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::context::ViewContext;
use crate::sinks::tui::chart::{self, BrailleChart, ChartCurve};
use crate::sinks::tui::draw::heading;
use crate::sinks::tui::scale::Measure;
use crate::sinks::tui::series::{self, ColumnMerge, TimeSpan as Seconds};
use crate::stats::Point;
use crate::stats::timeline::PercentileBand;

/// The percentiles of each second.
fn bands(
    page: &mut Buffer,
    area: Rect,
    context: &ViewContext<'_>,
    title: &str,
    band: fn(&Point) -> &PercentileBand,
) {
    let curve = |at: usize, name| ChartCurve {
        name,
        readings: series::percentile(context.report, band, at),
        many: ColumnMerge::Worst,
        style: context.theme.curve(at),
    };
    let curves = [curve(0, "p50"), curve(1, "p95"), curve(2, "p99")];
    tile(page, area, context, title, &curves, Measure::Time);
}

/// Draws the response times: from the intended start to the last byte.
pub(super) fn response(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    bands(page, area, context, "Response", |point| &point.response);
}

/// Draws the service times: from dispatch to the last byte.
pub(super) fn service(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    bands(page, area, context, "Service", |point| &point.service);
}

/// Draws the delivery times of messages: from the intended send to the receipt.
pub(super) fn delivery(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    bands(page, area, context, "Delivery", |point| &point.delivery);
}

/// Draws a chart under its title.
pub(super) fn tile(
    page: &mut Buffer,
    area: Rect,
    context: &ViewContext<'_>,
    title: &str,
    curves: &[ChartCurve],
    measure: Measure,
) {
    let room = usize::from(area.width).saturating_sub(title.len() + 7);
    let note = chart::legend(curves, measure, context.theme, room);
    let plot = heading(page, area, title, &note, context.theme);
    let report = context.report;
    let chart = BrailleChart {
        curves,
        width_s: report.timeline.width_s,
        span: Seconds::of(report, context.ui.zoom),
        warmup_s: report.info.plan.warmup.as_secs_f64(),
        marks: &super::parts::marks(report),
        measure,
        log: context.ui.log,
    };
    chart::draw(page, plot, &chart, context.theme);
}
