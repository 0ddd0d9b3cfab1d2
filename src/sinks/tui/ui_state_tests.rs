//! Keys, one after the other, and what becomes of the screen.

use std::sync::Arc;

use ratatui::crossterm::event::KeyModifiers;

use super::*;
use crate::clock::RunOffset;
use crate::event::StopCause;
use crate::event::{ControlError, RunEvent};
use crate::ids::StepId;
use crate::sinks::tui::fixture;
use crate::sinks::tui::views::STREAMS;

fn state() -> Model {
    let mut state = Model::default();
    state.fold(&RunEvent::Started(fixture::info()));
    state.fold(&RunEvent::Tick(fixture::report()));
    state
}

/// Presses keys; what the last one wants.
fn press(ui: &mut UiState, state: &Model, keys: &str) -> UiEffect {
    let mut effect = UiEffect::None;
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            '⇟' => KeyCode::PageDown,
            '⇞' => KeyCode::PageUp,
            '⌂' => KeyCode::Home,
            '⌫' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        effect = ui.press(&KeyEvent::new(code, KeyModifiers::NONE), state);
    }
    effect
}

#[test]
fn views_are_turned_to_by_number_and_in_turn() {
    let (mut ui, state) = (UiState::default(), state());
    press(&mut ui, &state, "3");
    assert_eq!(ui.view, 2);
    // The view of streams has no turn in a run without streams; its key shows it all the same.
    press(&mut ui, &state, &"\t".repeat(VIEWS.len() - 3));
    assert_eq!(ui.view, 0);
    press(&mut ui, &state, "9");
    assert_eq!(ui.view, STREAMS);
    press(&mut ui, &state, "3");
    press(&mut ui, &state, "?");
    assert_eq!(ui.layer, Overlay::Help);
    press(&mut ui, &state, "8");
    assert_eq!((ui.view, &ui.layer), (LOG, &Overlay::None));
}

#[test]
fn commands_leave_it_and_wrong_ones_say_why() {
    let (mut ui, state) = (UiState::default(), state());
    for (keys, command) in [
        ("p", ControlCommand::Toggle(None)),
        (" ", ControlCommand::Toggle(None)),
        ("+", ControlCommand::Nudge(None, 100)),
        ("-", ControlCommand::Nudge(None, -100)),
        ("u300\n", ControlCommand::Users(None, 300)),
        (":scale 150%\n", ControlCommand::Scale(None, 1_500)),
        ("m\n", ControlCommand::Mark("mark 1".into())),
        ("mcold7⌫\n", ControlCommand::Mark("cold".into())),
        ("m\n", ControlCommand::Mark("mark 3".into())),
    ] {
        assert_eq!(press(&mut ui, &state, keys), UiEffect::Ask(command), "{keys}");
        assert_eq!(ui.layer, Overlay::None);
    }
    assert_eq!(press(&mut ui, &state, "t5\n"), UiEffect::None);
    let (good, why) = ui.said.clone().unwrap();
    assert!(!good && why.contains("such as 200/s"), "{why}");
    assert!(matches!(ui.layer, Overlay::Prompt(_)), "it can be mended");
    assert!(matches!(press(&mut ui, &state, "/s\n"), UiEffect::Ask(ControlCommand::Rate(None, _))));
    ui.answer(Err(ControlError::Over));
    assert_eq!(ui.said, Some((false, "run has ended".to_owned())));
    ui.answer(Ok("a\nb".to_owned()));
    assert_eq!(ui.layer, Overlay::Answer("a\nb".to_owned()));
    press(&mut ui, &state, "\u{1b}");
    assert_eq!(ui.layer, Overlay::None);
    ui.answer(Ok("{\"users\":3,\"paused\":true}".to_owned()));
    let lines = "{\n  \"users\": 3,\n  \"paused\": true\n}";
    assert_eq!(ui.layer, Overlay::Answer(lines.to_owned()));
}

