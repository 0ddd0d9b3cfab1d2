//! The keys, and how to read the dashboard.
//!
//! Invariant: it is made from the table of keys, so none is missing.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::parts::{title, wrapped};
use crate::sinks::tui::draw::span;
use crate::sinks::tui::keys::{GROUPS, KeyBinding};
use crate::sinks::tui::text::fit;
use crate::sinks::tui::theme::Theme;

/// Explanations of marks and colours.
const READING: [&str; 7] = [
    "All figures are of the run so far; verdict and thresholds are those if it ended now.",
    "Response time: from the scheduled start of a call to the last byte; service time: from its \
     sending.",
    "A call stands in the second of its scheduled start. Where a column covers several seconds, a \
     rate is their mean; of percentiles and gauges the worst second is shown, never a mean.",
    "▲ on a curve, ≥ before a number: a lower bound, because some calls have no known time. ~ : \
     fewer than ten calls lie above, so the value may change.",
    "┄ on a time axis: the warm-up, which is excluded from the results. ◆ : a control command or \
     a mark.",
    "Heat maps: the colour is the logarithm of the count; the top rows are calls without a known \
     time, by reason.",
    "Without colours (NO_COLOR) each curve has its own sign, and heat is ░▒▓█.",
];

/// Draws the help; in two columns if there is room.
pub(crate) fn lines(columns: u16, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = if columns >= 116 {
        let half = columns / 2 - 1;
        let (left, right) = (keys(&GROUPS[..2], half, theme), keys(&GROUPS[2..], half, theme));
        beside(left, right, half)
    } else {
        keys(&GROUPS, columns, theme)
    };
    lines.push(title("How to read it", columns, theme));
    for text in READING {
        wrapped(&mut lines, text, 2, columns, Style::new());
    }
    lines
}

fn keys(groups: &[(&str, &[KeyBinding])], columns: u16, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (name, bindings) in groups {
        lines.push(title(name, columns, theme));
        for binding in bindings.iter().filter(|binding| !binding.shown.is_empty()) {
            lines.push(Line::from(vec![
                span(format!("  {:<14}", binding.shown), theme.accent()),
                Span::raw(fit(binding.says, usize::from(columns).saturating_sub(16))),
            ]));
        }
    }
    lines
}

/// Joins lines to two columns; `wide` is the width of the left one.
fn beside(
    left: Vec<Line<'static>>,
    mut right: Vec<Line<'static>>,
    columns: u16,
) -> Vec<Line<'static>> {
    right.resize(left.len().max(right.len()), Line::default());
    let mut left = left;
    left.resize(right.len(), Line::default());
    let join = |(mut left, right): (Line<'static>, Line<'static>)| {
        let room = usize::from(columns + 2).saturating_sub(left.width());
        left.spans.push(Span::raw(" ".repeat(room)));
        left.spans.extend(right.spans);
        left
    };
    left.into_iter().zip(right).map(join).collect()
}
