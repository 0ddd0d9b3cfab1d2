//! The key of an entry: a hash, since keys are account names.
//!
//! `engine` makes it of the name of the cache, the targets of the scenario and the rendered key.
//! Invariant: what belongs to one cache, or to one set of targets, is never found by another.

use sha2::{Digest, Sha256};

use crate::hex::hex;

/// The key of an entry, in all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey([u8; 32]);

impl EntryKey {
    /// The key of `key` in a cache for these targets.
    pub fn of(cache: &str, targets: &str, key: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [b"manada cache 1".as_slice(), cache.as_bytes(), targets.as_bytes(), key] {
            // With its length: no two sequences of parts are one text.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Self(std::array::from_fn(|at| digest[at]))
    }

    /// The bytes of the hash.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name under which a store keeps the entry.
    pub fn name(&self, cache: &str) -> String {
        format!("manada:cache:{cache}:{}", hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_cache_targets_and_key_and_show_none_of_them() {
        let key = EntryKey::of("tokens", "a=http://h:1", b"ada@example.com");
        let others = [
            EntryKey::of("token", "a=http://h:1", b"ada@example.com"),
            EntryKey::of("tokens", "a=http://h:2", b"ada@example.com"),
            EntryKey::of("tokens", "a=http://h:1", b"ada@example.co"),
            EntryKey::of("tokensa", "=http://h:1", b"ada@example.com"),
        ];
        assert!(others.iter().all(|other| *other != key));
        let name = key.name("tokens");
        assert!(name.starts_with("manada:cache:tokens:") && name.len() == 20 + 64, "{name}");
        assert!(!name.contains("example"), "{name}");
    }
}
