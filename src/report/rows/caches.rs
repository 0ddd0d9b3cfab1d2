//! Rows of caches: one for each cache that was looked up, and one for each of its layers.
//!
//! The terminal, the page and `summary.json` lay them out.
//! Invariant: layers come in the order of their names, since a record has no other.

use crate::event::Report;
use crate::stats::caches::{CacheUse, LayerUse};
use crate::units::show_us;

/// A cache.
pub(crate) struct CacheRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) counts: &'a CacheUse,
    /// Its layers: memory first.
    pub(crate) layers: Vec<(&'a str, &'a LayerUse)>,
}

/// All caches that were used.
pub(crate) fn caches(report: &Report) -> Vec<CacheRow<'_>> {
    report.snapshot.caches.by_name.iter().map(row).collect()
}

fn row<'a>((name, counts): (&'a String, &'a CacheUse)) -> CacheRow<'a> {
    let mut layers: Vec<_> =
        counts.layers.iter().map(|(name, layer)| (name.as_str(), layer)).collect();
    layers.sort_by_key(|(name, _)| *name != "memory");
    CacheRow { name, counts, layers }
}

/// The first failure of a layer, as text; `None` if it had none.
pub(crate) fn first_failure(layer: &LayerUse) -> Option<String> {
    let first = layer.first_failure.as_ref()?;
    Some(format!("failed first after {}: {}", show_us(first.at_ns / 1_000), first.why))
}

impl CacheRow<'_> {
    /// The mean time of the lookups that took time, ns; `None` if none did.
    pub(crate) fn mean_wait_ns(&self) -> Option<u64> {
        (self.counts.wait_ns > 0).then(|| self.counts.wait_ns / self.counts.lookups.max(1))
    }
}
