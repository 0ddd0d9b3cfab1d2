//! The keys: what each does, and how the help shows it. Bindings follow htop, k9s and Locust.
//!
//! `mod` looks keys up here, `view::help` lists all of them.
//! Invariant: a key has one action, and the help lists every key.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyAction {
    /// Shows the view with this index.
    View(usize),
    /// Shows the next view, or the previous one.
    Turn(isize),
    /// Scrolls by lines, forwards or backwards.
    Move(isize),
    /// Scrolls by screens, forwards or backwards.
    Page(isize),
    /// Goes to the beginning.
    Home,
    /// Goes to the end.
    End,
    /// Sorts by the next column, or the previous one.
    Sort(isize),
    /// Reverses the sort order.
    Reverse,
    /// Prompts for a filter.
    Filter,
    /// Shows details of the selected row.
    Open,
    /// Closes the overlay; without one, clears the filter.
    Close,
    /// Shows the keys.
    Help,
    /// Pauses or resumes the load.
    Toggle,
    /// Changes the load by this many thousandths of the plan.
    Nudge(i32),
    /// Resets the load to the plan.
    Plan,
    /// Prompts for a number of users.
    Users,
    /// Prompts for a rate.
    Rate,
    /// Prompts for the text of a mark.
    Mark,
    /// Prompts for a command.
    Command,
    /// Switches between linear and logarithmic values.
    Log,
    /// Zooms the time axis in on its end.
    Zoom,
    /// Redraws the screen.
    Redraw,
    /// Asks whether to end the run.
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
}

/// Keys with the same action.
pub(super) struct KeyBinding {
    /// The keys.
    pub(super) action: KeyAction,
    keys: &'static [KeyPress],
    /// How the keys are written in the help.
    pub(super) shown: &'static str,
    /// What the keys do; empty if the line above describes it.
    pub(super) says: &'static str,
}

/// A key, with Ctrl or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyPress(KeyCode, bool);

const fn c(sign: char) -> KeyPress {
    KeyPress(KeyCode::Char(sign), false)
}

const fn ctrl(sign: char) -> KeyPress {
    KeyPress(KeyCode::Char(sign), true)
}

const fn f(number: u8) -> KeyPress {
    KeyPress(KeyCode::F(number), false)
}

const fn k(code: KeyCode) -> KeyPress {
    KeyPress(code, false)
}

const fn bind(
    action: KeyAction,
    keys: &'static [KeyPress],
    shown: &'static str,
    says: &'static str,
) -> KeyBinding {
    KeyBinding { action, keys, shown, says }
}

