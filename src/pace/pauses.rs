//! The closed model: how long users have been paused, and until when.
//!
//! `engine::live_schedule` records pauses here. A user that is paused between two iterations
//! continues afterwards as if no time had passed: everything scheduled after the pause moves later
//! by its length.
//! Invariant: pauses are in order and disjoint; the paused time before a given time never changes.

/// The pauses of a workload, in ns of any one clock.
#[derive(Clone, Debug, Default)]
pub struct Pauses(Vec<Pause>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    from: u64,
    /// `u64::MAX` while the end is unknown.
    to: u64,
    /// The length of all pauses before it.
    before: u64,
}

impl Pauses {
    /// Begins a pause.
    pub fn begin(&mut self, at_ns: u64) {
        let before = self.held_ns(at_ns);
        if self.until(at_ns).is_none() {
            self.0.push(Pause { from: at_ns, to: u64::MAX, before });
        }
    }

    /// Ends the pause.
    pub fn end(&mut self, at_ns: u64) {
        if let Some(last) = self.0.last_mut().filter(|last| last.to == u64::MAX) {
            last.to = at_ns.max(last.from);
        }
    }

    /// When the pause of a user that is idle at `t_ns` ends; `None` if there is no pause at that
    /// time.
    #[inline]
    pub fn until(&self, t_ns: u64) -> Option<u64> {
        self.latest(t_ns).map(|pause| pause.to).filter(|to| t_ns < *to)
    }

    /// When the next pause after `t_ns` begins; `u64::MAX` if none is known.
    pub fn next(&self, t_ns: u64) -> u64 {
        let next = self.0.partition_point(|pause| pause.from <= t_ns);
        self.0.get(next).map_or(u64::MAX, |pause| pause.from)
    }

    /// How long users have been paused up to `t_ns`, ns.
    #[inline]
    pub fn held_ns(&self, t_ns: u64) -> u64 {
        self.latest(t_ns).map_or(0, |pause| pause.before + t_ns.min(pause.to) - pause.from)
    }

    /// The last pause that had begun by `t_ns`.
    fn latest(&self, t_ns: u64) -> Option<&Pause> {
        let next = self.0.partition_point(|pause| pause.from <= t_ns);
        next.checked_sub(1).and_then(|last| self.0.get(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_time_adds_up_over_pauses() {
        let mut pauses = Pauses::default();
        assert_eq!((pauses.held_ns(50), pauses.until(50), pauses.next(0)), (0, None, u64::MAX));
        pauses.begin(100);
        pauses.begin(120);
        assert_eq!((pauses.until(99), pauses.next(99)), (None, 100));
        assert_eq!((pauses.until(100), pauses.held_ns(130)), (Some(u64::MAX), 30));
        pauses.end(150);
        pauses.end(170);
        pauses.begin(200);
        pauses.end(210);
        let held = [100, 140, 150, 199, 205, 900].map(|t| pauses.held_ns(t));
        assert_eq!(held, [0, 40, 50, 50, 55, 60]);
        let until = [149, 150, 200, 209, 210].map(|t| pauses.until(t));
        assert_eq!(until, [Some(150), None, Some(210), Some(210), None]);
    }
}
