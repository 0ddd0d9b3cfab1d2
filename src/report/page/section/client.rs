//! The simulated client: suppressed, delayed and retried calls; pools, breakers, timeouts.
//!
//! Invariant: only policies that the plan has are shown.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent, spread};
use super::cells::{count, fact, share_bar, sortable, time};
use crate::plan::policy::DegradationLevel;
use crate::report::rows::client;
use crate::stats::{BreakerState, Latency};
use crate::units::{show_count, show_us};

pub fn render(view: &PageView<'_>) -> Markup {
    let wide = [again(view), levels(view), pools(view)];
    let narrow = [suppressed(view), delayed(view), breakers(view), timeouts(view)];
    let plan = &view.plan.client;
    if plan.parts.is_empty() && wide.iter().chain(&narrow).all(Option::is_none) {
        return html! {};
    }
    html! {
        p { "Client: " strong { (HtmlText(&plan.kind)) }
            @if !plan.parts.is_empty() { ": " (HtmlText(&plan.parts.join(", "))) } "." }
        @for part in wide.into_iter().flatten() { (part) }
        div.grid { @for part in narrow.into_iter().flatten() { div { (part) } } }
    }
}

/// Attempts beyond the first one of each call.
fn again(view: &PageView<'_>) -> Option<Markup> {
    let attempts = &view.snapshot.attempts;
    let amplification = attempts.amplification()?;
    let more: Vec<_> = client::extra_attempts(view.report).collect();
    if more.is_empty() {
        return None;
    }
    let times = format!("{amplification:.2} ×");
    let sent = format!("{} for {} calls", show_count(attempts.started), show_count(attempts.first));
    Some(html! {
        h3 { "Attempts" }
        dl.facts.wide {
            (fact("amplification", &html! { strong { (times) } }))
            (fact("attempts", &html! { (sent) }))
            @for (name, n) in more { (fact(name, &html! { (show_count(n)) })) }
        }
    })
}

/// Suppressed calls.
fn suppressed(view: &PageView<'_>) -> Option<Markup> {
    let suppressed = client::suppressed_by(view.report);
    let calls = view.snapshot.calls();
    if suppressed.is_empty() {
        return None;
    }
    let rows = html! { @for (cause, n) in suppressed {
        @let share = n as f64 / calls.made.max(1) as f64;
        tr {
            th scope="row" { (cause.name()) }
            (count(n))
            td.n data-v=(share) { (percent(share)) }
            (share_bar("warn", share))
        }
    } };
    let columns = [("cause", false), ("calls", true), ("of all", true), ("", false)];
    Some(html! { h3 { "Suppressed" } (sortable("suppressed", &columns, &rows)) })
}

/// Delays that policies caused.
fn delayed(view: &PageView<'_>) -> Option<Markup> {
    if view.snapshot.measured.waits.is_empty() {
        return None;
    }
    let rows = html! { @for (cause, waits) in client::waits(view.report) {
        tr {
            th scope="row" { (cause) }
            (count(waits.count()))
            @for one in spread(&waits, &[0.5, 0.95]) { (time(one)) }
        }
    } };
    let columns = [("cause", false), ("calls", true), ("p50", true), ("p95", true), ("max", true)];
    Some(html! { h3 { "Delayed" } (sortable("delayed", &columns, &rows)) })
}

fn pools(view: &PageView<'_>) -> Option<Markup> {
    let pools: Vec<_> = client::shared_pools(view.report).collect();
    if pools.is_empty() {
        return None;
    }
    let rows = html! { @for (name, used) in pools {
        @let wait = Latency::from(used.waits.clone());
        @let busy = used.utilisation();
        tr {
            th scope="row" { (HtmlText(name)) }
            (count(used.size)) (count(used.in_use)) (count(used.waiting)) (count(used.leases))
            td.n data-v=[busy] {
                @match busy { Some(share) => (percent(share)), None => span.none { "–" } }
            }
            (share_bar("c0", busy.unwrap_or(0.0)))
            (time(wait.quantile(0.95)))
            (count(used.gave_up)) (count(used.failed))
            td.note { @if let Some(hint) = client::hint(name, used) { (HtmlText(&hint)) } }
        }
    } };
    let columns = [
        ("pool", false),
        ("connections", true),
        ("in use", true),
        ("waiting", true),
        ("uses", true),
        ("utilisation", true),
        ("", false),
        ("wait p95", true),
        ("timed out", true),
        ("failed", true),
        ("", false),
    ];
    Some(html! { h3 { "Pools" } (sortable("pools", &columns, &rows)) })
}

fn breakers(view: &PageView<'_>) -> Option<Markup> {
    let breakers: Vec<_> = client::breakers(view.report).collect();
    if breakers.is_empty() {
        return None;
    }
    let rows = html! { @for (name, used) in breakers {
        tr {
            th scope="row" { (HtmlText(&name)) }
            td { (state(used.state)) }
            (count(used.opened))
            (count(used.refused))
        }
    } };
    let columns =
        [("breaker", false), ("state", false), ("opened", true), ("attempts refused", true)];
    Some(html! { h3 { "Breakers" } (sortable("breakers", &columns, &rows)) })
}

fn state(state: Option<BreakerState>) -> Markup {
    let (class, name) = match state {
        Some(BreakerState::Closed) => ("good", "● closed"),
        Some(BreakerState::Open) => ("bad", "○ open"),
        Some(BreakerState::HalfOpen) => ("warn", "◐ half-open"),
        None => ("none", "not seen"),
    };
    html! { span.state.(class) { (name) } }
}

/// Adaptive timeouts.
fn timeouts(view: &PageView<'_>) -> Option<Markup> {
    let timeouts: Vec<_> = client::timeouts(view.report).collect();
    if timeouts.is_empty() {
        return None;
    }
    let rows = html! { @for (name, ns) in timeouts {
        tr { th scope="row" { (HtmlText(&name)) } td.n data-v=(ns) { (show_us(ns / 1_000)) } }
    } };
    let columns = [("endpoint", false), ("deadline", true)];
    Some(html! { h3 { "Deadlines" } (sortable("deadlines", &columns, &rows)) })
}

/// Time at each degradation level.
fn levels(view: &PageView<'_>) -> Option<Markup> {
    let (lasted, level) = client::levels(view.report)?;
    Some(html! {
        h3 { "Degradation" }
        dl.facts.wide {
            (fact("level", &html! { strong { (level.name()) } }))
            @for level in DegradationLevel::ALL {
                (fact(level.name(), &html! { (show_us(lasted[level as usize] / 1_000)) }))
            }
        }
    })
}
