//! The state of the user interface: view, selection, overlay.
//!
//! `mod` passes it keys and carries out its effects; views read it.
//! Invariant: it changes only itself; a command to the run leaves it as a `UiEffect`.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use serde_json::Value;

use super::keys::{self, KeyAction};
use super::model::{Model, RunPhase};
use super::prompt::{Prompt, PromptKind};
use super::ranking::{Sort, order};
use super::series::Zoom;
use super::views::{LOG, STEPS, VIEWS};
use crate::event::{ControlCommand, ControlReply};
use crate::ids::StepId;

/// What is drawn over a view.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The list of keys.
    Help,
    /// Details of the selected step.
    Details,
    /// The question whether to end the run.
    Quit,
    /// A long reply.
    Answer(String),
    /// A prompt.
    Prompt(Prompt),
}

/// The effect of a key outside of the user interface.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum UiEffect {
    /// Nothing.
    None,
    /// Sends a command to the run.
    Ask(ControlCommand),
    /// Interrupts the run: the first time it drains, the second time it stops.
    Interrupt,
    /// Suspends the program.
    Suspend,
    /// Redraws the whole screen.
    Redraw,
    /// Closes the dashboard of a run that is over.
    Leave,
}

/// The visible part of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ScrollExtent {
    /// Visible rows.
    pub(super) seen: usize,
    /// All rows.
    pub(super) all: usize,
}

/// The state of the user interface.
#[derive(Clone, Debug, Default)]
pub(super) struct UiState {
    /// The view, an index into `VIEWS`.
    pub(super) view: usize,
    /// Lines above the visible part, by view; for the log those below it.
    pub(super) scroll: [usize; VIEWS.len()],
    /// Lines above the visible part of the overlay.
    pub(super) layer_scroll: usize,
    /// The selected step.
    pub(super) chosen: StepId,
    /// The sort order of steps.
    pub(super) sort: Sort,
    /// Filters by view.
    pub(super) filters: [String; VIEWS.len()],
    /// The overlay.
    pub(super) layer: Overlay,
    /// The result of the last command: whether it succeeded, and its text.
    pub(super) said: Option<(bool, String)>,
    /// Whether values are on logarithmic axes.
    pub(super) log: bool,
    /// The visible part of the time axis.
    pub(super) zoom: Zoom,
    /// The visible part of the last frame, of the overlay or else of the view.
    pub(super) extent: ScrollExtent,
    /// The number of marks set by key.
    pub(super) marks: u32,
    /// The filter before the prompt was opened.
    pub(super) before: String,
}

/// A reply longer than this is shown in an overlay.
const LONG: usize = 70;

impl UiState {
    /// Handles a key.
    pub(super) fn press(&mut self, key: &KeyEvent, state: &Model) -> UiEffect {
        let action = keys::action(key);
        if let Some(action @ (KeyAction::Interrupt | KeyAction::Suspend | KeyAction::Redraw)) =
            action
        {
            return self.act(action, state);
        }
        self.said = None;
        match &self.layer {
            Overlay::Prompt(_) => self.type_in(key),
            Overlay::Quit => match (key.code, action) {
                (KeyCode::Char('y' | 'Y') | KeyCode::Enter, _) | (_, Some(KeyAction::Quit)) => {
                    self.layer = Overlay::None;
                    // The run may have ended since the question was asked.
                    self.act(KeyAction::Interrupt, state)
                }
                (KeyCode::Char('n' | 'N') | KeyCode::Esc, _) => {
                    self.layer = Overlay::None;
                    UiEffect::None
                }
                _ => UiEffect::None,
            },
            _ => action.map_or(UiEffect::None, |action| self.act(action, state)),
        }
    }

    /// Handles a paste: into the prompt if one is open.
    pub(super) fn paste(&mut self, text: &str) {
        if let Overlay::Prompt(prompt) = &mut self.layer {
            text.chars().for_each(|c| prompt.insert(c));
        }
    }

    /// Handles a reply of the run.
    pub(super) fn answer(&mut self, answer: ControlReply) {
        match answer.map(readable) {
            Ok(text) if text.contains('\n') || text.len() > LONG => {
                self.open(Overlay::Answer(text));
            }
            Ok(text) => self.said = Some((true, text)),
            Err(why) => self.said = Some((false, why.to_string())),
        }
    }

    fn open(&mut self, layer: Overlay) {
        self.layer = layer;
        self.layer_scroll = 0;
    }

