//! Paths of SVG.
//!
//! Charts build them; they consist of our own numbers and letters, so they need no escaping.
//! Invariant: coordinates have at most one decimal: more would not be visible.

use std::fmt::Write;

/// The `d` attribute of a path.
#[derive(Clone, Debug, Default)]
pub struct SvgPath(String);

impl SvgPath {
    /// Adds a line through these points. A missing point breaks it; a single point is a dot.
    pub fn line(points: impl Iterator<Item = Option<(f64, f64)>>) -> Self {
        let (mut path, mut run) = (Self::default(), 0);
        let mut points = points.peekable();
        while let Some(point) = points.next() {
            let Some((x, y)) = point else {
                run = 0;
                continue;
            };
            path.to(if run == 0 { 'M' } else { 'L' }, x, y);
            run += 1;
            if run == 1 && !matches!(points.peek(), Some(Some(_))) {
                path.0.push_str("h0");
            }
        }
        path
    }

    /// Adds a step line: each value holds over its whole column.
    pub fn steps(width: f64, points: impl Iterator<Item = Option<(f64, f64)>>) -> Self {
        let (mut path, mut is_open) = (Self::default(), false);
        for point in points {
            let Some((x, y)) = point else {
                is_open = false;
                continue;
            };
            path.to(if is_open { 'L' } else { 'M' }, x - width / 2.0, y);
            path.0.push('H');
            number(&mut path.0, x + width / 2.0);
            is_open = true;
        }
        path
    }

    /// Adds the area between two lines.
    pub fn between(points: impl DoubleEndedIterator<Item = Option<(f64, f64, f64)>>) -> Self {
        let mut path = Self::default();
        let mut run: Vec<(f64, f64, f64)> = Vec::new();
        for point in points.chain([None]) {
            if let Some(point) = point {
                run.push(point);
                continue;
            }
            for (at, (x, low, _)) in run.iter().enumerate() {
                path.to(if at == 0 { 'M' } else { 'L' }, *x, *low);
            }
            run.iter().rev().for_each(|(x, _, high)| path.to('L', *x, *high));
            if !run.is_empty() {
                path.0.push('Z');
            }
            run.clear();
        }
        path
    }

    /// Adds a bar.
    pub fn add_bar(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.to('M', x, y);
        for (letter, length) in [('h', width), ('v', height), ('h', -width)] {
            self.0.push(letter);
            number(&mut self.0, length);
        }
        self.0.push('Z');
    }

    /// Adds a dot: a line of no length, which a round cap makes visible at any zoom.
    pub fn add_dot(&mut self, x: f64, y: f64) {
        self.to('M', x, y);
        self.0.push_str("h0");
    }

    /// Adds a vertical line.
    pub fn add_upright(&mut self, x: f64, height: f64) {
        self.to('M', x, 0.0);
        self.0.push('V');
        number(&mut self.0, height);
    }

    /// Adds a horizontal line.
    pub fn add_level(&mut self, y: f64, width: f64) {
        self.to('M', 0.0, y);
        self.0.push('H');
        number(&mut self.0, width);
    }

    /// Whether the path is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the attribute's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn to(&mut self, letter: char, x: f64, y: f64) {
        self.0.push(letter);
        number(&mut self.0, x);
        let from = self.0.len();
        number(&mut self.0, y);
        // A minus sign separates as well as a space does.
        if !self.0[from..].starts_with('-') {
            self.0.insert(from, ' ');
        }
    }
}

/// Writes a number in as few characters as possible.
fn number(out: &mut String, value: f64) {
    let tenths = if value.is_finite() { (value * 10.0).round() as i64 } else { 0 };
    let (sign, whole, rest) =
        (if tenths < 0 { "-" } else { "" }, tenths.abs() / 10, tenths.abs() % 10);
    let _ =
        if rest == 0 { write!(out, "{sign}{whole}") } else { write!(out, "{sign}{whole}.{rest}") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_nothing_is() {
        for (points, wanted) in [
            (vec![], ""),
            (vec![None, None], ""),
            (vec![Some((1.0, 2.0))], "M1 2h0"),
            (vec![Some((1.0, 2.0)), Some((3.25, 4.04))], "M1 2L3.3 4"),
            (vec![Some((0.0, 1.0)), None, Some((2.0, 3.0)), Some((4.0, -0.5))], "M0 1h0M2 3L4-0.5"),
            (vec![Some((f64::NAN, 1.0))], "M0 1h0"),
        ] {
            assert_eq!(SvgPath::line(points.into_iter()).as_str(), wanted);
        }
    }

    #[test]
    fn steps_hold_over_their_columns() {
        let points = [Some((5.0, 1.0)), Some((15.0, 2.0)), None, Some((35.0, 3.0))];
        let path = SvgPath::steps(10.0, points.into_iter());
        assert_eq!(path.as_str(), "M0 1H10L10 2H20M30 3H40");
    }

    #[test]
    fn what_lies_between_is_closed() {
        let points = [Some((0.0, 9.0, 1.0)), Some((1.0, 8.0, 2.0)), None, Some((3.0, 7.0, 3.0))];
        let path = SvgPath::between(points.into_iter());
        assert_eq!(path.as_str(), "M0 9L1 8L1 2L0 1ZM3 7L3 3Z");
    }

    #[test]
    fn bars_and_dots_are_short() {
        let mut path = SvgPath::default();
        path.add_bar(0.0, 10.0, 2.5, 3.0);
        path.add_dot(1.0, 1.0);
        path.add_upright(4.0, 9.0);
        path.add_level(4.0, 1000.0);
        assert_eq!(path.as_str(), "M0 10h2.5v3h-2.5ZM1 1h0M4 0V9M0 4H1000");
    }
}
