//! Every view at every size, held against files; and what must hold at any size whatever.
//!
//! `tests/tui/*.txt` is what the made-up run of `fixture` looks like; `MANADA_BLESS=1` rewrites it.
//! Invariant: the files are what a person has looked at.

use std::fmt::Write;
use std::path::PathBuf;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::Model;
use super::screen::draw;
use super::theme::{Colours, Theme};
use super::ui_state::{Overlay, UiState};
use super::views::VIEWS;
use super::*;
use crate::clock::RunOffset;
use crate::ids::StepId;
use crate::sinks::tui::prompt::{Prompt, PromptKind};
use crate::stats::{ChangeCause, ChangeSubject, StateChange};
use ratatui::style::{Color, Modifier};

const MANY: Theme = Theme { colours: Colours::Many, unicode: true };
const SIXTEEN: Theme = Theme { colours: Colours::Sixteen, unicode: true };
const PLAIN: Theme = Theme { colours: Colours::None, unicode: true };
const ASCII: Theme = Theme { colours: Colours::None, unicode: false };

/// A run of forty seconds that goes on.
fn running() -> Model {
    let mut state = Model::default();
    state.fold(&RunEvent::Started(fixture::info()));
    state.fold(&RunEvent::Tick(fixture::report()));
    let said = vec![format!("bought 3 of it {}", fixture::HOSTILE)];
    state.fold(&RunEvent::LogLines(said, 2));
    state.fold(&RunEvent::Note(format!("teardown failed {}", fixture::HOSTILE)));
    let notice = StateChange {
        at: RunOffset::ZERO,
        subject: ChangeSubject::Workload(state.plan().unwrap().workloads[1].name.clone()),
        change: fixture_events::more_load(),
        cause: ChangeCause::BusyShard,
    };
    state.overrides.take(&notice);
    state
}

/// The screen after these keys.
fn states() -> Vec<(String, UiState)> {
    let mut states: Vec<(String, UiState)> = (0..VIEWS.len())
        .map(|view| (VIEWS[view].name.to_owned(), UiState { view, ..UiState::default() }))
        .collect();
    let layer = |layer, view| UiState { view, layer, ..UiState::default() };
    let mut filtered = UiState { view: super::views::LOG, ..UiState::default() };
    filtered.filters[filtered.view] = "breaker".to_owned();
    states.push(("filtered".to_owned(), filtered));
    states.push(("help".to_owned(), layer(Overlay::Help, 0)));
    states.push((
        "details".to_owned(),
        UiState { chosen: StepId::new(6), ..layer(Overlay::Details, 2) },
    ));
    states.push(("quit".to_owned(), layer(Overlay::Quit, 0)));
    let prompt = Overlay::Prompt(Prompt::new(PromptKind::Rate, "lots"));
    let said = Some((false, "`rate`: expected a rate above zero".to_owned()));
    states.push(("prompt".to_owned(), UiState { said, ..layer(prompt, 3) }));
    states
}

