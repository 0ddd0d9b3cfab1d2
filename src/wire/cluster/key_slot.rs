//! The slot of the keys of rendered commands.
//!
//! `nodes` asks for it.
//! Invariant: a wrong guess costs a redirect, never a wrong result: the node knows its slots.

/// Slots of a cluster.
pub(in crate::wire) const SLOTS: u16 = 16_384;

/// Commands without keys.
const KEYLESS: [&[u8]; 22] = [
    b"PING",
    b"ECHO",
    b"INFO",
    b"MULTI",
    b"EXEC",
    b"DISCARD",
    b"AUTH",
    b"HELLO",
    b"CLUSTER",
    b"DBSIZE",
    b"SCAN",
    b"KEYS",
    b"TIME",
    b"CONFIG",
    b"CLIENT",
    b"COMMAND",
    b"SCRIPT",
    b"FLUSHALL",
    b"FLUSHDB",
    b"ASKING",
    b"PUBLISH",
    b"WAIT",
];

/// What commands say of their slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum KeySlot {
    /// No command has a key: any node may answer.
    Any,
    One(u16),
    /// The keys belong to several slots.
    Several,
}

impl KeySlot {
    /// The slot of a request.
    pub(in crate::wire) fn of(mut bytes: &[u8]) -> Self {
        let mut found = Self::Any;
        while let Some((words, rest)) = command(bytes) {
            bytes = rest;
            let Some(slot) = key(&words).map(slot_of) else { continue };
            found = match found {
                Self::Any => Self::One(slot),
                Self::One(known) if known == slot => found,
                _ => Self::Several,
            };
        }
        found
    }
}

/// The words of the first command, and what follows it; `None` if there is none.
fn command(bytes: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let (count, mut rest) = length(bytes, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, after) = length(rest, b'$')?;
        let (word, after) = after.split_at_checked(length)?;
        words.push(word);
        rest = after.get(2..)?;
    }
    Some((words, rest))
}

/// A line with this type and a number, and what follows it.
fn length(bytes: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    let rest = bytes.strip_prefix(&[kind])?;
    let end = memchr::memchr(b'\r', rest)?;
    let count = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((count, rest.get(end + 2..)?))
}

/// The first key of a command.
fn key<'a>(words: &[&'a [u8]]) -> Option<&'a [u8]> {
    let name = words.first()?.to_ascii_uppercase();
    let name = name.as_slice();
    if KEYLESS.contains(&name) {
        return None;
    }
    let place = match name {
        b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => {
            if words.get(2) == Some(&&b"0"[..]) {
                return None;
            }
            3
        }
        b"XREAD" | b"XREADGROUP" => {
            let is_streams = |word: &&[u8]| word.eq_ignore_ascii_case(b"STREAMS");
            words.iter().position(is_streams)? + 1
        }
        b"OBJECT" | b"XGROUP" | b"XINFO" | b"MEMORY" | b"BITOP" => 2,
        _ => 1,
    };
    words.get(place).copied()
}

/// The slot of a key: of the part in braces, if it has one that is not empty.
fn slot_of(key: &[u8]) -> u16 {
    let tag = memchr::memchr(b'{', key).and_then(|begin| {
        let rest = &key[begin + 1..];
        memchr::memchr(b'}', rest).filter(|end| *end > 0).map(|end| &rest[..end])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framed::encode;

    fn of(commands: &[&[&str]]) -> KeySlot {
        let mut bytes = Vec::new();
        for words in commands {
            encode::redis_command(&mut bytes, words.len());
            words.iter().for_each(|word| encode::redis_word(&mut bytes, word.as_bytes()));
        }
        KeySlot::of(&bytes)
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of the cluster specification, and slots that `CLUSTER KEYSLOT` returns.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("foo", 12_182), ("somekey", 11_058), ("foo{hash_tag}", 2_515)] {
            assert_eq!(of(&[&["GET", key]]), KeySlot::One(slot), "{key}");
        }
        assert_eq!(of(&[&["GET", "{}a"]]), KeySlot::One(slot_of(b"{}a")));
        assert_eq!(of(&[&["GET", "{a}b"]]), of(&[&["GET", "a"]]));
    }

    #[test]
    fn keys_are_found_where_commands_have_them() {
        let foo = KeySlot::One(12_182);
        for command in [
            &["XREADGROUP", "GROUP", "g", "c", "streams", "foo", ">"][..],
            &["EVAL", "return 1", "1", "foo"],
            &["OBJECT", "ENCODING", "foo"],
            &["set", "foo", "1"],
        ] {
            assert_eq!(of(&[command]), foo, "{command:?}");
        }
        assert_eq!(of(&[&["PING"]]), KeySlot::Any);
        assert_eq!(of(&[&["EVAL", "return 1", "0"]]), KeySlot::Any);
        assert_eq!(of(&[&["MULTI"], &["INCR", "foo"], &["EXEC"]]), foo);
        assert_eq!(of(&[&["GET", "foo"], &["GET", "bar"]]), KeySlot::Several);
        for broken in [&b"*1\r\n$9\r\nGET"[..], b"*2\r\n", b"x", b"*1\r\n$x\r\n"] {
            assert_eq!(KeySlot::of(broken), KeySlot::Any);
        }
    }
}
