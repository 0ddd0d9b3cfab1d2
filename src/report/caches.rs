//! The caches of a run: on the terminal and in `summary.json`.
//!
//! `summary` and `json` render it.
//! Invariant: it is shown only if a cache was looked up.

use serde_json::{Value, json};

use super::ansi::{DIM, paint, plain};
use super::rows;
use super::text_lines::heading;
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::stats::caches::LayerUse;
use crate::units::{show_count, show_us};

/// A table for each cache, with a row per layer.
pub(crate) fn render(out: &mut String, report: &Report) {
    let all = rows::caches(report);
    if all.is_empty() {
        return;
    }
    heading(out, "Caches");
    let mut aligns = [Align::Right; 9];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head([
        "",
        "hits",
        "misses",
        "expired",
        "unreadable",
        "promoted",
        "written",
        "failed",
        "skipped",
    ]);
    for row in &all {
        table.title(paint(DIM, &sentence(row)));
        for (name, layer) in &row.layers {
            let failed = match layer.timeouts {
                0 => show_count(layer.failed),
                timeouts => format!("{} ({timeouts} timeouts)", show_count(failures(layer))),
            };
            table.row([
                format!("  {}", plain(name)),
                show_count(layer.hits),
                show_count(layer.misses),
                show_count(layer.expired),
                show_count(layer.unreadable),
                show_count(layer.promotions),
                show_count(layer.writes),
                failed,
                show_count(layer.skipped),
            ]);
            if let Some(failure) = rows::first_failure(layer) {
                table.note(&plain(&failure));
            }
        }
    }
    table.render(out, 2);
}

/// What became of the lookups of a cache.
pub(crate) fn sentence(row: &rows::CacheRow<'_>) -> String {
    let counts = row.counts;
    let mut parts = vec![
        format!("{}: {} lookups", plain(row.name), show_count(counts.lookups)),
        format!("{} from the cache", show_count(counts.hits)),
        format!("{} filled it", show_count(counts.fills)),
    ];
    if let Some(ratio) = counts.hit_ratio() {
        parts[1] = format!("{} ({:.1} %) from the cache", show_count(counts.hits), ratio * 100.0);
    }
    if counts.failed_fills > 0 {
        parts.push(format!("{} failed to fill it", show_count(counts.failed_fills)));
    }
    if counts.waits > 0 {
        parts.push(format!("{} waited for another user", show_count(counts.waits)));
    }
    if let Some(mean) = row.mean_wait_ns() {
        let longest = show_us(counts.longest_wait_ns / 1_000);
        parts.push(format!("mean wait {}, longest {longest}", show_us(mean / 1_000)));
    }
    if counts.forgotten > 0 {
        parts.push(format!("{} forgotten", show_count(counts.forgotten)));
    }
    parts.join(", ")
}

/// Requests without an answer of use.
fn failures(layer: &LayerUse) -> u64 {
    layer.failed + layer.timeouts
}

/// An entry per cache.
pub(crate) fn document(report: &Report) -> Value {
    let layer = |(name, layer): &(&str, &LayerUse)| {
        json!({
            "layer": name,
            "hits": layer.hits,
            "misses": layer.misses,
            "expired": layer.expired,
            "unreadable": layer.unreadable,
            "promotions": layer.promotions,
            "writes": layer.writes,
            "failed": layer.failed,
            "timeouts": layer.timeouts,
            "skipped": layer.skipped,
            "first_failure": layer.first_failure.as_ref().map(|first| json!({
                "at_s": first.at_ns as f64 / 1e9,
                "why": first.why,
            })),
        })
    };
    let cache = |row: rows::CacheRow<'_>| {
        json!({
            "cache": row.name,
            "lookups": row.counts.lookups,
            "hits": row.counts.hits,
            "hit_percent": row.counts.hit_ratio().map(|ratio| ratio * 100.0),
            "fills": row.counts.fills,
            "failed_fills": row.counts.failed_fills,
            "waits": row.counts.waits,
            "wait_us": row.counts.wait_ns / 1_000,
            "longest_wait_us": row.counts.longest_wait_ns / 1_000,
            "forgotten": row.counts.forgotten,
            "layers": row.layers.iter().map(layer).collect::<Vec<_>>(),
        })
    };
    rows::caches(report).into_iter().map(cache).collect()
}
