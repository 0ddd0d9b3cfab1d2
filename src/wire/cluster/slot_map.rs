//! What nodes say of the slots: the reply to CLUSTER SLOTS, and redirects.
//!
//! `nodes` reads them.
//! Invariant: a node's words are not trusted: what is no slot, host or port is passed by.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::key_slot::SLOTS;

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::wire) struct ClusterRedirect {
    pub(in crate::wire) slot: u16,
    /// Empty: the host of the node that redirects.
    pub(in crate::wire) host: String,
    pub(in crate::wire) port: u16,
    /// Whether it is for one command only (ASK), else for good (MOVED).
    pub(in crate::wire) is_ask: bool,
}

impl ClusterRedirect {
    /// Reads an error such as `MOVED 3999 127.0.0.1:6381`.
    pub(in crate::wire) fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut words = text.split_ascii_whitespace();
        let is_ask = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let slot = words.next()?.parse().ok().filter(|slot| *slot < SLOTS)?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        Some(Self { slot, host: host.to_owned(), port, is_ask })
    }
}

/// Slots of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::wire) struct SlotRange {
    pub(in crate::wire) slots: RangeInclusive<u16>,
    /// Empty: the host of the node that was asked.
    pub(in crate::wire) host: String,
    pub(in crate::wire) port: u16,
}

/// Reads the reply to CLUSTER SLOTS as JSON.
pub(in crate::wire) fn slot_ranges(reply: &[u8]) -> Vec<SlotRange> {
    let reply: Value = serde_json::from_slice(reply).unwrap_or_default();
    let ranges = reply.as_array().map(Vec::as_slice).unwrap_or_default();
    ranges.iter().filter_map(range).collect()
}

fn range(value: &Value) -> Option<SlotRange> {
    let slot = |place: usize| {
        let slot = value.get(place)?.as_u64().and_then(|slot| u16::try_from(slot).ok());
        slot.filter(|slot| *slot < SLOTS)
    };
    // The first node is the one that takes writes.
    let node = value.get(2)?;
    let port = node.get(1)?.as_u64().and_then(|port| u16::try_from(port).ok());
    Some(SlotRange {
        slots: slot(0)?..=slot(1)?,
        host: node.get(0)?.as_str().unwrap_or_default().to_owned(),
        port: port.filter(|port| *port > 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_read_and_nonsense_is_none() {
        let redirect = |host: &str, is_ask| {
            Some(ClusterRedirect { slot: 3_999, host: host.to_owned(), port: 6_381, is_ask })
        };
        let read = |text: &str| ClusterRedirect::read(text.as_bytes());
        assert_eq!(read("MOVED 3999 127.0.0.1:6381"), redirect("127.0.0.1", false));
        assert_eq!(read("ASK 3999 ::1:6381"), redirect("::1", true));
        assert_eq!(read("MOVED 3999 :6381"), redirect("", false));
        for text in
            ["MOVED", "MOVED 16384 a:1", "MOVED 1 a", "MOVED 1 a:0", "ERR 1 a:1", "ASK x a:1"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_name_the_node_that_takes_writes() {
        let reply = br#"[[0,8191,["127.0.0.1",7000,"id",[]],["127.0.0.1",7003,"id"]],
            [8192,16383,[null,7001,"id"]],[1],[0,16384,["a",1]],[0,1,["a",0]]]"#;
        let range = |slots, host: &str, port| SlotRange { slots, host: host.to_owned(), port };
        let expected = [range(0..=8_191, "127.0.0.1", 7_000), range(8_192..=16_383, "", 7_001)];
        assert_eq!(slot_ranges(reply), expected);
        assert_eq!(slot_ranges(b"ERR"), []);
    }
}
