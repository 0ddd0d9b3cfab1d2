//! CPU time of the shards over the seconds of a run, beside what they did in it.
//!
//! The Tally fills it from gauges; reports have it, and `forecast::cost_model` tells the start of a
//! run from its steady part by it.
//! Invariant: the sums over all intervals are those of the run, and there are at most
//! [`MAX_INTERVALS`]: longer runs have longer intervals.

/// Maximum number of intervals.
pub const MAX_INTERVALS: usize = 64;

/// What the shards used and did in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuInterval {
    /// CPU time of the shards' threads, ns.
    pub cpu_ns: u64,
    /// Calls that were sent.
    pub calls: u64,
    /// Connections that were opened.
    pub opened: u64,
}

impl CpuInterval {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            calls: self.calls + other.calls,
            opened: self.opened + other.opened,
        }
    }
}

/// The intervals of a run, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuIntervals {
    /// The length of an interval, whole seconds.
    pub seconds: u64,
    /// The intervals.
    pub list: Vec<CpuInterval>,
}

impl Default for CpuIntervals {
    fn default() -> Self {
        Self { seconds: 1, list: Vec::new() }
    }
}

impl CpuIntervals {
    /// Adds what a shard did until `elapsed_ns` after the start of the run: it belongs to the
    /// second that ends there, or nearly so.
    pub fn add(&mut self, elapsed_ns: u64, part: CpuInterval) {
        let second = (elapsed_ns + 500_000_000) / 1_000_000_000;
        let second = second.saturating_sub(1);
        while second / self.seconds >= MAX_INTERVALS as u64 {
            self.seconds *= 2;
            let pair =
                |two: &[CpuInterval]| two.iter().fold(CpuInterval::default(), |a, b| a.plus(*b));
            self.list = self.list.chunks(2).map(pair).collect();
        }
        let at = (second / self.seconds) as usize;
        if self.list.len() <= at {
            self.list.resize(at + 1, CpuInterval::default());
        }
        self.list[at] = self.list[at].plus(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn part(cpu_ns: u64) -> CpuInterval {
        CpuInterval { cpu_ns, calls: 10, opened: 1 }
    }

    #[test]
    fn deltas_belong_to_the_second_that_they_end() {
        let mut cpu = CpuIntervals::default();
        // Two shards, a little late; the rest after the load belongs to the last second.
        for (elapsed_ns, cpu_ns) in
            [(SECOND + 300, 5), (SECOND + 900, 6), (2 * SECOND + 40_000_000, 7), (2_300_000_000, 1)]
        {
            cpu.add(elapsed_ns, part(cpu_ns));
        }
        assert_eq!(cpu.list.iter().map(|one| one.cpu_ns).collect::<Vec<_>>(), [11, 8]);
        assert_eq!(cpu.list[0], CpuInterval { cpu_ns: 11, calls: 20, opened: 2 });
    }

    #[test]
    fn long_runs_have_longer_intervals_with_the_same_sums() {
        let mut cpu = CpuIntervals::default();
        for second in 1..=1_000 {
            cpu.add(second * SECOND, part(second));
        }
        assert_eq!((cpu.seconds, cpu.list.len()), (16, 63));
        let sum = cpu.list.iter().fold(CpuInterval::default(), |a, b| a.plus(*b));
        assert_eq!(sum, CpuInterval { cpu_ns: 500_500, calls: 10_000, opened: 1_000 });
        assert_eq!(cpu.list[0].cpu_ns, (1..=16).sum::<u64>());
    }

    #[test]
    fn an_order_of_shards_changes_nothing() {
        let parts = [(SECOND, part(1)), (70 * SECOND, part(2)), (2 * SECOND, part(4))];
        let of = |order: [usize; 3]| {
            let mut cpu = CpuIntervals::default();
            order.into_iter().for_each(|at| cpu.add(parts[at].0, parts[at].1));
            cpu
        };
        assert_eq!(of([0, 1, 2]), of([2, 1, 0]));
        assert_eq!(of([0, 1, 2]), of([1, 0, 2]));
    }
}
