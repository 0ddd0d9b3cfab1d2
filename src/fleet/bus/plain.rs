//! Plain values that processes of a fleet share: the setup of a run, its files by their hash, and
//! what only one process may do.
//!
//! `run` puts and gets them through the client.
//! The values expire as all keys do; a client that writes control records renews those that it has
//! put or read.
//! Invariant: a value is read as it was written or not at all; a value in parts becomes visible
//! with its last part.
//!
//! A value is a head (magic, length, first 16 bytes of its SHA-256), then itself, or, if it is
//! longer than [`PART`], the parts of it under keys with its hash: two writers of different values
//! never share a part.

use redis::Value;
use sha2::{Digest, Sha256};

use super::client::BusClient;
use super::error::BusError;
use super::forms::BusPayload;
use super::keys::EXPIRY;
use super::replies;

/// The longest part, bytes.
const PART: usize = 1 << 20;

/// The longest value, bytes.
const MAX_VALUE: usize = 512 << 20;

/// The first bytes of a value.
const MAGIC: [u8; 4] = *b"MNBV";

/// The beginning of a value: what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ValueHead {
    length: usize,
    hash: [u8; 16],
}

impl ValueHead {
    fn of(value: &[u8]) -> Self {
        let digest = Sha256::digest(value);
        Self { length: value.len(), hash: std::array::from_fn(|at| digest[at]) }
    }

    fn write(self) -> Vec<u8> {
        [&MAGIC[..], &(self.length as u64).to_le_bytes(), &self.hash].concat()
    }

    /// Reads the head of a value; `None` if it is none, or says that the value is too long.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let is_valid = *magic == MAGIC && length <= MAX_VALUE;
        is_valid.then_some((Self { length, hash: *hash }, rest))
    }

    fn is_in_parts(self) -> bool {
        self.length > PART
    }

    /// The key of a part.
    fn part(self, key: &str, part: usize) -> String {
        format!("{key}:{:032x}:{part}", u128::from_be_bytes(self.hash))
    }
}

impl<P: BusPayload> BusClient<P> {
    /// Writes a value unless there is one of this name: `setup`, `blob:HASH` or `once:NAME`.
    /// Returns whether it was written.
    ///
    /// # Errors
    /// If the name is not valid, the value is too long, or the bus did not take it.
    pub fn put_new(&mut self, name: &str, value: &[u8]) -> Result<bool, BusError> {
        self.put_value(name, value, true)
    }

    /// Writes a value, in place of one of this name if there is one.
    ///
    /// # Errors
    /// As [`BusClient::put_new`].
    pub fn put(&mut self, name: &str, value: &[u8]) -> Result<(), BusError> {
        self.put_value(name, value, false).map(drop)
    }

    fn put_value(&mut self, name: &str, value: &[u8], is_new: bool) -> Result<bool, BusError> {
        let key = self.plain_key(name)?;
        if value.len() > MAX_VALUE {
            let (what, bytes) = (key, value.len());
            let cure = "use smaller files";
            return Err(BusError::TooLarge { what, bytes, most: MAX_VALUE, cure });
        }
        let head = ValueHead::of(value);
        let mut written = head.write();
        if head.is_in_parts() {
            for (part, bytes) in value.chunks(PART).enumerate() {
                let mut set = redis::cmd("SET");
                let key = head.part(&key, part);
                set.arg(&key).arg(bytes).arg("EX").arg(EXPIRY);
                self.connection.command(&set)?;
                self.plain.insert(key);
            }
        } else {
            written.extend_from_slice(value);
        }
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(written).arg("EX").arg(EXPIRY);
        if is_new {
            set.arg("NX");
        }
        let is_written = self.connection.command(&set)? != Value::Nil;
        self.plain.insert(key);
        Ok(is_written)
    }

    /// Reads the value of a name; `None` if there is none.
    ///
    /// # Errors
    /// If the name is not valid, the value is damaged, or the bus did not return it.
    pub fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, BusError> {
        let key = self.plain_key(name)?;
        let reply = self.get_bytes(&key)?;
        let Some(bytes) = replies::bytes(&reply) else { return Ok(None) };
        let damaged = |why| BusError::Damaged { key: key.clone(), why };
        let Some((head, rest)) = ValueHead::read(bytes) else {
            return Err(damaged("not a value of manada"));
        };
        let mut value = rest.to_vec();
        if head.is_in_parts() {
            for part in 0..head.length.div_ceil(PART) {
                let key = head.part(&key, part);
                let reply = self.get_bytes(&key)?;
                self.plain.insert(key);
                match replies::bytes(&reply).filter(|bytes| bytes.len() <= PART) {
                    Some(bytes) => value.extend_from_slice(bytes),
                    None => return Err(damaged("without one of its parts")),
                }
            }
        }
        if ValueHead::of(&value) != head {
            return Err(damaged("damaged"));
        }
        self.plain.insert(key);
        Ok(Some(value))
    }

    fn get_bytes(&mut self, key: &str) -> Result<Value, BusError> {
        self.connection.command(redis::cmd("GET").arg(key))
    }

    /// The key of a plain value.
    fn plain_key(&self, name: &str) -> Result<String, BusError> {
        let rest = ["blob:", "once:"].iter().find_map(|kind| name.strip_prefix(kind));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_valid = name == "setup"
            || rest
                .is_some_and(|rest| (1..=128).contains(&rest.len()) && rest.bytes().all(is_plain));
        if is_valid { Ok(self.key(name)) } else { Err(BusError::Options(NAMES)) }
    }
}

const NAMES: &str = "a plain value of the bus is `setup`, `blob:HASH` or `once:NAME`";

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: usize = 28;

    #[test]
    fn heads_tell_values_apart_and_bound_them() {
        let head = ValueHead::of(b"hello");
        let mut written = head.write();
        assert_eq!(written.len(), HEAD);
        written.extend_from_slice(b"hello");
        assert_eq!(ValueHead::read(&written), Some((head, &b"hello"[..])));
        assert_ne!(ValueHead::of(b"hellp").hash, head.hash);
        for cut in 0..HEAD {
            assert_eq!(ValueHead::read(&written[..cut]), None);
        }
        let too_long = ValueHead { length: MAX_VALUE + 1, ..head }.write();
        assert_eq!(ValueHead::read(&too_long), None);
        assert!(head.part("k", 3).starts_with("k:2cf24dba5fb0a30e"), "{}", head.part("k", 3));
    }
}