fn text(screen: &Buffer) -> String {
    let mut text = String::new();
    for row in 0..screen.area.height {
        let mut line = String::new();
        let mut column = 0;
        while column < screen.area.width {
            let symbol = screen[(column, row)].symbol();
            line.push_str(symbol);
            column += text::width(symbol).max(1) as u16;
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Compares with a file, or writes it.
fn compare(name: &str, got: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/tui").join(name);
    if std::env::var_os("MANADA_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = want.lines().zip(got.lines()).enumerate().find(|(_, (want, got))| want != got);
    if let Some((line, (want, got))) = differs {
        panic!("{}:{}\n- {want}\n+ {got}", path.display(), line + 1);
    }
    assert_eq!(want.lines().count(), got.lines().count(), "{}", path.display());
}

#[test]
fn every_view_looks_as_it_was_last_looked_at() {
    let state = running();
    for (name, theme, size) in [
        ("80x24.txt", MANY, (80, 24)),
        ("120x40.txt", SIXTEEN, (120, 40)),
        ("300x100.txt", MANY, (300, 100)),
        ("no-color-80x24.txt", PLAIN, (80, 24)),
        ("ascii-100x30.txt", ASCII, (100, 30)),
    ] {
        let mut all = String::new();
        for (view, ui) in states() {
            let _ = writeln!(all, "── {view} {}", "─".repeat(60));
            all += &text(&draw(&state, &ui, theme, size).screen);
        }
        compare(name, &all);
    }
}

#[test]
fn the_first_second_and_a_run_without_numbers_are_shown() {
    let mut state = Model::default();
    let mut all = text(&draw(&state, &UiState::default(), PLAIN, (80, 24)).screen);
    state.fold(&RunEvent::Started(fixture::info()));
    all += &text(&draw(&state, &UiState::default(), PLAIN, (80, 24)).screen);
    state.fold(&RunEvent::Tick(fixture::empty()));
    for (_, ui) in states() {
        all += &text(&draw(&state, &ui, PLAIN, (80, 24)).screen);
    }
    compare("empty-80x24.txt", &all);
}

/// The view of streams in a run that has some.
fn chatting() -> (Model, UiState) {
    let mut state = Model::default();
    let (info, report) = fixture_streams::report();
    state.fold(&RunEvent::Started(info));
    state.fold(&RunEvent::Tick(report));
    (state, UiState { view: super::views::STREAMS, ..UiState::default() })
}

#[test]
fn streams_look_as_they_were_last_looked_at() {
    let (state, ui) = chatting();
    let mut filtered = ui.clone();
    filtered.filters[filtered.view] = "ask".to_owned();
    let mut all = String::new();
    for (theme, size) in [(MANY, (80, 24)), (PLAIN, (120, 40)), (ASCII, (60, 16))] {
        for ui in [&ui, &filtered] {
            let _ = writeln!(all, "── {} × {} {}", size.0, size.1, "─".repeat(60));
            all += &text(&draw(&state, ui, theme, size).screen);
        }
    }
    let unseen = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{200b}".contains(c));
    assert!(!all.contains(unseen));
    compare("streams.txt", &all);
    for columns in 1..130 {
        draw(&state, &ui, MANY, (columns, 1 + columns % 30));
    }
}

#[test]
fn every_size_is_drawn() {
    let (state, mut begun, mut empty) = (running(), Model::default(), Model::default());
    begun.fold(&RunEvent::Started(fixture::info()));
    empty.fold(&RunEvent::Started(fixture::info()));
    empty.fold(&RunEvent::Tick(fixture::empty()));
    let sizes = |most: u16| (1..=most).flat_map(move |c| (1..=most).map(move |r| (c, r)));
    let small = sizes(12);
    let large = [(1, 100), (300, 1), (2, 24), (79, 23), (80, 24), (109, 33), (110, 34), (169, 49)];
    let all = small.chain(large).chain([(170, 60), (200, 60), (300, 100)]);
    for size in all {
        for (_, mut ui) in states() {
            (ui.log, ui.scroll) = (size.1 % 2 == 0, [usize::from(size.0 % 7); VIEWS.len()]);
            if size.0 % 3 == 0 {
                ui.zoom = ui.zoom.next();
            }
            let theme = if size.0 % 2 == 0 { MANY } else { ASCII };
            for state in [&Model::default(), &begun, &empty, &state] {
                let drawn = draw(state, &ui, theme, size);
                assert_eq!((drawn.screen.area.width, drawn.screen.area.height), size);
            }
        }
    }
}

#[test]
fn nothing_hostile_reaches_the_screen() {
    let state = running();
    for (name, ui) in states() {
        for size in [(80, 24), (300, 100)] {
            let shown = text(&draw(&state, &ui, MANY, size).screen);
            let unseen = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{200b}".contains(c));
            assert!(!shown.contains(unseen), "{name}");
        }
    }
}

#[test]
fn colours_are_those_of_the_theme_and_none_without() {
    let state = running();
    for (_, ui) in states() {
        for (theme, most) in [(PLAIN, 0), (SIXTEEN, 1), (MANY, 2)] {
            let screen = draw(&state, &ui, theme, (200, 60)).screen;
            let used = screen.content.iter().flat_map(|cell| [cell.fg, cell.bg]);
            let depth = |colour| match colour {
                Color::Reset => 0,
                Color::Rgb(..) => 3,
                Color::Indexed(_) => 2,
                _ => 1,
            };
            assert!(used.map(depth).max().unwrap_or(0) <= most);
        }
    }
}

#[test]
fn what_is_chosen_is_marked_without_colours_too() {
    let mut state = running();
    let mut ui = UiState::default();
    for code in [KeyCode::Char('3'), KeyCode::Down, KeyCode::Down] {
        ui.press(&KeyEvent::new(code, KeyModifiers::NONE), &state);
        state.version += 1;
    }
    let screen = draw(&state, &ui, PLAIN, (80, 24)).screen;
    let marked: Vec<u16> =
        (3..23).filter(|row| screen[(0, *row)].modifier.contains(Modifier::REVERSED)).collect();
    assert_eq!(marked, [3 + 2 + 2], "one row, two below the first");
}
