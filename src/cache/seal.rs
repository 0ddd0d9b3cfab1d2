//! Entries as bytes outside of the process: a frame, encrypted unless the scenario forbids it.
//!
//! `engine` seals what it writes to stores, and opens what it reads.
//! Invariant: bytes that were changed, were sealed with another key, or belong to another entry do
//! not open; whatever a store returns, opening it is bounded and does not fail otherwise.
//!
//! Frame: `MNC` and the version, how it is sealed, when it was written and ends (ms, little
//! endian), nonce, ciphertext with its tag. The key is HKDF-SHA256 of the secret; the cipher is
//! AES-256-GCM; the head of the frame and the entry's key are authenticated with it.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use sha2::{Digest, Sha256};

use super::entry::{Entry, MAX_PAYLOAD, MAX_STORED};
use super::key::EntryKey;

/// The fewest bytes of a secret.
pub const MIN_SECRET: usize = 16;

/// Magic and version.
const MAGIC: [u8; 4] = *b"MNC\x01";

const SEALED: u8 = 1;
const PLAIN: u8 = 0;

/// Magic, kind, and two times.
const HEAD: usize = 4 + 1 + 8 + 8;

/// Bytes of the checksum of an entry that is not encrypted.
const CHECKSUM: usize = 16;

/// How entries are written to stores.
pub struct Seal(Option<LessSafeKey>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Seal(encrypted)" } else { "Seal(none)" })
    }
}

impl Seal {
    /// With the key that follows from `secret`; without one, entries are not encrypted.
    pub fn new(secret: Option<&[u8]>) -> Self {
        Self(secret.and_then(|secret| {
            let salt = Salt::new(HKDF_SHA256, b"manada cache");
            let prk = salt.extract(secret);
            let okm = prk.expand(&[b"entries, AES-256-GCM"], &AES_256_GCM).ok()?;
            Some(LessSafeKey::new(UnboundKey::from(okm)))
        }))
    }

    /// The bytes of an entry for a store; `None` if it is too large.
    pub fn close(&self, key: &EntryKey, entry: &Entry) -> Option<Vec<u8>> {
        if entry.payload.len() > MAX_PAYLOAD {
            return None;
        }
        let kind = if self.0.is_some() { SEALED } else { PLAIN };
        let mut frame = Vec::with_capacity(HEAD + NONCE_LEN + entry.payload.len() + CHECKSUM);
        frame.extend_from_slice(&MAGIC);
        frame.push(kind);
        frame.extend_from_slice(&entry.written_ms.to_le_bytes());
        frame.extend_from_slice(&entry.expires_ms.to_le_bytes());
        let associated = associated(key, &frame);
        match &self.0 {
            Some(aead) => {
                let nonce: [u8; NONCE_LEN] = rand::random();
                let mut text = entry.payload.to_vec();
                let nonce_of = Nonce::assume_unique_for_key(nonce);
                aead.seal_in_place_append_tag(nonce_of, Aad::from(associated), &mut text).ok()?;
                frame.extend_from_slice(&nonce);
                frame.extend_from_slice(&text);
            }
            None => {
                frame.extend_from_slice(&entry.payload);
                frame.extend_from_slice(&checksum(&associated, &entry.payload));
            }
        }
        Some(frame)
    }

    /// The entry in bytes of a store; `None` if they cannot be read as one of this key.
    pub fn open(&self, key: &EntryKey, bytes: &[u8]) -> Option<Entry> {
        if bytes.len() > MAX_STORED {
            return None;
        }
        let (head, body) = bytes.split_at_checked(HEAD)?;
        let (magic, rest) = head.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first()?;
        let (written, rest) = rest.split_first_chunk()?;
        let (expires, _) = rest.split_first_chunk()?;
        if *magic != MAGIC {
            return None;
        }
        let associated = associated(key, head);
        let payload = match (&self.0, *kind) {
            (Some(aead), SEALED) => {
                let (nonce, text) = body.split_first_chunk::<NONCE_LEN>()?;
                let nonce = Nonce::assume_unique_for_key(*nonce);
                let mut text = text.to_vec();
                let opened = aead.open_in_place(nonce, Aad::from(associated), &mut text).ok()?;
                opened.to_vec()
            }
            // What is not encrypted is never taken for what is: its writer needed no key.
            (None, PLAIN) => {
                let (payload, sum) = body.split_last_chunk::<CHECKSUM>()?;
                (checksum(&associated, payload) == *sum).then(|| payload.to_vec())?
            }
            _ => return None,
        };
        Some(Entry {
            payload: payload.into(),
            written_ms: u64::from_le_bytes(*written),
            expires_ms: u64::from_le_bytes(*expires),
        })
    }
}

/// What is authenticated beside the values.
fn associated(key: &EntryKey, head: &[u8]) -> Vec<u8> {
    [key.bytes(), head].concat()
}

fn checksum(associated: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(associated).chain_update(payload).finalize();
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of 24 bytes ...";

    fn key(text: &str) -> EntryKey {
        EntryKey::of("tokens", "", text.as_bytes())
    }

    #[test]
    fn entries_open_with_their_key_alone() {
        let entry = Entry::new(br#"{"token":"t0ken-of-ada"}"#.to_vec(), 5, 100);
        for secret in [Some(SECRET), None] {
            let seal = Seal::new(secret);
            let bytes = seal.close(&key("ada"), &entry).unwrap();
            assert_eq!(seal.open(&key("ada"), &bytes), Some(entry.clone()));
            assert_eq!(seal.open(&key("bob"), &bytes), None);
            let shows = bytes.windows(5).any(|part| part == b"t0ken");
            assert_eq!(shows, secret.is_none());
            for other in [Some(&b"another secret of 30 bytes ..."[..]), None, Some(SECRET)] {
                let opened = Seal::new(other).open(&key("ada"), &bytes);
                assert_eq!(opened.is_some(), other == secret);
            }
        }
    }

    #[test]
    fn no_changed_byte_and_no_cut_opens() {
        let entry = Entry::new(vec![b'x'; 40], 5, 100);
        for secret in [Some(SECRET), None] {
            let seal = Seal::new(secret);
            let bytes = seal.close(&key("ada"), &entry).unwrap();
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1 << bit;
                    assert_eq!(seal.open(&key("ada"), &changed), None, "byte {at}, bit {bit}");
                }
                assert_eq!(seal.open(&key("ada"), &bytes[..at]), None, "cut at {at}");
            }
            assert_eq!(seal.open(&key("ada"), &vec![0; MAX_STORED + 1]), None);
        }
    }

    #[test]
    fn an_entry_is_sealed_differently_each_time_and_has_a_limit() {
        let seal = Seal::new(Some(SECRET));
        let entry = Entry::new(vec![b'x'; MAX_PAYLOAD], 5, 100);
        let bytes = seal.close(&key("ada"), &entry).unwrap();
        assert!(bytes.len() <= MAX_STORED);
        assert_ne!(bytes, seal.close(&key("ada"), &entry).unwrap());
        let larger = Entry::new(vec![b'x'; MAX_PAYLOAD + 1], 5, 100);
        assert_eq!(seal.close(&key("ada"), &larger), None);
    }
}
