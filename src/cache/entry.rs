//! An entry of a cache: the captured values as JSON, and for how long they may be used.
//!
//! `seal` writes it to bytes and reads it, all layers keep it.
//! Invariant: an entry is never used after its end, nor at a greater age than the cache allows
//! now, whichever is earlier.

use std::sync::Arc;

/// Maximum bytes of an entry's values.
pub const MAX_PAYLOAD: usize = 256 << 10;

/// Maximum bytes of a stored entry: the values, and the frame around them.
pub const MAX_STORED: usize = MAX_PAYLOAD + 128;

/// The captured values of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The values by name, as a JSON object.
    pub payload: Arc<[u8]>,
    /// When it was written, ms since the epoch.
    pub written_ms: u64,
    /// When it ends, ms since the epoch.
    pub expires_ms: u64,
}

impl Entry {
    /// An entry that is written now.
    pub fn new(payload: Vec<u8>, now_ms: u64, ttl_ms: u64) -> Self {
        let expires_ms = now_ms.saturating_add(ttl_ms);
        Self { payload: payload.into(), written_ms: now_ms, expires_ms }
    }

    /// How long it may still be used under a time to live, ms; 0 if it is over. An entry of a
    /// clock that is ahead has the time to live at most.
    pub fn left_ms(&self, now_ms: u64, ttl_ms: u64) -> u64 {
        let by_age = ttl_ms.saturating_sub(now_ms.saturating_sub(self.written_ms));
        self.expires_ms.saturating_sub(now_ms).min(by_age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ends_by_its_writer_or_by_its_age() {
        let entry = Entry::new(b"{}".to_vec(), 1_000, 500);
        for (now, ttl, left) in [
            (1_000, 500, 500),
            (1_499, 500, 1),
            (1_500, 500, 0),
            // A shorter time to live than its writer's counts, a longer one does not.
            (1_100, 200, 100),
            (1_100, 9_000, 400),
            // Its writer's clock is ahead.
            (10, 500, 500),
        ] {
            assert_eq!(entry.left_ms(now, ttl), left, "at {now} under {ttl}");
        }
    }
}
