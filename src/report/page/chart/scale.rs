//! Linear and logarithmic scales, and their ticks.
//!
//! Charts place everything through them.
//! Invariant: a value of the domain is mapped into the range; a value outside is put on its edge.

/// A scale onto `0..=1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AxisScale {
    /// Linear, from zero to `top`, with a tick every `step`.
    Linear { top: f64, step: f64 },
    /// Logarithmic, between two values above zero.
    Log(f64, f64),
}

impl AxisScale {
    /// Returns a linear scale from zero to a round number not below any value.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        Self::linear_in(values, 1.0)
    }

    /// Returns a linear scale of bytes: its ticks are round in KiB, MiB or GiB.
    pub fn bytes(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let most = values.iter().copied().fold(1.0, f64::max);
        let power = (most.log2() / 10.0 + 1e-9).floor() as i32;
        Self::linear_in(values.into_iter(), 1_024_f64.powi(power))
    }

    /// Returns a linear scale whose ticks are round multiples of `unit`.
    fn linear_in(values: impl Iterator<Item = f64>, unit: f64) -> Self {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let top = if most > 0.0 { most } else { unit };
        let step = nice(top / unit / 4.0) * unit;
        Self::Linear { top: (top / step - 1e-9).ceil() * step, step }
    }

    /// Returns a logarithmic scale around all values, to powers of ten or half decades.
    pub fn log(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite()) {
            least = least.min(value.max(1.0));
            most = most.max(value.max(1.0));
        }
        if most == 0.0 {
            return Self::Log(1e3, 1e6);
        }
        let (mut from, mut to) = (below(least), above(most));
        // A chart of a single value needs some room around it.
        if to / from < 9.0 {
            (from, to) = (below((from / 2.0).max(1.0)), above(to * 2.0));
        }
        Self::Log(from, to.max(from * 10.0))
    }

    /// Returns the place of a value, 0 to 1.
    pub fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { top, .. } => value / top,
            Self::Log(from, to) => (value.max(1e-9) / from).ln() / (to / from).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Returns round values in the domain, lowest first.
    pub fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { top, step } => {
                let count = (top / step + 1e-9) as usize;
                (0..=count).map(|at| at as f64 * step).collect()
            }
            Self::Log(from, to) => {
                let decades = (to / from).log10();
                let steps: &[f64] = if decades <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let first = from.log10().floor() as i32;
                let powers = (first..=first + decades.ceil() as i32 + 1).map(|at| 10f64.powi(at));
                powers
                    .flat_map(|power| steps.iter().map(move |step| power * step))
                    .filter(|tick| (from * 0.999..=to * 1.001).contains(tick))
                    .collect()
            }
        }
    }
}

/// Returns 1, 2 or 5 times a power of ten, not below `value`.
pub fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-12).log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// Returns 1, 2 or 5 times a power of ten, not above `value`.
fn below(value: f64) -> f64 {
    let power = 10f64.powf((value * (1.0 + 1e-9)).log10().floor());
    let step = [5.0, 2.0].into_iter().find(|step| step * power <= value * (1.0 + 1e-9));
    step.unwrap_or(1.0) * power
}

fn above(value: f64) -> f64 {
    nice(value)
}

/// Returns the seconds between two ticks of a time axis of this length, for at most `most` ticks.
pub fn time_step(seconds: f64, most: f64) -> u32 {
    const STEPS: [u32; 18] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
        86_400,
    ];
    let fits = |step: &u32| seconds / f64::from(*step) <= most;
    // Beyond some days: whole days.
    let days = (seconds / most / 86_400.0).ceil() as u32 * 86_400;
    STEPS.into_iter().find(fits).unwrap_or(days)
}

