//! Events as bytes: line ends, framing of HTTP.
//!
//! `channels` encodes each event once for all listeners of a style, `session` what is its own.
//! Invariant: an event without its framing is the same for every framing.

use super::super::streams::pieces::chunk_into;

/// What an event consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testserver) struct ServerEvent {
    /// Its number within its channel, from 1.
    pub id: u64,
    /// Its name; `None`: the default one.
    pub event: Option<String>,
    /// Its data, of any number of lines.
    pub data: String,
}

/// The end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testserver) enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

/// How a packet of a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testserver) struct EventStyle {
    pub line_end: LineEnd,
    /// Whether each packet is a chunk; if not, it is plain.
    pub is_chunked: bool,
}

impl EventStyle {
    /// The number of styles.
    pub const COUNT: usize = 6;

    /// The number of this style, below [`Self::COUNT`].
    pub fn index(self) -> usize {
        self.line_end as usize * 2 + usize::from(self.is_chunked)
    }

    /// Encodes an event.
    pub fn encode(self, event: &ServerEvent) -> Vec<u8> {
        let end = self.line_end.text();
        let mut text = format!("id: {}{end}", event.id);
        if let Some(name) = &event.event {
            text.extend(["event: ", name, end]);
        }
        for line in event.data.split('\n') {
            text.extend(["data: ", line.trim_end_matches('\r'), end]);
        }
        text.push_str(end);
        self.framed(text.into_bytes())
    }

    /// Encodes a line that is no event: a comment or `retry`.
    pub fn encode_line(self, line: &str) -> Vec<u8> {
        let end = self.line_end.text();
        self.framed(format!("{line}{end}{end}").into_bytes())
    }

    fn framed(self, bytes: Vec<u8>) -> Vec<u8> {
        if !self.is_chunked {
            return bytes;
        }
        let mut chunk = Vec::with_capacity(bytes.len() + 12);
        chunk_into(&bytes, &mut chunk);
        chunk
    }
}

impl LineEnd {
    const fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Cr => "\r",
            Self::CrLf => "\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_encoded_in_each_style() {
        let event = ServerEvent { id: 7, event: Some("a".to_owned()), data: "x\r\ny".to_owned() };
        let mut seen = Vec::new();
        for (line_end, end) in [(LineEnd::Lf, "\n"), (LineEnd::Cr, "\r"), (LineEnd::CrLf, "\r\n")] {
            let plain = EventStyle { line_end, is_chunked: false };
            let text = String::from_utf8(plain.encode(&event)).unwrap();
            assert_eq!(text.replace(end, "|"), "id: 7|event: a|data: x|data: y||");
            assert_eq!(plain.encode_line(": hi"), format!(": hi{end}{end}").as_bytes());
            let chunked = EventStyle { line_end, is_chunked: true };
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            assert_eq!(chunked.encode(&event), chunk.as_bytes());
            seen.extend([plain.index(), chunked.index()]);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..EventStyle::COUNT));
    }
}
