//! What somebody has made of the screen: the view, what is chosen, what lies over it.
//!
//! `mod` hands it keys and does what it asks for; views read it.
//! Invariant: it changes nothing but itself; what a run is asked leaves it as an Effect.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use serde_json::Value;

use super::keys::{self, Action};
use super::prompt::{Asks, Prompt};
use super::ranking::{Sort, order};
use super::series::Zoom;
use super::state::State;
use super::view::{LOG, STEPS, VIEWS};
use crate::event::{ControlCommand, ControlReply};

/// What lies over a view.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Layer {
    /// Nothing.
    #[default]
    None,
    /// The keys.
    Help,
    /// The chosen step.
    Details,
    /// Whether to end the run.
    Quit,
    /// A long answer.
    Answer(String),
    /// A line that is typed.
    Prompt(Prompt),
}

/// What a key wants beyond the screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// A command for the run.
    Ask(ControlCommand),
    /// An interrupt: the first drains, the second cuts.
    Interrupt,
    /// Back to the shell.
    Suspend,
    /// All of the screen again.
    Redraw,
}

/// How much of what is there is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Rows that are seen.
    pub(super) seen: usize,
    /// Rows that there are.
    pub(super) all: usize,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk {
    /// The view, a place in `VIEWS`.
    pub(super) view: usize,
    /// Lines above what is seen, by view; of the log those below it.
    pub(super) scroll: [usize; VIEWS.len()],
    /// Lines above what is seen of the layer.
    pub(super) layer_scroll: usize,
    /// The chosen step, whatever its place in the table.
    pub(super) chosen: usize,
    /// What steps are sorted by.
    pub(super) sort: Sort,
    /// By view.
    pub(super) filters: [String; VIEWS.len()],
    /// What lies over the view.
    pub(super) layer: Layer,
    /// What became of the last command: whether it was done, and in words.
    pub(super) said: Option<(bool, String)>,
    /// Values on logarithmic axes.
    pub(super) log: bool,
    /// How much of the time axis is shown.
    pub(super) zoom: Zoom,
    /// What was drawn last, of the layer or else of the view.
    pub(super) extent: Extent,
    /// Marks that were put by key.
    pub(super) marks: u32,
    /// The filter before it was typed anew.
    pub(super) before: String,
}

/// An answer longer than this gets a place of its own.
const LONG: usize = 70;

impl Desk {
    /// A key was pressed.
    pub(super) fn press(&mut self, key: &KeyEvent, state: &State) -> Effect {
        let action = keys::action(key);
        if let Some(action @ (Action::Interrupt | Action::Suspend | Action::Redraw)) = action {
            return self.act(action, state);
        }
        self.said = None;
        match &self.layer {
            Layer::Prompt(_) => self.type_in(key),
            Layer::Quit => match (key.code, action) {
                (KeyCode::Char('y' | 'Y') | KeyCode::Enter, _) | (_, Some(Action::Quit)) => {
                    self.layer = Layer::None;
                    Effect::Interrupt
                }
                (KeyCode::Char('n' | 'N') | KeyCode::Esc, _) => {
                    self.layer = Layer::None;
                    Effect::None
                }
                _ => Effect::None,
            },
            _ => action.map_or(Effect::None, |action| self.act(action, state)),
        }
    }

    /// A text was pasted: into a line that is typed, else nowhere.
    pub(super) fn paste(&mut self, text: &str) {
        if let Layer::Prompt(prompt) = &mut self.layer {
            text.chars().for_each(|c| prompt.insert(c));
        }
    }

    /// The run has answered.
    pub(super) fn answer(&mut self, answer: ControlReply) {
        match answer.map(readable) {
            Ok(text) if text.contains('\n') || text.len() > LONG => {
                self.open(Layer::Answer(text));
            }
            Ok(text) => self.said = Some((true, text)),
            Err(text) => self.said = Some((false, text)),
        }
    }

    fn open(&mut self, layer: Layer) {
        self.layer = layer;
        self.layer_scroll = 0;
    }

