//! The whole screen: what the run is and how it stands, the bar of views, a view, the last line,
//! and what lies over them.
//!
//! `mod` shows it; tests hold it against files.
//! Invariant: it is a function of state, ui, theme and size; any size is drawn.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Block, BorderType, Clear, Scrollbar, ScrollbarOrientation, ScrollbarState, StatefulWidget,
    Widget,
};

use super::draw::{above, below, heading, line, lines, page, put, show, span};
use super::head;
use super::model::{Model, RunPhase};
use super::prompt::Prompt;
use super::text::{clean, fit, width, wrap};
use super::theme::Theme;
use super::ui_state::{Overlay, ScrollExtent, UiState};
use super::view::{self, ViewContext, help, parts::show_time};
use super::views::LOG;
use crate::units::show_duration;

/// What is drawn, and how much of it is seen.
pub(super) struct DrawnScreen {
    /// The screen.
    pub(super) screen: Buffer,
    /// Of what can be scrolled.
    pub(super) extent: ScrollExtent,
}

/// The smallest size that shows all of it.
const FULL: (u16, u16) = (80, 24);

/// Draws all of it.
pub(super) fn draw(state: &Model, ui: &UiState, theme: Theme, size: (u16, u16)) -> DrawnScreen {
    let mut screen = page(size.0, size.1);
    let whole = screen.area;
    let top = match size.1 {
        0..6 => 1,
        6..12 => 2,
        _ => 3,
    };
    head::draw(&mut screen, above(whole, top), state, ui, theme);
    let foot = u16::from(size.1 > 4);
    let rest = below(whole, top);
    let middle = Rect { height: rest.height - foot.min(rest.height), ..rest };
    let mut extent = body(&mut screen, middle, state, ui, theme);
    if let Some(seen) = over(&mut screen, middle, state, ui, theme) {
        extent = seen;
    }
    footer(&mut screen, below(rest, middle.height), (state, ui), theme, size);
    theme.degrade(&mut screen);
    DrawnScreen { screen, extent }
}

/// The view.
fn body(
    screen: &mut Buffer,
    area: Rect,
    state: &Model,
    ui: &UiState,
    theme: Theme,
) -> ScrollExtent {
    let Some(report) = &state.report else {
        begins(screen, area, state, theme);
        return ScrollExtent::default();
    };
    let context = ViewContext { report, state, ui, theme };
    let mut page = view::draw(ui.view, &context, area.width, area.height);
    if page.area.height > area.height {
        // The scroll bar has columns of its own.
        page = view::draw(ui.view, &context, area.width.saturating_sub(2), area.height);
    }
    let (seen, all) = (area.height, page.area.height);
    let most = all.saturating_sub(seen);
    let back = u16::try_from(ui.scroll[ui.view]).unwrap_or(u16::MAX).min(most);
    let skip = if ui.view == LOG { most - back } else { back };
    show(screen, area, &page, skip);
    scroll_bar(screen, area, skip, all, theme);
    ScrollExtent { seen: seen.into(), all: all.into() }
}

/// Where in a page one is, at the right edge; nothing if all of it is seen.
fn scroll_bar(screen: &mut Buffer, area: Rect, skip: u16, all: u16, theme: Theme) {
    let Some(hidden) = all.checked_sub(area.height).filter(|hidden| *hidden > 0) else { return };
    let mut state = ScrollbarState::new(usize::from(hidden) + 1)
        .viewport_content_length(area.height.into())
        .position(skip.into());
    Scrollbar::new(ScrollbarOrientation::VerticalRight)
        .begin_symbol(None)
        .end_symbol(None)
        .track_symbol(Some("│"))
        .track_style(theme.dim())
        .thumb_style(theme.accent())
        .render(area.intersection(screen.area), screen, &mut state);
}

