//! The phases of an attempt: a waterfall at p50 and p99.
//!
//! Invariant: each bar is the percentile of its own phase; together they are not one call.

use maud::{Markup, html};

use super::super::chart::tenth;
use super::super::view::PageView;
use super::cells::{count, time};
use crate::report::rows::{self, PhaseRow};
use crate::stats::{Histogram, Latency};

pub fn render(view: &PageView<'_>) -> Markup {
    let phases = rows::phases(view.report);
    if phases.iter().all(|phase| phase.times.count() == 0) {
        return html! {};
    }
    let bars = waterfall(&phases.each_ref().map(|phase| phase.times));
    let rows = phases.into_iter().zip(&bars);
    let rows = rows.filter(|(phase, _)| phase.times.count() > 0);
    html! {
        div.scroll { table.phases {
            thead { tr {
                th scope="col" { "phase" } th.n scope="col" { "times" }
                th.n scope="col" { "p50" } th.n scope="col" { "p99" }
                th scope="col" { span.note { "in sequence; p50 above, p99 below" } }
            } }
            tbody { @for (phase, bar) in rows { (row(&phase, bar)) } }
        } }
        p.note { "Each bar is the percentile of its own phase and begins where the one before "
            "ends. A connection is opened once and reused: most calls have only first byte and "
            "body." }
    }
}

/// Start and length of a phase's bars, 0 to 100: at p50, at p99.
type PhaseBars = [(f64, f64); 2];

fn waterfall<const N: usize>(phases: &[&Histogram; N]) -> Vec<PhaseBars> {
    let of = |percent: f64| phases.map(|phase| phase.percentile_us(percent) as f64);
    let [middle, high] = [of(50.0), of(99.0)];
    let all = high.iter().sum::<f64>().max(middle.iter().sum()).max(1.0);
    let mut begin = [0.0, 0.0];
    let next = |(middle, high): (&f64, &f64)| {
        let lengths = [middle / all * 100.0, high / all * 100.0];
        let bars = [0, 1].map(|at| (begin[at], lengths[at]));
        (0..2).for_each(|at| begin[at] += lengths[at]);
        bars
    };
    middle.iter().zip(&high).map(next).collect()
}

fn row(phase: &PhaseRow<'_>, bars: &PhaseBars) -> Markup {
    let latency = Latency::from(phase.times.clone());
    let [(from, long), (late, longer)] = *bars;
    html! {
        tr {
            th scope="row" { (phase.name) }
            (count(latency.count()))
            (time(latency.quantile(0.5)))
            (time(latency.quantile(0.99)))
            td.waterfall {
                svg.meter viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true" {
                    rect.c0 x=(tenth(from)) y="1" width=(tenth(long).max(0.3)) height="6" {}
                    rect.p99 x=(tenth(late)) y="9" width=(tenth(longer).max(0.3)) height="6" {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_begins_where_the_one_before_ends() {
        let phases = [1, 2, 0, 4, 3].map(|ms: u64| {
            let mut phase = Histogram::default();
            (0..ms.min(1)).for_each(|_| phase.record(ms * 100));
            phase
        });
        let bars = waterfall(&phases.each_ref());
        for at in [0, 1] {
            let mut end = 0.0;
            for bar in &bars {
                assert!((bar[at].0 - end).abs() < 1e-9, "{bars:?}");
                end = bar[at].0 + bar[at].1;
            }
            assert!((end - 100.0).abs() < 1e-9, "{bars:?}");
        }
    }
}