#[test]
fn the_end_is_asked_for_and_cut_by_the_next() {
    let (mut ui, mut state) = (UiState::default(), state());
    for (keys, effect) in [
        ("q", UiEffect::None),
        ("n", UiEffect::None),
        ("q", UiEffect::None),
        ("x", UiEffect::None),
        ("y", UiEffect::Interrupt),
        ("qq", UiEffect::Interrupt),
        ("q\n", UiEffect::Interrupt),
        ("q\u{1b}", UiEffect::None),
    ] {
        assert_eq!(press(&mut ui, &state, keys), effect, "{keys:?}");
    }
    state
        .fold(&RunEvent::Stopped(StopCause::Signal(crate::event::Interrupt::Int), RunOffset::ZERO));
    assert_eq!(press(&mut ui, &state, "q"), UiEffect::Interrupt, "it drains already");
    let cut = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut ui, &state, ":ab");
    assert_eq!(ui.press(&cut, &state), UiEffect::Interrupt, "whatever lies over it");
}

#[test]
fn what_is_chosen_stays_chosen_whatever_its_place() {
    let (mut ui, state) = (UiState::default(), state());
    let report = state.report.clone().unwrap();
    let steps = report.info.plan.steps.len();
    press(&mut ui, &state, "3↓↓");
    assert_eq!((ui.chosen, ui.place(&state)), (StepId::new(2), Some(2)));
    press(&mut ui, &state, "sssr");
    assert_eq!(ui.chosen, StepId::new(2));
    let place = order(&report, ui.sort, "").iter().position(|step| *step == StepId::new(2));
    assert_eq!(ui.place(&state), place);
    press(&mut ui, &state, "⌂");
    assert_eq!(ui.place(&state), Some(0));
    for keys in ["↑↑", "⇞", "⇟⇟⇟⇟⇟⇟⇟⇟⇟", "G", "↓↓", "⌂"] {
        press(&mut ui, &state, keys);
        assert!(ui.place(&state).unwrap() < steps, "{keys}");
    }
}

#[test]
fn a_filter_is_seen_while_it_is_typed() {
    let (mut ui, state) = (UiState::default(), state());
    press(&mut ui, &state, "3/cart");
    assert_eq!(ui.filters[STEPS], "cart");
    press(&mut ui, &state, "\n");
    let report = Arc::clone(state.report.as_ref().unwrap());
    let shown = order(&report, ui.sort, "cart");
    assert!(ui.place(&state).unwrap() < shown.len(), "what is hidden is not chosen");
    press(&mut ui, &state, "/xyz");
    assert_eq!(ui.place(&state), None);
    press(&mut ui, &state, "\n\n");
    assert_eq!(ui.layer, Overlay::None, "no details of nothing");
    press(&mut ui, &state, "/");
    press(&mut ui, &state, "⌫⌫⌫no\u{1b}");
    assert_eq!(ui.filters[STEPS], "cartxyz", "Esc leaves what was before");
    press(&mut ui, &state, "\u{1b}");
    assert_eq!(ui.filters[STEPS], "");
    press(&mut ui, &state, "1/");
    assert_eq!(ui.layer, Overlay::None);
    assert!(ui.said.is_some());
}

#[test]
fn nothing_scrolls_beyond_its_end() {
    let (mut ui, state) = (UiState::default(), state());
    press(&mut ui, &state, "5");
    ui.extent = ScrollExtent { seen: 10, all: 25 };
    for (keys, at) in [("↓", 1), ("G", 15), ("↓⇟", 15), ("⇞", 6), ("⌂↑", 0)] {
        press(&mut ui, &state, keys);
        assert_eq!(ui.scroll[ui.view], at, "{keys}");
    }
    press(&mut ui, &state, "8↑↑");
    assert_eq!(ui.scroll[LOG], 2, "the log is seen from its end");
    press(&mut ui, &state, "?G");
    assert_eq!((ui.layer_scroll, ui.scroll[LOG]), (15, 2));
}
