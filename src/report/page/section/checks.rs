//! Checks of responses, and how often each passed.
//!
//! Invariant: failed checks come first.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent};
use super::cells::{count, share_bar, sortable};
use crate::report::rows;
use crate::units::show_count;

pub fn render(view: &PageView<'_>) -> Markup {
    let mut all: Vec<_> = rows::checks(view.report).collect();
    if all.is_empty() {
        return html! {};
    }
    all.sort_by_key(|check| std::cmp::Reverse(check.failed));
    let columns = [
        ("check", false),
        ("step", false),
        ("workload", false),
        ("passed", true),
        ("failed", true),
        ("share", true),
        ("", false),
    ];
    let rows = html! {
        @for check in &all {
            tr.never[check.made() == 0] {
                th scope="row" { (HtmlText(check.name)) }
                td { (HtmlText(check.step)) }
                td { (HtmlText(check.workload)) }
                (count(check.passed))
                td.n.bad[check.failed > 0] data-v=(check.failed) { (show_count(check.failed)) }
                @match check.share() {
                    None => { td.n { span.none { "–" } } td {} }
                    Some(share) => {
                        td.n data-v=(share) { (percent(share)) }
                        (share_bar(if check.failed > 0 { "warn" } else { "good" }, share))
                    }
                }
            }
        }
    };
    sortable("checks", &columns, &rows)
}
