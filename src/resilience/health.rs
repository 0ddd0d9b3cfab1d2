//! The health of a backend: it follows from passed and failed checks in a row.
//!
//! `run::health` makes the checks.
//! Invariant: the health changes only after `rise` or `fall` equal checks in a row.

/// The health of a backend.
#[derive(Clone, Copy, Debug)]
pub struct HealthState {
    rise: u32,
    fall: u32,
    is_healthy: bool,
    /// Checks in a row that contradict the health.
    against: u32,
}

impl HealthState {
    /// A backend before its first check.
    pub fn new((rise, fall): (u32, u32), is_healthy: bool) -> Self {
        Self { rise, fall, is_healthy, against: 0 }
    }

    /// Whether it is healthy.
    pub fn is_healthy(&self) -> bool {
        self.is_healthy
    }

    /// Takes the result of a check. Returns the number of checks in a row if they change the
    /// health.
    pub fn observe(&mut self, passed: bool) -> Option<u32> {
        if passed == self.is_healthy {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if passed { self.rise } else { self.fall };
        if self.against < needed {
            return None;
        }
        self.is_healthy = passed;
        Some(std::mem::take(&mut self.against))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_changes_after_checks_in_a_row() {
        let mut state = HealthState::new((2, 3), true);
        // Passed, failed; a number where the health changes.
        for (at, (passed, change)) in [
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(3)),
            (false, None),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(2)),
            (true, None),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(state.observe(passed), change, "check {at}");
        }
        assert!(state.is_healthy());
        let mut once = HealthState::new((1, 1), true);
        assert_eq!((once.observe(false), once.observe(true)), (Some(1), Some(1)));
    }
}
