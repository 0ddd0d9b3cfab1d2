//! A linear piece of a curve: its integral, its inverse, and when it is above a level, in exact
//! integers.
//!
//! `load` builds curves from pieces.
//! Invariant: the rest of a piece that was cut returns exactly the values of the whole piece.

/// A part of a straight line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// When the piece begins, ns after the curve's start.
    pub(super) start: u64,
    /// Length of the piece, ns; zero is a jump.
    pub(super) length: u64,
    /// The integral over all earlier pieces.
    pub(super) before: u128,
    line: StraightLine,
    /// Time from the start of the straight line to the start of the piece, ns.
    skipped: u64,
}

/// A straight line from one level to another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StraightLine {
    from: u64,
    to: u64,
    /// Length of the straight line, ns.
    length: u64,
}

impl Piece {
    /// Creates a piece of a whole line.
    pub(super) fn new(start: u64, length: u64, from: u64, to: u64, before: u128) -> Self {
        Self { start, length, before, line: StraightLine { from, to, length }, skipped: 0 }
    }

    /// When the piece ends, ns.
    pub(super) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Returns the part before `at`, which is not before its start.
    pub(super) fn until(&self, at: u64) -> Self {
        Self { length: self.length.min(at - self.start), ..self.clone() }
    }

    /// Returns the part from `at` on, which is not after its end.
    pub(super) fn from(&self, at: u64) -> Self {
        let gone = at.saturating_sub(self.start);
        Self {
            start: self.start + gone,
            length: self.length - gone,
            skipped: self.skipped + gone,
            ..self.clone()
        }
    }

    /// Returns the same piece with every level mapped by `change`.
    pub(super) fn levelled(&self, change: impl Fn(u64) -> u64) -> Self {
        let line =
            StraightLine { from: change(self.line.from), to: change(self.line.to), ..self.line };
        Self { line, ..self.clone() }
    }

    /// Changes the level that a jump leads to.
    pub(super) fn jump_to(&mut self, to: u64) {
        self.line.to = to;
    }

    /// The levels at the start and at the end of the piece.
    pub(super) fn levels(&self) -> (u64, u64) {
        let end = self.skipped + self.length;
        let to = if end == self.line.length { self.line.to } else { self.line.level(end) };
        (self.line.level(self.skipped), to)
    }

    /// The highest level, rounded up.
    pub(super) fn highest(&self) -> u64 {
        let end = self.skipped + self.length;
        let (from, to) = (self.line.level_above(self.skipped), self.line.level_above(end));
        if self.line.length == 0 { self.line.from.max(self.line.to) } else { from.max(to) }
    }

    /// The integral over the first `t` ns of the piece.
    pub(super) fn area(&self, t: u64) -> u128 {
        self.line.area(self.skipped + t) - self.line.area(self.skipped)
    }

    /// The smallest t with `area(t) ≥ amount`.
    pub(super) fn reaches(&self, amount: u128) -> u64 {
        self.line.reaches(amount + self.line.area(self.skipped)).saturating_sub(self.skipped)
    }

    /// The level after `t` ns, rounded down.
    pub(super) fn level(&self, t: u64) -> u64 {
        self.line.level(self.skipped + t)
    }

    /// The part in which the level is above `k`, as absolute `(enter, leave)`.
    pub(super) fn above(&self, k: u64) -> Option<(u64, u64)> {
        let (enter, leave) = self.line.above(k)?;
        let (enter, leave) = (enter.max(self.skipped), leave.min(self.skipped + self.length));
        let moment = |t: u64| self.start + (t - self.skipped);
        (enter < leave).then(|| (moment(enter), moment(leave)))
    }
}

impl StraightLine {
    /// ∫ level over the first `t` ns: from·t ± ⌊|to−from|·t² / 2L⌋, without overflow.
    fn area(&self, t: u64) -> u128 {
        let flat = u128::from(self.from) * u128::from(t);
        if self.length == 0 || self.from == self.to {
            return flat;
        }
        let (t, twice) = (u128::from(t), 2 * u128::from(self.length));
        let product = u128::from(self.from.abs_diff(self.to)) * t;
        let bend = product / twice * t + product % twice * t / twice;
        if self.to > self.from { flat + bend } else { flat - bend }
    }

    /// The smallest t with `area(t) ≥ amount`: a float estimate, corrected in integers.
    fn reaches(&self, amount: u128) -> u64 {
        if amount == 0 {
            return 0;
        }
        let (from, length) = (self.from as f64, self.length as f64);
        let slope = (self.to as f64 - from) / length;
        let target = amount as f64;
        // Solves slope/2·t² + from·t = target in the form that does not cancel.
        let root = (from * from + 2.0 * slope * target).max(0.0).sqrt();
        let guess = if from + root > 0.0 { 2.0 * target / (from + root) } else { length };
        let guess = (guess.max(0.0) as u64).min(self.length);
        // The float is exact to about 10⁻¹⁵ of t; bracket it and bisect.
        let mut bracket = 1 + guess / (1 << 48);
        let (mut low, mut high) = (guess.saturating_sub(bracket), guess.saturating_add(bracket));
        while low > 0 && self.area(low) >= amount {
            bracket *= 2;
            low = low.saturating_sub(bracket);
        }
        while high < self.length && self.area(high) < amount {
            bracket *= 2;
            high = high.saturating_add(bracket);
        }
        high = high.min(self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.area(middle) >= amount { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// The level after `t` ns of the line: its change is rounded down.
    fn level(&self, t: u64) -> u64 {
        let moved = u128::from(self.from.abs_diff(self.to)) * u128::from(t)
            / u128::from(self.length.max(1));
        let moved = moved as u64;
        if self.to >= self.from { self.from + moved } else { self.from - moved }
    }

    /// The same, rounded up.
    fn level_above(&self, t: u64) -> u64 {
        let moved = u128::from(self.from.abs_diff(self.to)) * u128::from(t);
        let up = moved.div_ceil(u128::from(self.length.max(1))) as u64;
        if self.to >= self.from { self.from + up } else { self.level(t) }
    }

    /// When the level is above `k`, from the line's start.
    fn above(&self, k: u64) -> Option<(u64, u64)> {
        // The time at which the line crosses k.
        let crossing = |distance: u64| {
            let span = u128::from(self.from.abs_diff(self.to));
            (u128::from(distance) * u128::from(self.length) / span) as u64
        };
        match (self.from > k, self.to > k) {
            (true, true) => Some((0, self.length)),
            (false, true) => Some((crossing(k - self.from), self.length)),
            (true, false) => Some((0, crossing(self.from - k))),
            (false, false) => None,
        }
    }
}
