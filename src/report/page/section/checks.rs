//! Checks of responses, and how often each held.
//!
//! Invariant: what did not hold comes first.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent};
use super::cells::{count, share_bar, sortable};

pub fn render(view: &PageView<'_>) -> Markup {
    let PageView { plan, snapshot, .. } = view;
    let mut rows = Vec::new();
    let steps = plan.checks.iter().zip(&plan.steps).zip(&snapshot.measured.steps);
    for ((names, series), window) in steps {
        for (at, name) in names.iter().enumerate() {
            let counts = window.as_ref().and_then(|window| window.checks.get(at));
            let [passed, failed] = counts.copied().unwrap_or_default();
            rows.push((failed, passed, name, series));
        }
    }
    if rows.is_empty() {
        return html! {};
    }
    rows.sort_by_key(|(failed, ..)| std::cmp::Reverse(*failed));
    let columns = [
        ("check", false),
        ("step", false),
        ("of", false),
        ("passed", true),
        ("failed", true),
        ("share", true),
        ("", false),
    ];
    let rows = html! {
        @for (failed, passed, name, series) in rows {
            @let all = passed + failed;
            @let share = passed as f64 / all.max(1) as f64;
            tr.never[all == 0] {
                th scope="row" { (HtmlText(name)) }
                td { (HtmlText(&series.name)) }
                td { (HtmlText(&plan.workloads[series.workload].name)) }
                (count(passed))
                td.n.bad[failed > 0] data-v=(failed) {
                    (crate::units::show_count(failed))
                }
                @if all == 0 { td.n { span.none { "–" } } td {} } @else {
                    td.n data-v=(share) { (percent(share)) }
                    (share_bar(if failed > 0 { "warn" } else { "good" }, share))
                }
            }
        }
    };
    sortable("checks", &columns, &rows)
}
