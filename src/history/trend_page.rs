//! A trend as a page of HTML.
//!
//! `cli` writes it to a file.
//! Invariant: the page is that of `report::page`: it loads nothing, and foreign texts are escaped.

use super::read::StoredTrend;
use super::text::{date, show_value};
use super::trend::{changes, is_new_commit};
use super::trend_text::percent;
use crate::report::page::{TrendPoint, TrendUnit, trend};

/// Returns the page.
pub fn page(stored: &StoredTrend) -> String {
    let rows = &stored.rows;
    let unit = match stored.metric.unit() {
        "us" => TrendUnit::Micros,
        "share" => TrendUnit::Percent,
        "bytes" => TrendUnit::Bytes,
        "per_s" => TrendUnit::PerSecond,
        _ => TrendUnit::Count,
    };
    let scale = if unit == TrendUnit::Percent { 100.0 } else { 1.0 };
    let changes = changes(rows);
    let points = rows.iter().enumerate().map(|(at, row)| TrendPoint {
        run: row.run.short_id().to_owned(),
        started: date(row.run.started_ms),
        scenario: row.run.scenario.clone(),
        verdict: row.run.verdict.clone().unwrap_or_else(|| "broken".to_owned()),
        trust: row.run.trust.clone(),
        commit: row.run.short_commit(),
        is_new_commit: is_new_commit(rows, at),
        tags: row.run.tags.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        value: row.value * scale,
        shown: show_value(row.value, stored.metric.unit(), row.at_least),
        change: changes[at].map(percent).unwrap_or_default(),
        at_least: row.at_least,
    });
    trend(&stored.metric.written, unit, &points.collect::<Vec<_>>())
}
