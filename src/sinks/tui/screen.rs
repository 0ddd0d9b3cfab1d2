//! The whole screen: what the run is and how it stands, the bar of views, a view, the last line,
//! and what lies over them.
//!
//! `mod` shows it; tests hold it against files.
//! Invariant: it is a function of state, desk, theme and size; any size is drawn.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::desk::{Desk, Extent, Layer};
use super::pen::{above, aside, below, gauge, heading, line, lines, page, put, show, span};
use super::prompt::Prompt;
use super::state::{Phase, State};
use super::text::{clean, fit, width, wrap};
use super::theme::Theme;
use super::view::{self, LOG, Look, VIEWS, health::level_style, help, parts::show_time};
use crate::units::show_duration;

/// What is drawn, and how much of it is seen.
pub(super) struct Drawn {
    /// The screen.
    pub(super) screen: Buffer,
    /// Of what can be scrolled.
    pub(super) extent: Extent,
}

/// The smallest size that shows all of it.
const FULL: (u16, u16) = (80, 24);

/// Draws all of it.
pub(super) fn draw(state: &State, desk: &Desk, theme: Theme, size: (u16, u16)) -> Drawn {
    let mut screen = page(size.0, size.1);
    let whole = screen.area;
    let top = match size.1 {
        0..6 => 1,
        6..12 => 2,
        _ => 3,
    };
    head(&mut screen, above(whole, top), state, desk, theme);
    let foot = u16::from(size.1 > 4);
    let rest = below(whole, top);
    let middle = Rect { height: rest.height - foot.min(rest.height), ..rest };
    let mut extent = body(&mut screen, middle, state, desk, theme);
    if let Some(seen) = over(&mut screen, middle, state, desk, theme) {
        extent = seen;
    }
    footer(&mut screen, below(rest, middle.height), desk, theme, size);
    theme.degrade(&mut screen);
    Drawn { screen, extent }
}

/// What it is and how it stands, and the bar of views.
fn head(screen: &mut Buffer, area: Rect, state: &State, desk: &Desk, theme: Theme) {
    let (left, right) = first_line(state, theme, area.width);
    ends(screen, area, 0, &left, &right);
    match area.height {
        0 | 1 => {}
        2 => line(screen, area, 1, &tabs(desk, theme, area.width)),
        _ => {
            ends(screen, area, 1, &second_line(state, theme), &planned(state, theme));
            line(screen, area, 2, &tabs(desk, theme, area.width));
        }
    }
}

/// Two texts at both ends of a row; the right one is left out where both have no room.
fn ends(screen: &mut Buffer, area: Rect, row: u16, left: &Line<'_>, right: &Line<'_>) {
    let (used, room) = (left.width(), usize::from(area.width));
    line(screen, area, row, left);
    if right.width() > 0 && used + 2 + right.width() <= room {
        let (_, place) = aside(area, right.width() as u16);
        line(screen, place, row, right);
    }
}

