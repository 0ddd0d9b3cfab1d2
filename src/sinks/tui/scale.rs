//! The value axis of a chart: its unit, its range, and round values at rows of the screen.
//!
//! `chart` draws it, the heat map takes its round values.
//! Invariant: a label is a round number and stands exactly in the row of its value; the labels of a
//! linear axis have one unit.

use crate::units::{show_count, show_rate, show_us};

/// The unit of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Microseconds.
    Time,
    /// A rate per second.
    PerSecond,
    /// A number.
    Number,
}

impl Measure {
    /// Formats a value with its unit.
    pub(super) fn show(self, value: f64) -> String {
        let value = value.max(0.0);
        match self {
            _ if value.is_infinite() => "no response".to_owned(),
            Self::Time => show_us(value.round() as u64),
            Self::PerSecond => format!("{}/s", show_rate(value)),
            Self::Number if value < 10.0 && value.fract() > 0.0 => format!("{value:.1}"),
            Self::Number => show_count(value.round() as u64),
        }
    }

    /// Formats multiples of `step`, all in the unit of the largest, `most`.
    fn tick(self, value: f64, step: f64, most: f64) -> String {
        let (unit, name) = match self {
            Self::Time if most >= 1e6 => (1e6, " s"),
            Self::Time if most >= 1e3 => (1e3, " ms"),
            Self::Time => (1.0, " µs"),
            Self::PerSecond => (1.0, "/s"),
            Self::Number => (1.0, ""),
        };
        if value <= 0.0 {
            return "0".to_owned();
        }
        // A step of 0.5 has one decimal, one of 20 has none.
        let decimals = (-(step / unit * 1.000_001).log10().floor()).max(0.0) as usize;
        match decimals {
            0 => format!("{}{name}", show_count((value / unit).round() as u64)),
            _ => format!("{:.decimals$}{name}", value / unit),
        }
    }
}

/// The value axis.
pub(super) struct ValueScale {
    low: f64,
    high: f64,
    is_log: bool,
    /// Rows with a label, counted from the top.
    pub(super) ticks: Vec<(u16, String)>,
}

impl ValueScale {
    /// Returns an axis over `rows` rows that contains all values.
    pub(super) fn of(
        values: impl Iterator<Item = f64>,
        measure: Measure,
        log: bool,
        rows: u16,
    ) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        let gaps = rows.saturating_sub(1).max(1);
        if log && high > 0.0 {
            Self::log(low, high, gaps)
        } else {
            Self::linear(high, measure, gaps)
        }
    }

    /// From zero; a label every few rows.
    fn linear(high: f64, measure: Measure, gaps: u16) -> Self {
        let apart = match gaps {
            ..=3 => gaps..=gaps,
            4..=11 => 2..=4.min(gaps),
            _ => 3..=6,
        };
        // A share of a connection is no label.
        let least = if measure == Measure::Number { 1.0 } else { 0.0 };
        let fits = |apart: u16| {
            let wanted = if high > 0.0 { high } else { 1.0 };
            let step = round_up(wanted * f64::from(apart) / f64::from(gaps)).max(least);
            (step * f64::from(gaps) / f64::from(apart), step, apart)
        };
        let lowest = apart.map(fits).min_by(|one, other| one.0.total_cmp(&other.0));
        let (top, step, apart) = lowest.unwrap_or((1.0, 1.0, gaps));
        let count = gaps / apart;
        let most = step * f64::from(count);
        let tick = |at: u16| (gaps - at * apart, measure.tick(step * f64::from(at), step, most));
        Self { low: 0.0, high: top, is_log: false, ticks: (0..=count).map(tick).collect() }
    }

    /// Powers of ten, the same number of rows apart, or several in a row.
    fn log(low: f64, high: f64, gaps: u16) -> Self {
        let first = (low * 1.000_001).log10().floor() as i32;
        let decades = ((high * 0.999_999).log10().ceil() as i32 - first).max(1) as u16;
        let (apart, per_tick) =
            if decades <= gaps { (gaps / decades, 1) } else { (1, decades.div_ceil(gaps)) };
        let power = |tenfolds: f64| 10_f64.powf(f64::from(first) + tenfolds);
        let tick = |at: u16| {
            let value = power(f64::from(at * per_tick));
            (gaps - at * apart, show_round_us(value))
        };
        let top = power(f64::from(gaps) / f64::from(apart) * f64::from(per_tick));
        let ticks = (0..=gaps / apart).map(tick).collect();
        Self { low: power(0.0), high: top, is_log: true, ticks }
    }

    /// Returns the place of a value, 0 (bottom) to 1 (top).
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }
}

