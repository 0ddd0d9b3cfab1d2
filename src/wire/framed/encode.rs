//! Requests of protocols other than HTTP as bytes.
//!
//! `engine::call::operation` renders requests with it, and `login` its own.
//! Invariant: a value never changes where a request ends: each word has its length before it.

use crate::plan::operation::RecordType;

/// The command that lets a node of a cluster take a request for a slot that it is about to get.
pub const REDIS_ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// Begins a command of Redis of this many words.
pub fn redis_command(out: &mut Vec<u8>, words: usize) {
    resp_line(out, b'*', words);
}

/// Appends a word of a command of Redis.
pub fn redis_word(out: &mut Vec<u8>, word: &[u8]) {
    resp_line(out, b'$', word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

fn resp_line(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The longest name of DNS on the wire, with lengths and root (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// The size of a response over UDP that is accepted (RFC 6891; the size that DNS Flag Day 2020
/// recommends).
const UDP_SIZE: u16 = 1_232;

/// Appends a message of DNS with one question; over TCP its length stands before it.
///
/// # Errors
/// Why `name` is no name of DNS: the end of a sentence after it.
pub fn dns_query(
    out: &mut Vec<u8>,
    id: u16,
    (name, record): (&[u8], RecordType),
    recursion: bool,
    over_tcp: bool,
) -> Result<(), &'static str> {
    let start = out.len();
    if over_tcp {
        out.extend_from_slice(&[0, 0]);
    }
    out.extend_from_slice(&id.to_be_bytes());
    // One question, and the options of EDNS as an additional record.
    out.extend_from_slice(&[u8::from(recursion), 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.len() + 2 > MAX_NAME {
        return Err("is longer than 253 bytes");
    }
    if !name.is_empty() {
        for label in name.split(|byte| *byte == b'.') {
            match u8::try_from(label.len()) {
                Ok(length @ 1..64) => out.push(length),
                Ok(0) => return Err("has an empty label"),
                _ => return Err("has a label of more than 63 bytes"),
            }
            out.extend_from_slice(label);
        }
    }
    out.push(0);
    out.extend_from_slice(&record.0.to_be_bytes());
    // Class IN.
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&[0, 0, 41]);
    out.extend_from_slice(&UDP_SIZE.to_be_bytes());
    out.extend_from_slice(&[0; 6]);
    if over_tcp {
        let length = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
        out[start..start + 2].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}