fn first_line(state: &State, theme: Theme, columns: u16) -> (Line<'static>, Line<'static>) {
    let name = state.plan().map_or(String::new(), |plan| clean(&plan.scenario));
    let (word, style) = match state.phase() {
        Phase::Begins => ("begins", theme.dim()),
        Phase::Runs => ("▶ running", theme.good()),
        Phase::Paused => ("‖ paused", theme.warn()),
        Phase::Drains => ("▼ draining", theme.warn()),
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

/// Time passed, of how much, and a gauge where there is room.
fn progress(state: &State, theme: Theme, room: usize) -> Line<'static> {
    let elapsed = state.report.as_ref().map_or(0, |report| {
        // Shards shed within a moment of the full second.
        (report.snapshot.elapsed_ns + 500_000_000) / 1_000_000_000
    });
    let elapsed = std::time::Duration::from_secs(elapsed);
    let shown = if elapsed.is_zero() { "0s".to_owned() } else { show_duration(elapsed) };
    let Some(end) = state.plan().and_then(crate::plan::Outline::load_end) else {
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

/// The verdict and whether it can be believed.
fn second_line(state: &State, theme: Theme) -> Line<'static> {
    let mut parts = vec![Span::raw(" ")];
    let Some(report) = &state.report else {
        parts.push(span("waiting for the first second", theme.dim()));
        return Line::from(parts);
    };
    parts.push(span("verdict ", theme.dim()));
    match state.verdict() {
        None => parts.push(Span::raw("nothing is judged")),
        Some((word, good)) => {
            let (mark, style) = if good { ("✓", theme.good()) } else { ("✗", theme.bad()) };
            parts.push(span(format!("{mark} {word}"), style.patch(theme.bold())));
            parts.push(span(" so far", theme.dim()));
        }
    }
    parts.push(span("  trust ", theme.dim()));
    let level = report.trust.level;
    parts.push(span(level.name(), level_style(level, theme).patch(theme.bold())));
    if let Some(why) = &state.stopped {
        parts.push(span("  stopped ", theme.dim()));
        parts.push(span(clean(why), theme.warn()));
    } else if let Some(course) = state.course() {
        parts.push(span("  course ", theme.dim()));
        parts.push(span(clean(&course), theme.warn()));
    }
    Line::from(parts)
}

/// What everything random follows from.
fn planned(state: &State, theme: Theme) -> Line<'static> {
    let Some(plan) = state.plan() else { return Line::default() };
    Line::from(vec![span("seed ", theme.dim()), Span::raw(format!("{} ", plan.seed.value()))])
}

/// The views; only numbers of those that have no room.
fn tabs(desk: &Desk, theme: Theme, columns: u16) -> Line<'static> {
    let full: usize = VIEWS.iter().map(|view| view.name.len() + 4).sum();
    let mut parts = vec![];
    for (at, view) in VIEWS.iter().enumerate() {
        let (chosen, number) = (at == desk.view, at + 1);
        let text = match () {
            () if chosen || full <= usize::from(columns) => format!(" {number} {} ", view.name),
            () => format!(" {number} "),
        };
        let style = if chosen { theme.chosen().patch(theme.bold()) } else { theme.accent() };
        parts.push(span(text, style));
    }
    Line::from(parts)
}

/// The view.
fn body(screen: &mut Buffer, area: Rect, state: &State, desk: &Desk, theme: Theme) -> Extent {
    let Some(report) = &state.report else {
        begins(screen, area, state, theme);
        return Extent::default();
    };
    let look = Look { report, state, desk, theme };
    let draw = VIEWS[desk.view].draw;
    let mut page = draw(&look, area.width, area.height);
    if page.area.height > area.height {
        // The bar that says where one is has columns of its own.
        page = draw(&look, area.width.saturating_sub(2), area.height);
    }
    let (seen, all) = (area.height, page.area.height);
    let most = all.saturating_sub(seen);
    let back = u16::try_from(desk.scroll[desk.view]).unwrap_or(u16::MAX).min(most);
    let skip = if desk.view == LOG { most - back } else { back };
    show(screen, area, &page, skip);
    scroll_bar(screen, area, skip, all, theme);
    Extent { seen: seen.into(), all: all.into() }
}

/// Where in a page one is, at the right edge.
fn scroll_bar(screen: &mut Buffer, area: Rect, skip: u16, all: u16, theme: Theme) {
    let seen = area.height;
    if all <= seen || seen == 0 || area.width == 0 {
        return;
    }
    let scale = |rows: u16| (u32::from(rows) * u32::from(seen) / u32::from(all)) as u16;
    let (from, length) = (scale(skip), scale(seen).max(1));
    for row in 0..seen {
        let inside =
            (from..from + length).contains(&row) || (row + 1 == seen && skip + seen >= all);
        let (sign, style) = if inside { ("█", theme.accent()) } else { ("│", theme.dim()) };
        put(screen, area, (area.width - 1, row), sign, style);
    }
}

/// Before the first second is over.
fn begins(screen: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    let mut all = vec![Line::default()];
    if let Some(opening) = &state.opening {
        let plan = &opening.plan;
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
            let until = load.end.map_or("until its count".to_owned(), |end| {
                format!("{} to {}", show_time(load.start), show_duration(end))
            });
            all.push(Line::from(vec![
                span("  workload  ", theme.dim()),
                Span::raw(format!("{}  {}, {until}", clean(&load.name), load.model())),
            ]));
        }
    }
    all.push(Line::default());
    all.push(Line::from(span("  the first second of numbers is on its way", theme.dim())));
    lines(screen, area, &all);
}

