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

/// A percentile for a table of 80 columns, as [`show_quantile`].
pub(crate) fn short_quantile(quantile: Quantile) -> String {
    if quantile.at_least && quantile.us == 0 {
        return "no resp.".to_owned();
    }
    show_quantile(quantile)
}

/// What the signs before percentiles in a text mean; `None` if there are none.
pub(crate) fn signs_legend(text: &str) -> Option<String> {
    let signs = [
        ('~', "~ fewer than ten calls above it, so it may change"),
        ('≥', "≥ lower bound: some calls have no known time"),
    ];
    let used: Vec<&str> =
        signs.into_iter().filter(|(sign, _)| text.contains(*sign)).map(|(_, says)| says).collect();
    (!used.is_empty()).then(|| used.join("; "))
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
