//! Response times by magnitude: one column of a heat map.
//!
//! A Timeline's points hold them; screens and reports colour them.
//! Invariant: a row covers a quarter of an octave, so its bounds are known without the data; each
//! reason to have no time has a row of its own, above all times.

use super::latency::{Latency, Untimed};

/// Rows per octave: each is 19 % higher than the one below.
const PER_OCTAVE: f64 = 4.0;

/// The first row of calls without any time: one row for each [`Untimed`], in its order.
pub const BEYOND: u8 = u8::MAX - Untimed::ALL.len() as u8;

/// Why the calls of a row have no time; `None` if the row is one of times.
pub fn untimed(row: u8) -> Option<Untimed> {
    Untimed::ALL.get(usize::from(row.checked_sub(BEYOND)?)).copied()
}

/// Calls by row, lowest first; empty rows are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeatColumn(pub Vec<(u8, u32)>);

impl HeatColumn {
    /// Creates the column of a distribution. A timeout counts at its age.
    pub fn of(latency: &Latency) -> Self {
        let mut heat = Self::default();
        for part in [latency.answers(), latency.timeouts()] {
            part.buckets().for_each(|(us, count)| heat.count(row_of(us), count));
        }
        for why in Untimed::ALL {
            heat.count(BEYOND + why as u8, latency.untimed(why));
        }
        heat
    }

    /// Adds all counts of another.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|&(row, count)| self.count(row, count.into()));
    }

    fn count(&mut self, row: u8, count: u64) {
        if count == 0 {
            return;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match self.0.binary_search_by_key(&row, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (row, count)),
        }
    }
}

/// The row of a duration.
pub fn row_of(us: u64) -> u8 {
    ((us.max(1) as f64).log2() * PER_OCTAVE) as u8
}

/// Lower bound of a row, µs; the next row begins where it ends.
pub fn row_us(row: u8) -> f64 {
    (f64::from(row) / PER_OCTAVE).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_within_its_row() {
        for us in [1, 2, 3, 7, 100, 999, 1_000, 65_536, 1_000_000, 3_600_000_000] {
            let row = row_of(us);
            assert!(row_us(row) <= us as f64 + 1e-6 && (us as f64) < row_us(row + 1), "{us}");
            assert!(row < BEYOND);
        }
    }

    #[test]
    fn every_call_has_a_row_and_untimed_ones_are_on_top() {
        let mut latency = Latency::default();
        [1, 1, 50, 4_000].iter().for_each(|ms| latency.answered(ms * 1_000_000));
        latency.at_least(1_000_000_000);
        latency.beyond_n(Untimed::NoResponse, 3);
        latency.beyond_n(Untimed::Dropped, 7);
        let mut heat = HeatColumn::of(&latency);
        assert_eq!(heat.0.iter().map(|(_, count)| u64::from(*count)).sum::<u64>(), latency.count());
        assert_eq!(heat.0[heat.0.len() - 2..], [(BEYOND, 3), (BEYOND + 3, 7)]);
        assert_eq!(untimed(BEYOND + 3), Some(Untimed::Dropped));
        assert_eq!(heat.0[0], (row_of(1_000), 2));
        heat.add(&heat.clone());
        assert_eq!(heat.0[0], (row_of(1_000), 4));
        assert!(heat.0.is_sorted());
    }
}
