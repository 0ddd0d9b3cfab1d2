//! Bodies by content type: their bytes on the wire, and unpacked.
//!
//! `engine::call::body` counts them for services that ask for it; `report` shows them.
//! Invariant: the number of types is bounded; further ones count together.

use std::collections::BTreeMap;

/// Maximum types counted by themselves; the rest count under "…".
const MAX_TYPES: usize = 32;

/// Maximum bytes of a type's name.
const MAX_NAME: usize = 80;

/// Bodies of one content type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentUse {
    /// Responses.
    pub responses: u64,
    /// Those of them with a content coding.
    pub encoded: u64,
    /// Those of them that could not be decoded.
    pub undecodable: u64,
    /// Bytes of their bodies on the wire, without chunk heads.
    pub wire_bytes: u64,
    /// Bytes of their bodies after decoding.
    pub decoded_bytes: u64,
}

/// Bodies by content type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// By the name of the type.
    pub types: BTreeMap<String, ContentUse>,
}

impl ContentUse {
    fn add(&mut self, other: &Self) {
        self.responses += other.responses;
        self.encoded += other.encoded;
        self.undecodable += other.undecodable;
        self.wire_bytes += other.wire_bytes;
        self.decoded_bytes += other.decoded_bytes;
    }

    /// Bytes on the wire as a share of those after decoding; `None` without bytes.
    pub fn ratio(&self) -> Option<f64> {
        (self.decoded_bytes > 0).then(|| self.wire_bytes as f64 / self.decoded_bytes as f64)
    }
}

impl Contents {
    /// Counts a body; `header` is the value of `Content-Type`, whatever the target sent.
    pub fn count(&mut self, header: Option<&[u8]>, body: &ContentUse) {
        self.add(&type_name(header), body);
    }

    /// Adds the counts of another shard or interval.
    pub fn merge(&mut self, other: &Self) {
        other.types.iter().for_each(|(name, body)| self.add(name, body));
    }

    fn add(&mut self, name: &str, body: &ContentUse) {
        if let Some(known) = self.types.get_mut(name) {
            known.add(body);
        } else if self.types.len() < MAX_TYPES {
            self.types.insert(name.to_owned(), *body);
        } else {
            self.types.entry("…".to_owned()).or_default().add(body);
        }
    }
}

/// The type without its parameters, in lower case.
fn type_name(header: Option<&[u8]>) -> String {
    let value = header.unwrap_or_default();
    let value = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is_name =
        !value.is_empty() && value.len() <= MAX_NAME && value.iter().all(u8::is_ascii_graphic);
    match (is_name, header) {
        (true, _) => String::from_utf8_lossy(value).to_ascii_lowercase(),
        (false, None) => "none".to_owned(),
        (false, Some(_)) => "invalid".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_and_bounded_whatever_a_target_sends() {
        let body =
            ContentUse { responses: 1, wire_bytes: 10, decoded_bytes: 40, ..ContentUse::default() };
        let mut all = Contents::default();
        for header in [
            Some(&b"Text/HTML; charset=utf-8"[..]),
            Some(b"text/html"),
            Some(b""),
            Some(b"a\x1b[31m"),
            None,
        ] {
            all.count(header, &body);
        }
        let counts: Vec<(&str, u64)> =
            all.types.iter().map(|(name, body)| (name.as_str(), body.responses)).collect();
        assert_eq!(counts, [("invalid", 2), ("none", 1), ("text/html", 2)]);
        assert_eq!(all.types["text/html"].ratio(), Some(0.25));
        for number in 0..100 {
            all.count(Some(format!("a/{number}").as_bytes()), &body);
        }
        let mut twice = all.clone();
        twice.merge(&all);
        assert_eq!(twice.types.len(), MAX_TYPES + 1);
        assert_eq!(twice.types.values().map(|body| body.responses).sum::<u64>(), 210);
    }
}
