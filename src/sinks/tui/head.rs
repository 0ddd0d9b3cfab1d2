//! The first lines of the screen: the run, its state, and the list of views.
//!
//! `screen` draws them above every view.
//! Invariant: the verdict never appears without the trust level.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::draw::{aside, gauge, line, span};
use super::model::{Model, RunPhase};
use super::text::{clean, fit, width};
use super::theme::Theme;
use super::ui_state::UiState;
use super::view::health::level_style;
use super::views::VIEWS;
use crate::units::show_duration;

/// Draws the state of the run and the list of views.
pub(super) fn draw(screen: &mut Buffer, area: Rect, state: &Model, ui: &UiState, theme: Theme) {
    let (left, right) = first_line(state, theme, area.width);
    ends(screen, area, 0, &left, &right);
    match area.height {
        0 | 1 => {}
        2 => line(screen, area, 1, &tabs(state, ui, theme, area.width)),
        _ => {
            ends(screen, area, 1, &second_line(state, theme), &planned(state, theme));
            line(screen, area, 2, &tabs(state, ui, theme, area.width));
        }
    }
}

/// Draws two texts at both ends of a row; the right one is left out if both do not fit.
fn ends(screen: &mut Buffer, area: Rect, row: u16, left: &Line<'_>, right: &Line<'_>) {
    let (used, room) = (left.width(), usize::from(area.width));
    line(screen, area, row, left);
    if right.width() > 0 && used + 2 + right.width() <= room {
        let (_, place) = aside(area, right.width() as u16);
        line(screen, place, row, right);
    }
}

fn first_line(state: &Model, theme: Theme, columns: u16) -> (Line<'static>, Line<'static>) {
    let name = state.plan().map_or(String::new(), |plan| clean(&plan.scenario));
    let (word, style) = match state.phase() {
        RunPhase::Begins => ("starting", theme.dim()),
        RunPhase::Runs => ("▶ running", theme.good()),
        RunPhase::Paused => ("‖ paused", theme.warn()),
        RunPhase::Partly => ("‖ partly paused", theme.warn()),
        RunPhase::Drains => ("▼ draining", theme.warn()),
        RunPhase::Over => ("■ ended", theme.accent()),
    };
    let name = fit(&name, usize::from(columns).saturating_sub(24).clamp(8, 40));
    let left = vec![
        span(" manada ", theme.accent().patch(theme.bold())),
        span(name, theme.bold()),
        Span::raw("  "),
        span(word, style.patch(theme.bold())),
    ];
    let used: usize = left.iter().map(Span::width).sum();
    let room = usize::from(columns).saturating_sub(used + 3);
    (Line::from(left), progress(state, theme, room))
}

/// Returns the elapsed and the planned time, with a gauge if there is room.
fn progress(state: &Model, theme: Theme, room: usize) -> Line<'static> {
    let elapsed = state.report.as_ref().map_or(0, |report| {
        // Shards send their deltas shortly after each full second.
        (report.snapshot.elapsed_ns + 500_000_000) / 1_000_000_000
    });
    let elapsed = std::time::Duration::from_secs(elapsed);
    let shown = if elapsed.is_zero() { "0s".to_owned() } else { show_duration(elapsed) };
    let Some(end) = state.plan().and_then(crate::plan::RunManifest::load_end) else {
        return Line::from(format!("{shown} "));
    };
    let share = elapsed.as_secs_f64() / end.as_secs_f64().max(1e-9);
    let text = format!("{shown} / {}  ", show_duration(end));
    let percent = format!(" {:>3.0} % ", share.min(1.0) * 100.0);
    let columns = room.saturating_sub(width(&text) + width(&percent)).min(40);
    if columns < 6 {
        return Line::from(text.trim_end().to_owned() + " ");
    }
    let mut parts = vec![Span::raw(text)];
    parts.extend(gauge(share, columns, theme));
    parts.push(Span::raw(percent));
    Line::from(parts)
}

/// Returns the verdict and the trust level.
fn second_line(state: &Model, theme: Theme) -> Line<'static> {
    let mut parts = vec![Span::raw(" ")];
    let Some(report) = &state.report else {
        parts.push(span("no figures yet", theme.dim()));
        return Line::from(parts);
    };
    parts.push(span("verdict ", theme.dim()));
    match state.verdict() {
        None => parts.push(Span::raw("no thresholds")),
        Some((word, good)) => {
            let (mark, style) = if good { ("✓", theme.good()) } else { ("✗", theme.bad()) };
            parts.push(span(format!("{mark} {word}"), style.patch(theme.bold())));
            if state.phase() != RunPhase::Over {
                parts.push(span(" so far", theme.dim()));
            }
        }
    }
    parts.push(span("  trust ", theme.dim()));
    let level = report.trust.level;
    parts.push(span(level.name(), level_style(level, theme).patch(theme.bold())));
    if let Some(reason) = report.trust.reasons.first() {
        parts.push(span(format!(" ({})", reason.check.replace('_', " ")), theme.dim()));
    }
    if let Some(why) = &state.stopped {
        parts.push(span("  stopped ", theme.dim()));
        parts.push(span(clean(why), theme.warn()));
    } else if let Some(load) = state.load_override() {
        parts.push(span("  override ", theme.dim()));
        parts.push(span(clean(&load), theme.warn()));
    }
    Line::from(parts)
}

/// Returns the seed.
fn planned(state: &Model, theme: Theme) -> Line<'static> {
    let Some(plan) = state.plan() else { return Line::default() };
    Line::from(vec![span("seed ", theme.dim()), Span::raw(format!("{} ", plan.seed.value()))])
}

/// Draws the list of views; those without room are shown closer together, or by number only.
fn tabs(state: &Model, ui: &UiState, theme: Theme, columns: u16) -> Line<'static> {
    let views = &VIEWS[..state.views().max(ui.view + 1)];
    let names: usize = views.iter().map(|view| view.name.len()).sum();
    let has_room = |each: usize| names + each * views.len() <= usize::from(columns);
    let mut parts = vec![];
    for (at, view) in views.iter().enumerate() {
        let (chosen, number) = (at == ui.view, at + 1);
        let text = match () {
            () if has_room(4) => format!(" {number} {} ", view.name),
            () if has_room(3) => format!("{number} {} ", view.name),
            () if chosen => format!(" {number} {} ", view.name),
            () => format!(" {number} "),
        };
        let style = if chosen { theme.chosen().patch(theme.bold()) } else { theme.accent() };
        parts.push(span(text, style));
    }
    Line::from(parts)
}