/// Before the first second is over.
fn begins(screen: &mut Buffer, area: Rect, state: &Model, theme: Theme) {
    let mut all = vec![Line::default()];
    if let Some(info) = &state.info {
        let plan = &info.plan;
        if let Some(description) = &plan.description {
            all.push(Line::from(format!("  {}", clean(description))));
            all.push(Line::default());
        }
        for (name, place) in &plan.services {
            all.push(Line::from(vec![
                span("  service   ", theme.dim()),
                Span::raw(format!("{}  {}", clean(name), clean(place))),
            ]));
        }
        for load in &plan.workloads {
            let until = load.end.map_or("until its iterations are done".to_owned(), |end| {
                format!("{} to {}", show_time(load.start), show_duration(end))
            });
            all.push(Line::from(vec![
                span("  workload  ", theme.dim()),
                Span::raw(format!("{}  {}, {until}", clean(&load.name), load.model())),
            ]));
        }
    }
    all.push(Line::default());
    all.push(Line::from(span("  the first figures follow after a second", theme.dim())));
    lines(screen, area, &all);
}

/// What lies over the view; how much of it is seen.
fn over(
    screen: &mut Buffer,
    area: Rect,
    state: &Model,
    ui: &UiState,
    theme: Theme,
) -> Option<ScrollExtent> {
    let columns = area.width.saturating_sub(2);
    let (title, all) = match &ui.layer {
        Overlay::None | Overlay::Prompt(_) => return None,
        Overlay::Help => ("Keys".to_owned(), help::lines(columns, theme)),
        Overlay::Quit => return ask(screen, area, state, theme),
        Overlay::Answer(text) => {
            let text = text.lines().flat_map(|text| wrap(&clean(text), columns.into()));
            ("Reply".to_owned(), text.map(Line::from).collect())
        }
        Overlay::Details => {
            let report = state.report.as_ref()?;
            let context = ViewContext { report, state, ui, theme };
            view::details(&context, columns)
        }
    };
    Clear.render(area.intersection(screen.area), screen);
    let note = Line::from(span("Esc closes", theme.dim()));
    let inner = heading(screen, area, &title, &note, theme);
    let (seen, rows) = (usize::from(inner.height), all.len());
    let skip = ui.layer_scroll.min(rows.saturating_sub(seen));
    lines(screen, inner, &all[skip..]);
    let as_row = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    scroll_bar(screen, inner, as_row(skip), as_row(rows), theme);
    Some(ScrollExtent { seen, all: rows })
}

/// Asks whether to end it, in the middle.
fn ask(screen: &mut Buffer, area: Rect, state: &Model, theme: Theme) -> Option<ScrollExtent> {
    let text = if state.phase() == RunPhase::Drains {
        "Already draining. Abort running iterations now?"
    } else {
        "End the run? No new iteration starts; running ones may finish."
    };
    let keys = Line::from(vec![
        span(" y Enter q ", theme.chosen()),
        Span::raw(" yes   "),
        span(" n Esc ", theme.chosen()),
        Span::raw(" no"),
    ]);
    let columns = area.width.min(46);
    let text = wrap(text, usize::from(columns).saturating_sub(4));
    let rows = (text.len() as u16 + 5).min(area.height);
    let place = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height - rows) / 2,
        width: columns,
        height: rows,
    };
    Clear.render(place.intersection(screen.area), screen);
    let frame = Block::bordered().border_type(BorderType::Rounded).border_style(theme.accent());
    let inner = frame.inner(place).inner(Margin::new(1, 0));
    frame.render(place, screen);
    for (row, text) in text.iter().enumerate() {
        line(screen, inner, row as u16, &Line::from(text.clone()));
    }
    line(screen, inner, rows.saturating_sub(3), &keys);
    None
}

/// The keys that the last line shows, the most important first, but for the last one.
const KEYS: [(&str, &str); 11] = [
    ("?", "help"),
    ("p", "pause"),
    ("+-", "scale"),
    ("u", "users"),
    ("t", "rate"),
    ("m", "mark"),
    (":", "cmd"),
    ("/", "filter"),
    ("z", "zoom"),
    ("l", "log axis"),
    ("q", "quit"),
];

/// The keys among them that control a run that is not over.
const CONTROLS: [&str; 6] = ["p", "+-", "u", "t", "m", ":"];

