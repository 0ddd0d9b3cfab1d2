//! The layer in memory: entries of this process.
//!
//! `set` has one for each cache with such a layer.
//! Invariant: entries and bytes stay within their limits; the entry that was used longest ago is
//! removed first.

use std::collections::{BTreeMap, HashMap};

use super::entry::Entry;
use super::key::EntryKey;

/// What an entry takes beside its values, bytes, as an estimate.
const OVERHEAD: usize = 200;

/// Entries in memory.
#[derive(Debug)]
pub(super) struct MemoryLayer {
    max_entries: usize,
    max_bytes: usize,
    ttl_ms: u64,
    bytes: usize,
    /// Counts uses.
    turn: u64,
    entries: HashMap<EntryKey, Kept>,
    /// The keys by their last use.
    by_use: BTreeMap<u64, EntryKey>,
}

/// An entry in memory.
#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// When it is removed, ms.
    until_ms: u64,
    /// Its last use.
    turn: u64,
}

/// What the layer has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MemoryReply {
    Hit(Entry),
    Miss,
    Expired,
}

impl MemoryLayer {
    pub(super) fn new(max_entries: usize, max_bytes: usize, ttl_ms: u64) -> Self {
        let (entries, by_use) = (HashMap::new(), BTreeMap::new());
        Self { max_entries, max_bytes, ttl_ms, bytes: 0, turn: 0, entries, by_use }
    }

    /// The entry of a key that may be used now.
    pub(super) fn get(&mut self, key: &EntryKey, now_ms: u64) -> MemoryReply {
        let Some(kept) = self.entries.get_mut(key) else { return MemoryReply::Miss };
        if kept.until_ms <= now_ms {
            self.remove(key);
            return MemoryReply::Expired;
        }
        self.turn += 1;
        self.by_use.remove(&kept.turn);
        kept.turn = self.turn;
        self.by_use.insert(self.turn, *key);
        MemoryReply::Hit(kept.entry.clone())
    }

    /// Keeps an entry that has `left_ms`; returns whether there is room for it.
    pub(super) fn put(&mut self, key: EntryKey, entry: Entry, now_ms: u64, left_ms: u64) -> bool {
        self.remove(&key);
        let size = entry.payload.len() + OVERHEAD;
        if size > self.max_bytes || self.max_entries == 0 {
            return false;
        }
        while self.entries.len() >= self.max_entries || self.bytes + size > self.max_bytes {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            let oldest = *oldest;
            self.remove(&oldest);
        }
        self.turn += 1;
        self.bytes += size;
        self.by_use.insert(self.turn, key);
        let until_ms = now_ms.saturating_add(left_ms.min(self.ttl_ms));
        self.entries.insert(key, Kept { entry, until_ms, turn: self.turn });
        true
    }

    /// Removes the entry of a key.
    pub(super) fn remove(&mut self, key: &EntryKey) {
        if let Some(kept) = self.entries.remove(key) {
            self.bytes -= kept.entry.payload.len() + OVERHEAD;
            self.by_use.remove(&kept.turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> EntryKey {
        EntryKey::of("c", "", number.to_string().as_bytes())
    }

    #[test]
    fn entries_and_bytes_stay_within_their_limits() {
        let mut memory = MemoryLayer::new(3, 10_000, 1_000);
        let entry = |bytes: usize| Entry::new(vec![b'x'; bytes], 0, 1_000);
        for number in 0..3 {
            assert!(memory.put(key(number), entry(10), 0, 9_000));
        }
        // The first was used last, so the second goes.
        assert!(matches!(memory.get(&key(0), 1), MemoryReply::Hit(_)));
        assert!(memory.put(key(3), entry(10), 0, 9_000));
        assert_eq!(memory.get(&key(1), 1), MemoryReply::Miss);
        assert!(matches!(memory.get(&key(0), 1), MemoryReply::Hit(_)));
        // A large one displaces the others, one that is too large none.
        assert!(!memory.put(key(9), entry(10_000), 0, 9_000));
        assert_eq!(memory.entries.len(), 3);
        assert!(memory.put(key(4), entry(9_700), 0, 9_000));
        assert_eq!((memory.entries.len(), memory.bytes), (1, 9_900));
        assert_eq!(memory.get(&key(4), 1_000), MemoryReply::Expired);
        assert_eq!((memory.entries.len(), memory.by_use.len(), memory.bytes), (0, 0, 0));
    }
}