/// What lies over the view; how much of it is seen.
fn over(
    screen: &mut Buffer,
    area: Rect,
    state: &State,
    desk: &Desk,
    theme: Theme,
) -> Option<Extent> {
    let columns = area.width.saturating_sub(2);
    let (title, all) = match &desk.layer {
        Layer::None | Layer::Prompt(_) => return None,
        Layer::Help => ("Keys".to_owned(), help::lines(columns, theme)),
        Layer::Quit => return ask(screen, area, state, theme),
        Layer::Answer(text) => {
            let text = text.lines().flat_map(|text| wrap(&clean(text), columns.into()));
            ("Answer".to_owned(), text.map(Line::from).collect())
        }
        Layer::Details => {
            let report = state.report.as_ref()?;
            let look = Look { report, state, desk, theme };
            view::details(&look, columns)
        }
    };
    clear(screen, area);
    let note = Line::from(span("Esc closes", theme.dim()));
    let inner = heading(screen, area, &title, &note, theme);
    let (seen, rows) = (usize::from(inner.height), all.len());
    let skip = desk.layer_scroll.min(rows.saturating_sub(seen));
    lines(screen, inner, &all[skip..]);
    let as_row = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    scroll_bar(screen, inner, as_row(skip), as_row(rows), theme);
    Some(Extent { seen, all: rows })
}

fn clear(screen: &mut Buffer, area: Rect) {
    for position in area.intersection(screen.area).positions() {
        screen[position].reset();
    }
}

/// Asks whether to end it, in the middle.
fn ask(screen: &mut Buffer, area: Rect, state: &State, theme: Theme) -> Option<Extent> {
    let text = if state.phase() == Phase::Drains {
        "It drains already. Stop waiting for it?"
    } else {
        "End the run? Nothing new begins, what is under way may finish."
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
    clear(screen, place);
    frame(screen, place, theme);
    let inner = Rect { x: place.x + 2, width: place.width.saturating_sub(4), ..place };
    for (row, text) in text.iter().enumerate() {
        line(screen, inner, row as u16 + 1, &Line::from(text.clone()));
    }
    line(screen, inner, rows.saturating_sub(2), &keys);
    None
}

fn frame(screen: &mut Buffer, area: Rect, theme: Theme) {
    let (across, last) = (usize::from(area.width.saturating_sub(2)), area.height.saturating_sub(1));
    let rule = "─".repeat(across);
    for row in 0..area.height {
        put(screen, area, (0, row), "│", theme.accent());
        put(screen, area, (area.width.saturating_sub(1), row), "│", theme.accent());
    }
    put(screen, area, (0, 0), &format!("╭{rule}╮"), theme.accent());
    put(screen, area, (0, last), &format!("╰{rule}╯"), theme.accent());
}

/// The last line: what is typed, what became of a wish, or the keys that matter most.
fn footer(screen: &mut Buffer, area: Rect, desk: &Desk, theme: Theme, size: (u16, u16)) {
    if area.height == 0 {
        return;
    }
    if let Layer::Prompt(prompt) = &desk.layer {
        return typed(screen, area, prompt, desk, theme);
    }
    if let Some((good, text)) = &desk.said {
        let (mark, style) = if *good { ("✓", theme.good()) } else { ("✗", theme.bad()) };
        let text = fit(&clean(text), usize::from(area.width).saturating_sub(4));
        let parts = vec![span(format!(" {mark} "), style), Span::raw(text)];
        return line(screen, area, 0, &Line::from(parts));
    }
    let mut parts = vec![Span::raw(" ")];
    let mut keys = vec![
        ("?", "help"),
        ("p", "pause"),
        ("+-", "scale"),
        ("u", "users"),
        ("t", "rate"),
        ("m", "mark"),
        (":", "wish"),
        ("/", "filter"),
        ("z", "zoom"),
        ("l", "log axis"),
        ("q", "quit"),
    ];
    let room = usize::from(size.0);
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
        if used + hint.len() < room {
            parts.push(span(hint, theme.warn()));
        }
    }
    line(screen, area, 0, &Line::from(parts));
}

fn typed(screen: &mut Buffer, area: Rect, prompt: &Prompt, desk: &Desk, theme: Theme) {
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
    let hint = match &desk.said {
        Some((false, error)) => span(clean(error), theme.bad()),
        _ => span(prompt.hint(), theme.dim()),
    };
    let at = from + width(&text) as u16 + 3;
    let rest =
        Rect { x: area.x + at.min(area.width), width: area.width.saturating_sub(at), ..area };
    line(screen, rest, 0, &Line::from(hint));
}
