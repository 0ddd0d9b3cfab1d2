//! A layer that does not answer is left alone for a while.
//!
//! `set` has one for each layer outside of the process; all shards share it.
//! Invariant: while the gate is closed, one request per pause is let through.

/// Failures in a row that close the gate.
const FAILURES: u32 = 3;

/// The gate of a layer.
#[derive(Clone, Debug)]
pub(super) struct LayerGate {
    pause_ms: u64,
    failures: u32,
    /// When the next request is let through; `None` if all are.
    closed_until: Option<u64>,
}

impl LayerGate {
    pub(super) fn new(pause_ms: u64) -> Self {
        Self { pause_ms, failures: 0, closed_until: None }
    }

    /// Whether a request may be made now.
    pub(super) fn is_open(&mut self, now_ms: u64) -> bool {
        match self.closed_until {
            None => true,
            Some(until) if now_ms < until => false,
            Some(_) => {
                // This one finds out; the others keep waiting.
                self.closed_until = Some(now_ms.saturating_add(self.pause_ms));
                true
            }
        }
    }

    /// A request was answered, or was not.
    pub(super) fn record(&mut self, is_answered: bool, now_ms: u64) {
        if is_answered {
            (self.failures, self.closed_until) = (0, None);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.closed_until = Some(now_ms.saturating_add(self.pause_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_closes_after_failures_and_lets_one_request_through_per_pause() {
        let mut gate = LayerGate::new(100);
        for _ in 0..FAILURES {
            assert!(gate.is_open(0));
            gate.record(false, 0);
        }
        assert!(!gate.is_open(99));
        assert!(gate.is_open(100) && !gate.is_open(100) && !gate.is_open(199));
        gate.record(false, 150);
        assert!(!gate.is_open(249) && gate.is_open(250));
        gate.record(true, 251);
        assert!(gate.is_open(252) && gate.is_open(252));
        // Failures with answers between them close nothing.
        for _ in 0..9 {
            gate.record(false, 300);
            gate.record(true, 300);
        }
        assert!(gate.is_open(300));
    }
}