/// Formats a time of a run for an axis: `0:05`, `12:00`, `1:02:00`.
pub fn clock(second: u32) -> String {
    let (hours, minutes, seconds) = (second / 3_600, second / 60 % 60, second % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers_around_their_values() {
        for (values, top, ticks) in [
            (vec![], 1.0, vec![0.0, 0.5, 1.0]),
            (vec![0.0], 1.0, vec![0.0, 0.5, 1.0]),
            (vec![93.0, 7.0], 100.0, vec![0.0, 50.0, 100.0]),
            (vec![100.0], 100.0, vec![0.0, 50.0, 100.0]),
            (vec![101.0, f64::NAN], 150.0, vec![0.0, 50.0, 100.0, 150.0]),
            (vec![3_700.0], 4_000.0, vec![0.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0]),
            (vec![0.03], 0.03, vec![0.0, 0.01, 0.02, 0.03]),
        ] {
            let scale = AxisScale::linear(values.iter().copied());
            let AxisScale::Linear { top: found, .. } = scale else { panic!("{scale:?}") };
            assert!((found - top).abs() < 1e-9, "{values:?}: {found}");
            let found = scale.ticks();
            assert_eq!(found.len(), ticks.len(), "{values:?}: {found:?}");
            let near = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-9;
            assert!(found.iter().zip(&ticks).all(near), "{values:?}: {found:?}");
        }
        for (values, from, to) in [
            (vec![], 1e3, 1e6),
            (vec![130.0, 45_000.0], 100.0, 50_000.0),
            (vec![1_000.0], 500.0, 5_000.0),
            (vec![0.0], 1.0, 10.0),
            (vec![1.0, 3.6e9], 1.0, 5e9),
        ] {
            let scale = AxisScale::log(values.iter().copied());
            let AxisScale::Log(low, high) = scale else { panic!("{scale:?}") };
            assert!((low / from - 1.0).abs() < 1e-6, "{values:?}: {scale:?}");
            assert!((high / to - 1.0).abs() < 1e-6, "{values:?}: {scale:?}");
        }
    }

    #[test]
    fn bytes_have_round_ticks_in_binary_units() {
        const MIB: f64 = 1_048_576.0;
        for (most, ticks) in [
            (16.9 * MIB, vec![0.0, 5.0 * MIB, 10.0 * MIB, 15.0 * MIB, 20.0 * MIB]),
            (900.0, vec![0.0, 500.0, 1_000.0]),
            (MIB, vec![0.0, 0.5 * MIB, MIB]),
            (0.0, vec![0.0, 0.5, 1.0]),
        ] {
            assert_eq!(AxisScale::bytes([most].into_iter()).ticks(), ticks, "{most}");
        }
    }

    #[test]
    fn places_are_in_order_and_within() {
        for scale in [AxisScale::Linear { top: 50.0, step: 20.0 }, AxisScale::Log(1.0, 1e6)] {
            let values = [-5.0, 0.0, 0.5, 1.0, 2.0, 49.0, 50.0, 1e6, 1e12];
            let places = values.map(|value| scale.place(value));
            assert!(places.is_sorted(), "{places:?}");
            assert!(places.iter().all(|place| (0.0..=1.0).contains(place)), "{places:?}");
        }
        assert!((AxisScale::Log(1.0, 1e4).place(100.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn log_ticks_are_few_and_within() {
        for (from, to, ticks) in [
            (100.0, 10_000.0, vec![1e2, 2e2, 5e2, 1e3, 2e3, 5e3, 1e4]),
            (500.0, 5_000.0, vec![5e2, 1e3, 2e3, 5e3]),
            (1.0, 1e6, vec![1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6]),
        ] {
            let found = AxisScale::Log(from, to).ticks();
            assert_eq!(found.len(), ticks.len(), "{found:?}");
            assert!(found.iter().zip(&ticks).all(|(a, b)| (a / b - 1.0).abs() < 1e-6), "{found:?}");
        }
    }

    #[test]
    fn time_ticks_are_what_a_clock_shows() {
        for (seconds, step) in [
            (3.0, 1),
            (10.0, 2),
            (60.0, 10),
            (90.0, 15),
            (3_600.0, 600),
            (86_400.0, 14_400),
            (7.0 * 86_400.0, 86_400),
            (70.0 * 86_400.0, 864_000),
        ] {
            assert_eq!(time_step(seconds, 7.0), step, "{seconds}");
        }
        for (second, text) in [(0, "0:00"), (65, "1:05"), (3_600, "1:00:00"), (90_061, "25:01:01")]
        {
            assert_eq!(clock(second), text);
        }
    }
}