/// The last line: what is typed, what became of a command, or the keys that matter most.
fn footer(
    screen: &mut Buffer,
    area: Rect,
    (state, ui): (&Model, &UiState),
    theme: Theme,
    size: (u16, u16),
) {
    if area.height == 0 {
        return;
    }
    if let Overlay::Prompt(prompt) = &ui.layer {
        return typed(screen, area, prompt, ui, theme);
    }
    if let Some((good, text)) = &ui.said {
        let (mark, style) = if *good { ("✓", theme.good()) } else { ("✗", theme.bad()) };
        let text = fit(&clean(text), usize::from(area.width).saturating_sub(4));
        let parts = vec![span(format!(" {mark} "), style), Span::raw(text)];
        return line(screen, area, 0, &Line::from(parts));
    }
    let mut parts = vec![Span::raw(" ")];
    let filter = &ui.filters[ui.view];
    if !filter.is_empty() {
        let filter = fit(&clean(filter), usize::from(area.width) / 3);
        parts.push(span(format!("/{filter}"), theme.warn()));
        parts.push(span("  Esc clears it  ", theme.dim()));
    }
    let room = usize::from(size.0).saturating_sub(parts.iter().map(Span::width).sum());
    let mut keys = if state.phase() == RunPhase::Over {
        KEYS.iter().filter(|(key, _)| !CONTROLS.contains(key)).copied().collect()
    } else {
        KEYS.to_vec()
    };
    let needed = |keys: &[(&str, &str)]| -> usize {
        keys.iter().map(|(key, does)| key.len() + does.len() + 3).sum()
    };
    // `q` stays to the end.
    while keys.len() > 2 && needed(&keys) > room {
        keys.remove(keys.len() - 2);
    }
    for (key, does) in keys {
        parts.push(span(key, theme.accent().patch(theme.bold())));
        parts.push(span(format!(" {does}  "), theme.dim()));
    }
    if size.0 < FULL.0 || size.1 < FULL.1 {
        let hint = format!("{}×{} shows all", FULL.0, FULL.1);
        let used: usize = parts.iter().map(Span::width).sum();
        if used + hint.len() < usize::from(size.0) {
            parts.push(span(hint, theme.warn()));
        }
    }
    line(screen, area, 0, &Line::from(parts));
}

fn typed(screen: &mut Buffer, area: Rect, prompt: &Prompt, ui: &UiState, theme: Theme) {
    let label = format!(" {}", prompt.label());
    let (before, text) = (clean(&prompt.before()), clean(&prompt.text()));
    let room = usize::from(area.width).saturating_sub(width(&label) + 2);
    // The end of a long line is what is being typed.
    let skip = width(&before).saturating_sub(room);
    let tail = |text: &str| text.chars().skip(skip).collect::<String>();
    let (before, text) = (tail(&before), tail(&text));
    put(screen, area, (0, 0), &label, theme.accent().patch(theme.bold()));
    let from = width(&label) as u16;
    put(screen, area, (from, 0), &text, Style::new());
    let cursor = from + width(&before) as u16;
    let under = text[before.len().min(text.len())..].chars().next().unwrap_or(' ');
    let style = Style::new().add_modifier(Modifier::REVERSED);
    put(screen, area, (cursor, 0), &under.to_string(), style);
    // What is wrong needs more room than there may be beside what is typed.
    if let Some((false, error)) = &ui.said {
        let above = Rect { y: area.y.saturating_sub(1), ..area };
        let room = usize::from(area.width);
        let error = fit(&format!(" ✗ {}", clean(error)), room);
        let rest = " ".repeat(room.saturating_sub(width(&error)));
        return put(screen, above, (0, 0), &(error + &rest), theme.bad());
    }
    let at = from + width(&text) as u16 + 3;
    let rest =
        Rect { x: area.x + at.min(area.width), width: area.width.saturating_sub(at), ..area };
    put(screen, rest, (0, 0), prompt.hint(), theme.dim());
}