    fn act(&mut self, action: Action, state: &State) -> Effect {
        let over = matches!(self.layer, Layer::Help | Layer::Details | Layer::Answer(_));
        match action {
            Action::Interrupt => return Effect::Interrupt,
            Action::Suspend => return Effect::Suspend,
            Action::Redraw => return Effect::Redraw,
            Action::Close | Action::Quit | Action::Help | Action::Open if over => {
                self.layer = Layer::None;
            }
            Action::Close => self.filters[self.view].clear(),
            Action::Quit if state.stopped.is_some() => return Effect::Interrupt,
            Action::Quit => self.open(Layer::Quit),
            Action::Help => self.open(Layer::Help),
            Action::View(view) => self.show(view.min(VIEWS.len() - 1)),
            Action::Turn(by) => {
                let views = VIEWS.len() as isize;
                self.show((self.view as isize + by).rem_euclid(views) as usize);
            }
            Action::Move(by) => self.step(by, over, state),
            Action::Page(by) => {
                let rows = self.extent.seen.saturating_sub(1).max(1) as isize;
                self.step(by * rows, over, state);
            }
            Action::Home => self.step(-(LIMIT as isize), over, state),
            Action::End => self.step(LIMIT as isize, over, state),
            Action::Log => self.log = !self.log,
            Action::Zoom => {
                self.zoom = self.zoom.next();
                self.said = Some((true, format!("time: {}", self.zoom.says())));
            }
            Action::Sort(_) | Action::Reverse | Action::Open if self.view != STEPS => {
                self.said = Some((false, "that is for the steps: press 3".to_owned()));
            }
            Action::Sort(by) => self.sort = self.sort.turned(by),
            Action::Reverse => self.sort.falling = !self.sort.falling,
            Action::Open if self.place(state).is_some() => self.open(Layer::Details),
            Action::Open => {}
            Action::Filter => self.filter(),
            Action::Toggle => return Effect::Ask(ControlCommand::Toggle(None)),
            Action::Nudge(by) => return Effect::Ask(ControlCommand::Nudge(None, by)),
            Action::Plan => return Effect::Ask(ControlCommand::Plan(None)),
            Action::Users => self.open(Layer::Prompt(Prompt::new(Asks::Users, ""))),
            Action::Rate => self.open(Layer::Prompt(Prompt::new(Asks::Rate, ""))),
            Action::Command => self.open(Layer::Prompt(Prompt::new(Asks::Command, ""))),
            Action::Mark => {
                let text = format!("mark {}", self.marks + 1);
                self.open(Layer::Prompt(Prompt::new(Asks::Mark, &text)));
            }
        }
        Effect::None
    }

    fn show(&mut self, view: usize) {
        self.view = view;
        self.layer = Layer::None;
    }

    fn filter(&mut self) {
        if !VIEWS[self.view].filtered {
            self.said = Some((false, "there is nothing to filter here".to_owned()));
            return;
        }
        self.before = self.filters[self.view].clone();
        self.open(Layer::Prompt(Prompt::new(Asks::Filter, &self.before.clone())));
    }

    /// So many lines on or back: in the layer, else among steps, else in the view.
    fn step(&mut self, by: isize, over: bool, state: &State) {
        let most = self.extent.all.saturating_sub(self.extent.seen);
        let moved = |from: usize, by: isize| from.min(most).saturating_add_signed(by).min(most);
        if over {
            self.layer_scroll = moved(self.layer_scroll, by);
        } else if self.view == STEPS {
            self.choose(by, state);
        } else {
            // The log is seen from its end.
            let by = if self.view == LOG { -by } else { by };
            let scroll = &mut self.scroll[self.view];
            *scroll = moved(*scroll, by);
        }
    }

    fn choose(&mut self, by: isize, state: &State) {
        let Some(report) = &state.report else { return };
        let shown = order(report, self.sort, &self.filters[STEPS]);
        let at = shown.iter().position(|step| *step == self.chosen).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(shown.len().saturating_sub(1));
        self.chosen = shown.get(to).copied().unwrap_or(self.chosen);
    }

    /// The place of the chosen step in the table; the first when it is not shown.
    pub(super) fn place(&self, state: &State) -> Option<usize> {
        let report = state.report.as_ref()?;
        let shown = order(report, self.sort, &self.filters[STEPS]);
        let at = shown.iter().position(|step| *step == self.chosen).unwrap_or(0);
        (!shown.is_empty()).then_some(at)
    }

    fn type_in(&mut self, key: &KeyEvent) -> Effect {
        let Layer::Prompt(prompt) = &mut self.layer else { return Effect::None };
        let filters = prompt.asks == Asks::Filter;
        match key.code {
            KeyCode::Esc => {
                if filters {
                    self.filters[self.view] = std::mem::take(&mut self.before);
                }
                self.layer = Layer::None;
            }
            KeyCode::Enter if filters => self.layer = Layer::None,
            KeyCode::Enter if prompt.text().trim().is_empty() => self.layer = Layer::None,
            KeyCode::Enter => match prompt.command() {
                Ok(command) => {
                    self.marks += u32::from(prompt.asks == Asks::Mark);
                    self.layer = Layer::None;
                    return Effect::Ask(command);
                }
                // The line stays: it can be mended.
                Err(error) => self.said = Some((false, error)),
            },
            KeyCode::Backspace if prompt.text().is_empty() => self.layer = Layer::None,
            _ => {
                prompt.press(key);
                if filters {
                    self.filters[self.view] = prompt.text();
                    self.scroll[self.view] = 0;
                }
            }
        }
        Effect::None
    }
}

/// A document in lines; any other text as it is.
fn readable(text: String) -> String {
    let document = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
    document.and_then(|found| serde_json::to_string_pretty(&found).ok()).unwrap_or(text)
}

/// More lines than there ever are.
const LIMIT: usize = 1 << 30;

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
