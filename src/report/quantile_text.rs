//! Percentiles as text: `12 ms`, `≥ 12 ms` for a bound, `~12 ms` for one of few calls.
//!
//! Tables of the terminal, the page and the dashboard show them.
//! Invariant: a percentile that is not known is `–`, never a zero.

use crate::stats::{Latency, Quantile};
use crate::units::show_us;

/// A percentile of `latency`; empty if it has none.
pub(crate) fn quantile(latency: &Latency, p: f64) -> String {
    latency.quantile(p).map_or(String::new(), show_quantile)
}

/// A percentile: `≥` if it is a bound, `~` if it rests on few calls.
pub(crate) fn show_quantile(quantile: Quantile) -> String {
    if quantile.at_least && quantile.us == 0 {
        return "no response".to_owned();
    }
    let bound = if quantile.at_least { "≥ " } else { "" };
    let thin = if quantile.thin { "~" } else { "" };
    format!("{bound}{thin}{}", show_us(quantile.us))
}
