//! The prompt: a command or a filter that is being typed.
//!
//! `ui_state` opens it; the footer of the screen shows it.
//! Invariant: the line is never longer than a command may be, and has no control characters.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::event::ControlCommand;
use crate::event::control::{CommandError, GRAMMAR, MAX_LINE};

/// The purpose of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptKind {
    /// Any command.
    Command,
    /// `users …`.
    Users,
    /// `rate …`.
    Rate,
    /// `mark …`.
    Mark,
    /// A filter of a view.
    Filter,
}

/// A line being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// What the input is for.
    pub(super) asks: PromptKind,
    text: Vec<char>,
    at: usize,
}

impl Prompt {
    /// With a text in it already, the cursor at its end.
    pub(super) fn new(asks: PromptKind, text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self { asks, at: text.len(), text }
    }

    /// What stands in it.
    pub(super) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What stands before the cursor.
    pub(super) fn before(&self) -> String {
        self.text[..self.at].iter().collect()
    }

    /// What stands before it on the screen.
    pub(super) const fn label(&self) -> &'static str {
        match self.asks {
            PromptKind::Command => ":",
            PromptKind::Users => "users: ",
            PromptKind::Rate => "rate: ",
            PromptKind::Mark => "mark: ",
            PromptKind::Filter => "/",
        }
    }

    /// What belongs into it.
    pub(super) fn hint(&self) -> &'static str {
        let text = self.text();
        match self.asks {
            PromptKind::Users => "[WORKLOAD] 300",
            PromptKind::Rate => "[WORKLOAD] 200/s",
            PromptKind::Mark => "text of the mark; Enter alone numbers it",
            PromptKind::Filter => "part of a name; Enter keeps it, Esc clears it",
            PromptKind::Command => {
                let verb = text.split_whitespace().next().unwrap_or_default();
                let known = GRAMMAR.iter().find(|(word, ..)| *word == verb);
                known.map_or("pause, scale 150%, breaker … , help; Tab completes", |one| one.1)
            }
        }
    }

    /// The command that was typed.
    ///
    /// # Errors
    /// What is wrong with it, and what was expected.
    pub(super) fn command(&self) -> Result<ControlCommand, CommandError> {
        let text = self.text();
        match self.asks {
            PromptKind::Users => ControlCommand::parse(&format!("users {text}")),
            PromptKind::Rate => ControlCommand::parse(&format!("rate {text}")),
            PromptKind::Mark => ControlCommand::parse(&format!("mark {text}")),
            PromptKind::Command | PromptKind::Filter => ControlCommand::parse(&text),
        }
    }

    /// A key that changes the line.
    pub(super) fn press(&mut self, key: &KeyEvent) {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Char('u'), true) => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            (KeyCode::Char('w'), true) => {
                let kept = self.text[..self.at].iter().rposition(|c| *c != ' ').unwrap_or(0);
                let word = self.text[..kept].iter().rposition(|c| *c == ' ');
                let from = word.map_or(0, |space| space + 1);
                self.text.drain(from..self.at);
                self.at = from;
            }
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.at = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.at = self.text.len(),
            (KeyCode::Left, _) => self.at = self.at.saturating_sub(1),
            (KeyCode::Right, _) => self.at = (self.at + 1).min(self.text.len()),
            (KeyCode::Backspace, _) if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.at);
            }
            (KeyCode::Delete, _) if self.at < self.text.len() => {
                self.text.remove(self.at);
            }
            (KeyCode::Tab, _) => self.complete(),
            (KeyCode::Char(c), false) => self.insert(c),
            _ => {}
        }
    }

    /// Puts a sign in.
    pub(super) fn insert(&mut self, c: char) {
        if !c.is_control() && self.text().len() + c.len_utf8() <= MAX_LINE / 2 {
            self.text.insert(self.at, c);
            self.at += 1;
        }
    }

    /// Makes a beginning of a verb the whole verb.
    fn complete(&mut self) {
        let text = self.text();
        if self.asks != PromptKind::Command || text.is_empty() || text.contains(' ') {
            return;
        }
        let mut fits = GRAMMAR.iter().map(|(word, ..)| *word).filter(|w| w.starts_with(&text));
        if let (Some(word), None) = (fits.next(), fits.next()) {
            *self = Self::new(PromptKind::Command, &format!("{word} "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(asks: PromptKind, keys: &[KeyCode]) -> Prompt {
        let mut prompt = Prompt::new(asks, "");
        keys.iter().for_each(|code| prompt.press(&KeyEvent::new(*code, KeyModifiers::NONE)));
        prompt
    }

    #[test]
    fn a_line_is_typed_and_mended() {
        use KeyCode::{Backspace, Char, Delete, Home, Left, Tab};
        let prompt =
            typed(PromptKind::Users, &[Char('3'), Char('x'), Backspace, Char('0'), Char('0')]);
        assert_eq!(prompt.command(), Ok(ControlCommand::Users(None, 300)));
        let prompt =
            typed(PromptKind::Command, &[Char('b'), Char('a'), Left, Char('x'), Home, Delete]);
        assert_eq!((prompt.text().as_str(), prompt.before().as_str()), ("xa", ""));
        let prompt = typed(PromptKind::Command, &[Char('b'), Char('r'), Tab]);
        assert_eq!((prompt.text().as_str(), prompt.hint()), ("breaker ", GRAMMAR[7].1));
        assert!(prompt.command().unwrap_err().to_string().contains("breaker service shop open"));
    }

    #[test]
    fn words_go_at_once_and_nothing_grows_without_end() {
        let press = |prompt: &mut Prompt, c: char| {
            prompt.press(&KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        };
        let mut prompt = Prompt::new(PromptKind::Mark, "one two ");
        press(&mut prompt, 'w');
        assert_eq!(prompt.text(), "one ");
        press(&mut prompt, 'u');
        assert_eq!(prompt.text(), "");
        press(&mut prompt, 'w');
        (0..10_000).for_each(|_| prompt.insert('世'));
        prompt.insert('\u{1b}');
        assert!(prompt.text().len() <= MAX_LINE / 2 && !prompt.text().contains('\u{1b}'));
    }
}
