//! Draws on a page: lines, titled parts, gauges.
//!
//! All views draw with it.
//! Invariant: nothing is drawn outside its area, however small that is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{fit, width};
use super::theme::Theme;

/// Returns an empty page.
pub(super) fn page(columns: u16, rows: u16) -> Buffer {
    Buffer::empty(Rect::new(0, 0, columns, rows))
}

/// Returns a styled text.
pub(super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// Draws a line at a row of an area, cut to its width.
pub(super) fn line(page: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    let area = area.intersection(page.area);
    if row < area.height {
        let taken = u16::try_from(line.width()).unwrap_or(u16::MAX).min(area.width);
        (0..taken).for_each(|column| page[(area.x + column, area.y + row)].reset());
        page.set_line(area.x, area.y + row, line, area.width);
    }
}

/// Draws lines from the top of an area.
pub(super) fn lines(page: &mut Buffer, area: Rect, lines: &[Line<'_>]) {
    let rows = lines.iter().take(area.height.into()).enumerate();
    rows.for_each(|(row, text)| line(page, area, row as u16, text));
}

/// Draws a text at a column and row of an area, over what was there.
pub(super) fn put(page: &mut Buffer, area: Rect, at: (u16, u16), text: &str, style: Style) {
    let area = area.intersection(page.area);
    let ((column, row), room) = (at, area.width.saturating_sub(at.0));
    if row < area.height && room > 0 {
        let style = Style::reset().patch(style);
        page.set_stringn(area.x + column, area.y + row, text, room.into(), style);
    }
}

/// Draws a title at the left and a note at the right of a rule; returns the area below it.
pub(super) fn heading(
    page: &mut Buffer,
    area: Rect,
    title: &str,
    note: &Line<'_>,
    theme: Theme,
) -> Rect {
    let columns = usize::from(area.width);
    put(page, area, (0, 0), &"─".repeat(columns), theme.dim());
    let title = format!(" {} ", fit(title, columns.saturating_sub(4)));
    put(page, area, (1, 0), &title, theme.accent().patch(theme.bold()));
    let (used, needed) = (width(&title) + 2, note.width() + 2);
    if note.width() > 0 && used + needed < columns {
        let at = area.width - needed as u16 - 1;
        put(page, area, (at, 0), " ", Style::new());
        put(page, area, (area.width - 2, 0), " ", Style::new());
        let place = Rect { x: area.x + at + 1, width: note.width() as u16, ..area };
        line(page, place, 0, note);
    }
    below(area, 1)
}

/// Returns an area without its first rows.
pub(super) fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// Returns the first rows of an area.
pub(super) fn above(area: Rect, rows: u16) -> Rect {
    Rect { height: rows.min(area.height), ..area }
}

/// Splits an area into parts side by side, with two empty columns between them.
pub(super) fn beside(area: Rect, parts: u16) -> Vec<Rect> {
    let (parts, gap) = (parts.max(1), 2);
    let room = area.width.saturating_sub(gap * (parts - 1));
    let edge = |part: u16| (u32::from(room) * u32::from(part) / u32::from(parts)) as u16;
    let one = |part: u16| Rect {
        x: area.x + (edge(part) + gap * part).min(area.width),
        width: edge(part + 1) - edge(part),
        ..area
    };
    (0..parts).map(one).collect()
}

/// Splits an area: the right part has `columns` columns, the left part the rest.
pub(super) fn aside(area: Rect, right: u16) -> (Rect, Rect) {
    let left = area.width.saturating_sub(right + 2);
    let rest = (left + 2).min(area.width);
    (Rect { width: left, ..area }, Rect { x: area.x + rest, width: area.width - rest, ..area })
}

/// Returns a gauge of `columns` columns, filled to `share`.
pub(super) fn gauge(share: f64, columns: usize, theme: Theme) -> Vec<Span<'static>> {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let (full, part) = (eighths / 8, eighths % 8);
    let mut done = "█".repeat(full);
    if part > 0 && theme.unicode {
        done.push(PARTS[part]);
    }
    let rest = "·".repeat(columns.saturating_sub(width(&done)));
    vec![span(done, theme.accent()), span(rest, theme.dim())]
}

/// Copies rows of a page, from row `skip`, to an area.
pub(super) fn show(screen: &mut Buffer, area: Rect, page: &Buffer, skip: u16) {
    let area = area.intersection(screen.area);
    for row in 0..area.height.min(page.area.height.saturating_sub(skip)) {
        for column in 0..area.width.min(page.area.width) {
            screen[(area.x + column, area.y + row)] = page[(column, skip + row)].clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Modifier;

    #[test]
    fn parts_stay_within_their_place_and_apart() {
        for columns in 0..40 {
            let area = Rect::new(3, 1, columns, 2);
            for parts in 1..5 {
                let all = beside(area, parts);
                assert!(all.iter().all(|part| area.union(*part) == area || part.width == 0));
                assert!(all.windows(2).all(|two| two[0].right() <= two[1].x));
            }
            let (left, right) = aside(area, 26);
            assert!(left.right() <= right.x && right.right() <= area.right());
        }
    }

    #[test]
    fn what_is_written_over_leaves_nothing() {
        let mut page = page(9, 1);
        let (area, dim) = (page.area, Style::new().add_modifier(Modifier::DIM));
        put(&mut page, area, (0, 0), "─────────", dim);
        put(&mut page, area, (1, 0), "ab", Style::new());
        line(&mut page, Rect { x: 4, ..area }, 0, &Line::from("cd"));
        let is_dim: Vec<bool> =
            page.content.iter().map(|cell| cell.modifier.contains(Modifier::DIM)).collect();
        assert_eq!(is_dim, [true, false, false, true, false, false, true, true, true]);
    }

    #[test]
    fn a_gauge_has_its_width_whatever_its_share() {
        let theme = Theme { colours: super::super::theme::Colours::None, unicode: true };
        for share in [-1.0, 0.0, 0.01, 0.49, 0.999, 1.0, 7.0, f64::NAN] {
            let columns: usize = gauge(share, 9, theme).iter().map(Span::width).sum();
            assert_eq!(columns, 9, "{share}");
        }
    }
}
