//! Whether the messages of a publisher arrive in the order in which it sent them.
//!
//! Each listener that reads stamps has one.
//! Invariant: its memory is bounded; publishers beyond the bound are counted, not checked.

use std::collections::HashMap;

/// Maximum publishers whose order a shard checks, over all its listeners.
pub const MAX_PAIRS: u64 = 1 << 20;

/// The last message of each publisher.
#[derive(Debug, Default)]
pub struct PublisherOrder {
    last: HashMap<u32, u32>,
}

impl PublisherOrder {
    /// Notes a message. Returns whether it came after one that its publisher sent later. `may_add`
    /// is asked before a further publisher is tracked.
    pub fn is_late(
        &mut self,
        publisher: u32,
        sequence: u32,
        may_add: impl FnOnce() -> bool,
    ) -> bool {
        match self.last.get_mut(&publisher) {
            // Sequences wrap: what is less than half the range away is later.
            Some(last) if sequence.wrapping_sub(*last) < 1 << 31 => {
                *last = sequence;
                false
            }
            Some(_) => true,
            None => {
                if may_add() {
                    self.last.insert(publisher, sequence);
                }
                false
            }
        }
    }

    /// How many publishers are tracked.
    pub fn tracked(&self) -> u64 {
        self.last.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_per_publisher_and_survives_wrapping() {
        let mut order = PublisherOrder::default();
        for (publisher, sequence, late) in [
            (1, 5, false),
            (2, 1, false),
            (1, 6, false),
            (1, 4, true),
            (2, 2, false),
            (1, 8, false),
            (3, u32::MAX, false),
            (3, 0, false),
            (3, u32::MAX, true),
        ] {
            let found = order.is_late(publisher, sequence, || true);
            assert_eq!(found, late, "{publisher} {sequence}");
        }
        assert!(!order.is_late(9, 9, || false) && !order.is_late(9, 1, || false));
        assert_eq!(order.tracked(), 3);
    }
}