    fn act(&mut self, action: KeyAction, state: &Model) -> UiEffect {
        let over = matches!(self.layer, Overlay::Help | Overlay::Details | Overlay::Answer(_));
        let is_over = state.phase() == RunPhase::Over;
        match action {
            KeyAction::Interrupt if is_over => return UiEffect::Leave,
            KeyAction::Quit if is_over && !over => return UiEffect::Leave,
            // The handler that gives the terminal back to the shell has ended with the run.
            KeyAction::Suspend if is_over => {
                self.said = Some((false, "the run is over: q closes the dashboard".to_owned()));
            }
            KeyAction::Interrupt => return UiEffect::Interrupt,
            KeyAction::Suspend => return UiEffect::Suspend,
            KeyAction::Redraw => return UiEffect::Redraw,
            KeyAction::Close | KeyAction::Quit | KeyAction::Help | KeyAction::Open if over => {
                self.layer = Overlay::None;
            }
            KeyAction::Close => self.filters[self.view].clear(),
            KeyAction::Quit if state.stopped.is_some() => return UiEffect::Interrupt,
            KeyAction::Quit => self.open(Overlay::Quit),
            KeyAction::Help => self.open(Overlay::Help),
            KeyAction::View(view) => self.show(view.min(VIEWS.len() - 1)),
            KeyAction::Turn(by) => {
                let views = state.views() as isize;
                self.show((self.view as isize + by).rem_euclid(views) as usize);
            }
            KeyAction::Move(by) => self.step(by, over, state),
            KeyAction::Page(by) => {
                let rows = self.extent.seen.saturating_sub(1).max(1) as isize;
                self.step(by * rows, over, state);
            }
            KeyAction::Home => self.step(-(LIMIT as isize), over, state),
            KeyAction::End => self.step(LIMIT as isize, over, state),
            KeyAction::Log => self.log = !self.log,
            KeyAction::Zoom => {
                self.zoom = self.zoom.next();
                self.said = Some((true, format!("time: {}", self.zoom.says())));
            }
            KeyAction::Sort(_) | KeyAction::Reverse | KeyAction::Open if self.view != STEPS => {
                self.said = Some((false, "sorting is for steps: press 3 first".to_owned()));
            }
            KeyAction::Sort(by) => self.sort = self.sort.turned(by),
            KeyAction::Reverse => self.sort.falling = !self.sort.falling,
            KeyAction::Open if self.place(state).is_some() => self.open(Overlay::Details),
            KeyAction::Open => {}
            KeyAction::Filter => self.filter(),
            KeyAction::Toggle => return UiEffect::Ask(ControlCommand::Toggle(None)),
            KeyAction::Nudge(by) => return UiEffect::Ask(ControlCommand::Nudge(None, by)),
            KeyAction::Plan => return UiEffect::Ask(ControlCommand::Plan(None)),
            KeyAction::Users => self.open(Overlay::Prompt(Prompt::new(PromptKind::Users, ""))),
            KeyAction::Rate => self.open(Overlay::Prompt(Prompt::new(PromptKind::Rate, ""))),
            KeyAction::Command => self.open(Overlay::Prompt(Prompt::new(PromptKind::Command, ""))),
            KeyAction::Mark => {
                self.open(Overlay::Prompt(Prompt::new(PromptKind::Mark, "")));
            }
        }
        UiEffect::None
    }

    fn show(&mut self, view: usize) {
        self.view = view;
        self.layer = Overlay::None;
    }

    fn filter(&mut self) {
        if !VIEWS[self.view].is_filtered {
            self.said = Some((false, "this view has no filter".to_owned()));
            return;
        }
        self.before = self.filters[self.view].clone();
        self.open(Overlay::Prompt(Prompt::new(PromptKind::Filter, &self.before.clone())));
    }

    /// Scrolls: the overlay, else the selection of steps, else the view.
    fn step(&mut self, by: isize, over: bool, state: &Model) {
        let most = self.extent.all.saturating_sub(self.extent.seen);
        let moved = |from: usize, by: isize| from.min(most).saturating_add_signed(by).min(most);
        if over {
            self.layer_scroll = moved(self.layer_scroll, by);
        } else if self.view == STEPS {
            self.choose(by, state);
        } else {
            // The log is scrolled from its end.
            let by = if self.view == LOG { -by } else { by };
            let scroll = &mut self.scroll[self.view];
            *scroll = moved(*scroll, by);
        }
    }

    fn choose(&mut self, by: isize, state: &Model) {
        let Some(report) = &state.report else { return };
        let shown = order(report, self.sort, &self.filters[STEPS]);
        let at = shown.iter().position(|step| *step == self.chosen).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(shown.len().saturating_sub(1));
        self.chosen = shown.get(to).copied().unwrap_or(self.chosen);
    }

    /// Returns the place of the selected step in the table; the first row if it is not shown.
    pub(super) fn place(&self, state: &Model) -> Option<usize> {
        let report = state.report.as_ref()?;
        let shown = order(report, self.sort, &self.filters[STEPS]);
        let at = shown.iter().position(|step| *step == self.chosen).unwrap_or(0);
        (!shown.is_empty()).then_some(at)
    }

    fn type_in(&mut self, key: &KeyEvent) -> UiEffect {
        let Overlay::Prompt(prompt) = &mut self.layer else { return UiEffect::None };
        let filters = prompt.asks == PromptKind::Filter;
        match key.code {
            KeyCode::Esc => {
                if filters {
                    self.filters[self.view] = std::mem::take(&mut self.before);
                }
                self.layer = Overlay::None;
            }
            KeyCode::Enter if filters => self.layer = Overlay::None,
            KeyCode::Enter if prompt.text().trim().is_empty() => {
                let is_mark = prompt.asks == PromptKind::Mark;
                self.layer = Overlay::None;
                if is_mark {
                    self.marks += 1;
                    return UiEffect::Ask(ControlCommand::Mark(format!("mark {}", self.marks)));
                }
            }
            KeyCode::Enter => match prompt.command() {
                Ok(command) => {
                    self.marks += u32::from(prompt.asks == PromptKind::Mark);
                    self.layer = Overlay::None;
                    return UiEffect::Ask(command);
                }
                // The prompt stays open, so that the line can be corrected.
                Err(error) => self.said = Some((false, error.to_string())),
            },
            KeyCode::Backspace if prompt.text().is_empty() => self.layer = Overlay::None,
            _ => {
                prompt.press(key);
                if filters {
                    self.filters[self.view] = prompt.text();
                    self.scroll[self.view] = 0;
                }
            }
        }
        UiEffect::None
    }
}

/// Formats a JSON document in lines; returns any other text unchanged.
fn readable(text: String) -> String {
    let document = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
    document.and_then(|found| serde_json::to_string_pretty(&found).ok()).unwrap_or(text)
}

/// More lines than any page has.
const LIMIT: usize = 1 << 30;

#[cfg(test)]
#[path = "ui_state_tests.rs"]
mod tests;
