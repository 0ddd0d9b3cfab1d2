//! Replies of Redis, taken apart.
//!
//! `client`, `poll`, `plain` and `connection` read replies with it.
//! Invariant: a reply of another form than expected is `None`, never a panic.

use redis::Value;

use crate::fleet::protocol::{BusTime, HeartbeatId, Incarnation};

/// A text or bytes.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// A list.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    std::str::from_utf8(bytes(value)?).ok()?.parse().ok()
}

/// The reply to `TIME`.
pub(super) fn time(value: &Value) -> Option<BusTime> {
    let [seconds, micros] = list(value)? else { return None };
    let ns = number(seconds)?.checked_mul(1_000_000_000)?;
    Some(BusTime(ns.checked_add(number(micros)?.checked_mul(1_000)?)?))
}

/// A field of the reply to `INFO`.
pub(super) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The instance of a server by its `run_id`, 40 random hexadecimal digits: the number in the first
/// 16. `None` if it has no such id, or one of zeros, which would not tell instances apart.
pub(super) fn instance(run_id: &str) -> Option<u64> {
    let number = u64::from_str_radix(run_id.get(..16)?, 16).ok()?;
    (run_id.len() == 40 && number != 0).then_some(number)
}

/// The instance in the reply to `INFO server`.
pub(super) fn info_instance(value: &Value) -> Option<u64> {
    instance(info_field(std::str::from_utf8(bytes(value)?).ok()?, "run_id")?)
}

/// A reply has another form than its command gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherForm;

/// An entry of a stream: its id, and its fields.
pub(super) struct StreamEntry<'a> {
    pub(super) id: (u64, u64),
    fields: &'a [Value],
}

impl<'a> StreamEntry<'a> {
    /// Reads an entry.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        let [id, fields] = list(value)? else { return None };
        Some(Self { id: stream_id(bytes(id)?)?, fields: list(fields)? })
    }

    /// Reads the first entry of a reply; `None` if it is empty.
    pub(super) fn first(value: &'a Value) -> Result<Option<Self>, OtherForm> {
        match list(value).ok_or(OtherForm)?.first() {
            None => Ok(None),
            Some(entry) => Self::of(entry).map(Some).ok_or(OtherForm),
        }
    }

    /// A field; empty if the entry does not have it.
    pub(super) fn field(&self, name: &str) -> &'a [u8] {
        let mut pairs = self.fields.chunks_exact(2);
        let pair = pairs.find(|pair| bytes(&pair[0]) == Some(name.as_bytes()));
        pair.and_then(|pair| bytes(&pair[1])).unwrap_or_default()
    }

    /// The id of a heartbeat.
    pub(super) fn heartbeat(&self) -> HeartbeatId {
        HeartbeatId { incarnation: Incarnation(self.id.0), beat: self.id.1 }
    }
}

/// The id of an entry of a stream.
pub(super) fn stream_id(text: &[u8]) -> Option<(u64, u64)> {
    let (high, low) = std::str::from_utf8(text).ok()?.split_once('-')?;
    Some((high.parse().ok()?, low.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn replies_of_other_forms_are_none() {
        assert_eq!(time(&Value::Array(vec![bulk("5"), bulk("7")])), Some(BusTime(5_000_007_000)));
        for reply in [Value::Nil, bulk("5"), Value::Array(vec![bulk("5")])] {
            assert_eq!(time(&reply), None);
        }
        let most = u64::MAX.to_string();
        assert_eq!(time(&Value::Array(vec![bulk(&most), bulk(&most)])), None);
        assert_eq!(stream_id(b"18446744073709551615-0"), Some((u64::MAX, 0)));
        for id in ["", "5", "-", "5-x", "18446744073709551616-0"] {
            assert_eq!(stream_id(id.as_bytes()), None);
        }
        let info = format!("# Server\r\nredis_version:7.2.1\r\nrun_id:{}\r\n", "0a".repeat(20));
        assert_eq!(info_field(&info, "redis_version"), Some("7.2.1"));
        assert_eq!(info_instance(&bulk(&info)), Some(0x0a0a_0a0a_0a0a_0a0a));
        assert_eq!(instance(&"0".repeat(40)), None);
        assert_eq!(instance("0a"), None);
        let entry =
            Value::Array(vec![bulk("3-4"), Value::Array(vec![bulk("f"), bulk("x"), bulk("g")])]);
        let entry = StreamEntry::of(&entry).unwrap();
        assert_eq!((entry.id, entry.field("f"), entry.field("g")), ((3, 4), &b"x"[..], &b""[..]));
    }
}