/// Formats a round time in its own unit: `200 µs`, `5 ms`, `1 s`.
pub(super) fn show_round_us(us: f64) -> String {
    let unit = match us {
        us if us >= 1e6 => (1e6, "s"),
        us if us >= 1e3 => (1e3, "ms"),
        _ => (1.0, "µs"),
    };
    format!("{} {}", show_count((us / unit.0).round() as u64), unit.1)
}

/// Returns the next round number: 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value * 0.999_999).unwrap_or(10.0 * power)
}

/// Returns the roundest number within `low..high`: a power of ten, else 5 or 2 times one, with how
/// round it is (0 is roundest).
pub(super) fn round_within(low: f64, high: f64) -> Option<(f64, u8)> {
    let power = 10_f64.powf(low.max(1e-9).log10().floor());
    let within = |value: &(f64, u8)| (low..high).contains(&value.0);
    let all = [(power, 0), (power * 10.0, 0), (power * 5.0, 1), (power * 2.0, 2)];
    all.into_iter().find(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &ValueScale) -> Vec<(u16, &str)> {
        scale.ticks.iter().map(|(row, text)| (*row, text.as_str())).collect()
    }

    #[test]
    fn labels_are_round_in_one_unit_and_stand_at_their_value() {
        for (high, measure, rows, wanted) in [
            (1.4e6, Measure::Time, 6, vec![(5, "0"), (2, "1 s")]),
            (44.0, Measure::PerSecond, 5, vec![(4, "0"), (0, "50/s")]),
            (44.0, Measure::PerSecond, 8, vec![(7, "0"), (4, "20/s"), (1, "40/s")]),
            (0.3, Measure::PerSecond, 2, vec![(1, "0"), (0, "0.5/s")]),
            (3.0, Measure::Number, 9, vec![(8, "0"), (6, "1"), (4, "2"), (2, "3"), (0, "4")]),
            (0.0, Measure::Number, 3, vec![(2, "0"), (0, "1")]),
            (850.0, Measure::Time, 4, vec![(3, "0"), (0, "1 ms")]),
            (12_000.0, Measure::Number, 3, vec![(2, "0"), (0, "20 000")]),
        ] {
            let scale = ValueScale::of([high].into_iter(), measure, false, rows);
            assert_eq!(labels(&scale), wanted, "{high} in {rows} rows");
            assert!(scale.high >= high * 0.999);
        }
        let scale = ValueScale::of([800.0, 1.2e6].into_iter(), Measure::Time, true, 12);
        let wanted =
            [(11, "100 µs"), (9, "1 ms"), (7, "10 ms"), (5, "100 ms"), (3, "1 s"), (1, "10 s")];
        assert_eq!(labels(&scale), wanted);
        // More decades than rows.
        let scale = ValueScale::of([1.0, 1e7].into_iter(), Measure::Time, true, 4);
        assert_eq!(labels(&scale), [(3, "1 µs"), (2, "1 ms"), (1, "1 s"), (0, "1 000 s")]);
    }

    #[test]
    fn a_label_is_in_the_row_of_its_value_and_order_is_kept() {
        for rows in 2..40_u16 {
            for high in [0.2, 1.0, 7.0, 44.0, 201.0, 1.4e6] {
                let scale = ValueScale::of([high].into_iter(), Measure::PerSecond, false, rows);
                for (row, label) in &scale.ticks {
                    let text: String = label.chars().filter(|c| !" /s".contains(*c)).collect();
                    let value: f64 = text.parse().unwrap();
                    let place = f64::from(rows - 1 - row) / f64::from(rows - 1);
                    assert!((scale.place(value) - place).abs() < 1e-6, "{high} {rows} {label}");
                }
            }
            for log in [false, true] {
                let values = [3.0, 40.0, 900.0];
                let scale = ValueScale::of(values.into_iter(), Measure::Time, log, rows);
                let places: Vec<f64> = [1.0, 3.0, 40.0, 900.0, 1e6].map(|v| scale.place(v)).into();
                assert!(places.is_sorted() && places[3] <= 1.0 && places[4] >= 1.0, "{places:?}");
                assert!((scale.place(f64::INFINITY) - 1.0).abs() < 1e-9);
            }
        }
        assert!(ValueScale::of([].into_iter(), Measure::Time, true, 5).high > 0.0);
    }

    #[test]
    fn the_roundest_number_of_a_range_is_found() {
        for (low, high, found) in [
            (90.0, 120.0, Some((100.0, 0))),
            (4_870.0, 5_800.0, Some((5_000.0, 1))),
            (100.0, 119.0, Some((100.0, 0))),
            (1.9, 2.3, Some((2.0, 2))),
            (23.0, 27.0, None),
        ] {
            assert_eq!(round_within(low, high), found, "{low}..{high}");
        }
    }
}
