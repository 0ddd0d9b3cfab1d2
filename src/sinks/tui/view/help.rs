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
    "Numbers are those of the report so far; verdict and thresholds are as they would be now.",
    "Response counts from when a call was due, service from when it was sent.",
    "Time axes are of intended time. Of several seconds in a column, a rate is their mean; of \
     percentiles and gauges the worst is shown: no percentile is ever averaged.",
    "▲ on a curve, and ≥ before a number: a bound, since some calls have no known time. ~ : it \
     rests on fewer than ten calls and may move.",
    "┄ on a time axis: the warm-up, which counts as load and not in the results. ◆ : something \
     was changed or marked.",
    "Heat maps are coloured by the logarithm of the count; their top rows are calls without a \
     time.",
    "Without colours (NO_COLOR) curves have signs of their own, and heat is ░▒▓█.",
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