/// All keys, grouped by purpose.
pub(super) const GROUPS: [(&str, &[KeyBinding]); 4] = [
    (
        "Views",
        &[
            bind(KeyAction::View(0), &[c('1')], "1 … 9", "show a view"),
            bind(KeyAction::View(1), &[c('2')], "", ""),
            bind(KeyAction::View(2), &[c('3')], "", ""),
            bind(KeyAction::View(3), &[c('4')], "", ""),
            bind(KeyAction::View(4), &[c('5')], "", ""),
            bind(KeyAction::View(5), &[c('6')], "", ""),
            bind(KeyAction::View(6), &[c('7')], "", ""),
            bind(KeyAction::View(7), &[c('8')], "", ""),
            bind(KeyAction::View(8), &[c('9')], "", ""),
            bind(KeyAction::Turn(1), &[k(KeyCode::Tab), k(KeyCode::Right)], "Tab →", "next view"),
            bind(
                KeyAction::Turn(-1),
                &[k(KeyCode::BackTab), k(KeyCode::Left)],
                "Shift-Tab ←",
                "previous view",
            ),
            bind(KeyAction::Log, &[c('l')], "l", "logarithmic or linear axis of times"),
            bind(
                KeyAction::Zoom,
                &[c('z')],
                "z",
                "time axis: whole run, last 5 minutes, last minute",
            ),
            bind(KeyAction::Redraw, &[ctrl('l')], "Ctrl-L", "redraw the screen"),
            bind(KeyAction::Help, &[c('?'), c('h'), f(1)], "? h F1", "this help"),
        ],
    ),
    (
        "Scroll and select",
        &[
            bind(KeyAction::Move(1), &[k(KeyCode::Down), c('j')], "↓ j", "line down"),
            bind(KeyAction::Move(-1), &[k(KeyCode::Up), c('k')], "↑ k", "line up"),
            bind(
                KeyAction::Page(1),
                &[k(KeyCode::PageDown), ctrl('f')],
                "PgDn Ctrl-F",
                "page down",
            ),
            bind(KeyAction::Page(-1), &[k(KeyCode::PageUp), ctrl('b')], "PgUp Ctrl-B", "page up"),
            bind(KeyAction::Home, &[k(KeyCode::Home), c('g')], "Home g", "first line"),
            bind(KeyAction::End, &[k(KeyCode::End), c('G')], "End G", "last line"),
            bind(KeyAction::Sort(1), &[c('>'), c('s'), f(6)], "> s F6", "sort by the next column"),
            bind(KeyAction::Sort(-1), &[c('<'), c('S')], "< S", "sort by the previous column"),
            bind(KeyAction::Reverse, &[c('r')], "r", "reverse the order"),
            bind(KeyAction::Filter, &[c('/'), f(3), f(4)], "/ F3", "filter by text"),
            bind(KeyAction::Open, &[k(KeyCode::Enter)], "Enter", "details of the selected step"),
            bind(KeyAction::Close, &[k(KeyCode::Esc)], "Esc", "close, or clear the filter"),
        ],
    ),
    (
        "Control the run",
        &[
            bind(KeyAction::Toggle, &[c('p'), c(' ')], "p Space", "pause or resume"),
            bind(
                KeyAction::Nudge(100),
                &[c('+'), c('=')],
                "+",
                "increase load by 10 % of the plan",
            ),
            bind(KeyAction::Nudge(-100), &[c('-')], "-", "decrease load by 10 % of the plan"),
            bind(KeyAction::Plan, &[c('0')], "0", "load as planned"),
            bind(KeyAction::Users, &[c('u')], "u", "set the number of users"),
            bind(KeyAction::Rate, &[c('t')], "t", "set the starts per second"),
            bind(KeyAction::Mark, &[c('m')], "m", "put a mark on the time axis"),
            bind(KeyAction::Command, &[c(':')], ":", "enter a command; `:help` lists them"),
        ],
    ),
    (
        "End the run",
        &[
            bind(
                KeyAction::Quit,
                &[c('q'), f(10)],
                "q F10",
                "end the run: asks, then drains; again: abort",
            ),
            bind(
                KeyAction::Interrupt,
                &[ctrl('c')],
                "Ctrl-C",
                "drain without asking; again: abort",
            ),
            bind(KeyAction::Suspend, &[ctrl('z')], "Ctrl-Z", "suspend; `fg` returns"),
        ],
    ),
];

/// Returns the action of a key.
pub(super) fn action(event: &KeyEvent) -> Option<KeyAction> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let pressed = KeyPress(event.code, event.modifiers.contains(KeyModifiers::CONTROL));
    let mut all = GROUPS.iter().flat_map(|(_, bindings)| *bindings);
    all.find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_one_thing_and_the_help_shows_all() {
        let bindings: Vec<&KeyBinding> =
            GROUPS.iter().flat_map(|(_, bindings)| *bindings).collect();
        let keys: Vec<KeyPress> = bindings.iter().flat_map(|one| one.keys).copied().collect();
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{key:?} twice");
            let event = KeyEvent::new(
                key.0,
                if key.1 { KeyModifiers::CONTROL } else { KeyModifiers::NONE },
            );
            assert!(action(&event).is_some());
        }
        for (at, binding) in bindings.iter().enumerate() {
            assert!(bindings[..at].iter().all(|other| other.action != binding.action));
            let view = matches!(binding.action, KeyAction::View(1..));
            assert!(view || !binding.shown.is_empty() && !binding.says.is_empty());
        }
    }

    #[test]
    fn shift_is_in_the_sign_and_letting_go_is_nothing() {
        let big = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(action(&big), Some(KeyAction::End));
        let gone = KeyEvent { kind: KeyEventKind::Release, ..big };
        assert_eq!(action(&gone), None);
    }
}
