//! RESP2 and RESP3, the replies of Redis: one pass over bytes as they come.
//!
//! `redis` feeds it; nothing of a reply is kept but what a call captures.
//! Invariant: lengths, levels and line lengths of a target are bounded before anything is kept for
//! them; a reply may be split at any byte.

use crate::stats::FailureKind;

/// Levels of a reply: a list in a list is the second.
pub(in crate::wire) const MAX_DEPTH: usize = 32;

/// The longest line: a type and its number, or a simple string or error.
pub(in crate::wire) const MAX_LINE: usize = 64 << 10;

/// The longest length of a string or list that is accepted: Redis' own limit of a string, 512 MiB.
const MAX_LENGTH: i64 = 512 << 20;

/// A part of a reply, in the order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::wire) enum RespPart<'a> {
    /// A simple or verbatim string, a number, or other text of one line.
    Line(LineKind, &'a [u8]),
    /// A null.
    Null,
    /// The beginning of a string of this many bytes; `true`: it is an error.
    Begin(u64, bool),
    /// Bytes of that string.
    Bytes(&'a [u8]),
    /// Its end.
    End,
    /// The beginning of a list or map of this many values; of a map these are keys and values.
    Open(AggregateKind, u64),
    /// The end of a list or map.
    Close,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum LineKind {
    Text,
    Error,
    /// A whole number, or one of RESP3: a double or big number.
    Number,
    Boolean,
}

/// What an aggregate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum AggregateKind {
    List,
    Map,
    /// Attributes of the value that follows: not a value by themselves.
    Attributes,
    /// A message that no command asked for.
    Push,
}

/// Reads replies, one after the other.
#[derive(Debug)]
pub(in crate::wire) struct RespReader {
    state: RespState,
    /// The bytes of a line that is not complete.
    line: Vec<u8>,
    /// Values that are still to come, by level, and what the level is.
    open: Vec<(AggregateKind, u64)>,
}

#[derive(Debug)]
enum RespState {
    Line,
    /// Bytes of a string that are still to come.
    Payload(u64),
    /// The bytes of CR LF after a string that are still to come.
    LineEnd(usize),
}

const LINE_END: [u8; 2] = *b"\r\n";

impl RespReader {
    pub(in crate::wire) const fn new() -> Self {
        Self { state: RespState::Line, line: Vec::new(), open: Vec::new() }
    }

    /// Reads up to the end of one reply; `each` gets its parts. Returns how many bytes were used,
    /// and whether the reply is complete.
    ///
    /// # Errors
    /// `BadReply` if the bytes are no RESP, or exceed a bound; what `each` returns.
    pub(in crate::wire) fn read<E: From<FailureKind>>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(RespPart<'_>) -> Result<(), E>,
    ) -> Result<(usize, bool), E> {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                RespState::Payload(left) => {
                    let here = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    each(RespPart::Bytes(&bytes[at..at + here]))?;
                    at += here;
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = RespState::LineEnd(2);
                    }
                }
                RespState::LineEnd(left) => {
                    if bytes[at] != LINE_END[2 - *left] {
                        return Err(FailureKind::BadReply.into());
                    }
                    (at, *left) = (at + 1, *left - 1);
                    if *left == 0 {
                        self.state = RespState::Line;
                        each(RespPart::End)?;
                        if self.value_ended(each)? {
                            return Ok((at, true));
                        }
                    }
                }
                RespState::Line => {
                    let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else {
                        self.keep(&bytes[at..])?;
                        return Ok((bytes.len(), false));
                    };
                    let piece = &bytes[at..at + end];
                    at += end + 1;
                    let is_complete = if self.line.is_empty() {
                        self.line(piece, each)?
                    } else {
                        self.keep(piece)?;
                        let line = std::mem::take(&mut self.line);
                        self.line(&line, each)?
                    };
                    if is_complete {
                        return Ok((at, true));
                    }
                }
            }
        }
        Ok((at, false))
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), FailureKind> {
        // A first byte that is no type of RESP will not become one.
        let first = self.line.first().or(bytes.first());
        if self.line.len() + bytes.len() > MAX_LINE || !first.is_none_or(|byte| is_type(*byte)) {
            return Err(FailureKind::BadReply);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads a complete line, without its line feed. Returns whether it completes the reply.
    fn line<E: From<FailureKind>>(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(RespPart<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let bad = FailureKind::BadReply;
        let [kind, text @ .., b'\r'] = line else { return Err(bad.into()) };
        if text.len() > MAX_LINE {
            return Err(bad.into());
        }
        let aggregate = match kind {
            b'*' | b'~' => AggregateKind::List,
            b'%' => AggregateKind::Map,
            b'|' => AggregateKind::Attributes,
            b'>' => AggregateKind::Push,
            b'$' | b'=' | b'!' => {
                return match length(text)? {
                    None => self.value(RespPart::Null, each),
                    Some(count) => {
                        each(RespPart::Begin(count, *kind == b'!'))?;
                        self.state = match count {
                            0 => RespState::LineEnd(2),
                            count => RespState::Payload(count),
                        };
                        Ok(false)
                    }
                };
            }
            b'_' if text.is_empty() => return self.value(RespPart::Null, each),
            b'+' => return self.value(RespPart::Line(LineKind::Text, text), each),
            b'-' => return self.value(RespPart::Line(LineKind::Error, text), each),
            b'#' if matches!(text, b"t" | b"f") => {
                return self.value(RespPart::Line(LineKind::Boolean, text), each);
            }
            b':' | b',' | b'(' if is_number(text) => {
                return self.value(RespPart::Line(LineKind::Number, text), each);
            }
            _ => return Err(bad.into()),
        };
        let Some(count) = length(text)? else {
            return self.value(RespPart::Null, each);
        };
        let pairs = matches!(aggregate, AggregateKind::Map | AggregateKind::Attributes);
        let values = if pairs { count * 2 } else { count };
        each(RespPart::Open(aggregate, values))?;
        if values == 0 {
            each(RespPart::Close)?;
            return if aggregate == AggregateKind::Attributes {
                Ok(false)
            } else {
                self.value_ended(each)
            };
        }
        if self.open.len() == MAX_DEPTH {
            return Err(bad.into());
        }
        self.open.push((aggregate, values));
        Ok(false)
    }

    fn value<E: From<FailureKind>>(
        &mut self,
        part: RespPart<'_>,
        each: &mut impl FnMut(RespPart<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        each(part)?;
        self.value_ended(each)
    }

    /// Closes the levels that a complete value ends. Returns whether that completes the reply.
    fn value_ended<E: From<FailureKind>>(
        &mut self,
        each: &mut impl FnMut(RespPart<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        while let Some((kind, left)) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return Ok(false);
            }
            let kind = *kind;
            self.open.pop();
            each(RespPart::Close)?;
            // Attributes precede the value that they describe.
            if kind == AggregateKind::Attributes {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

const fn is_type(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-'
            | b':'
            | b'$'
            | b'*'
            | b'_'
            | b'#'
            | b','
            | b'('
            | b'!'
            | b'='
            | b'%'
            | b'~'
            | b'|'
            | b'>'
    )
}

/// A length; `None` for −1, a null.
fn length(text: &[u8]) -> Result<Option<u64>, FailureKind> {
    let length = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    match length {
        Some(-1) => Ok(None),
        Some(length @ 0..=MAX_LENGTH) => Ok(Some(length.unsigned_abs())),
        _ => Err(FailureKind::BadReply),
    }
}

/// Whether a text is a number of RESP: a JSON number, or infinity or no number of RESP3.
fn is_number(text: &[u8]) -> bool {
    matches!(text, b"inf" | b"-inf" | b"nan")
        || std::str::from_utf8(text).is_ok_and(|text| {
            let plain = text.strip_prefix('+').unwrap_or(text);
            plain.parse::<f64>().is_ok()
                && plain.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// All parts of the replies in `bytes`, fed in pieces of `size` bytes, as one text; the error.
    fn parts(bytes: &[u8], size: usize) -> Result<(String, usize), FailureKind> {
        let (mut reader, mut text, mut replies) = (RespReader::new(), String::new(), 0);
        for mut piece in bytes.chunks(size) {
            while !piece.is_empty() {
                let (used, is_complete) = reader.read(piece, &mut |part| {
                    match part {
                        RespPart::Line(kind, line) => {
                            let line = String::from_utf8_lossy(line);
                            write!(text, "{kind:?} {line};").unwrap();
                        }
                        RespPart::Null => text.push_str("null;"),
                        RespPart::Begin(length, _) => write!(text, "{length}'").unwrap(),
                        RespPart::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                        RespPart::End => text.push_str("';"),
                        RespPart::Open(kind, values) => {
                            write!(text, "{kind:?} {values}(").unwrap();
                        }
                        RespPart::Close => text.push_str(");"),
                    }
                    Ok::<(), FailureKind>(())
                })?;
                replies += usize::from(is_complete);
                piece = &piece[used..];
            }
        }
        Ok((text, replies))
    }

    #[test]
    fn replies_are_the_same_however_they_are_split() {
        for (bytes, wanted, replies) in [
            ("+OK\r\n", "Text OK;", 1),
            ("-ERR no\r\n:12\r\n", "Error ERR no;Number 12;", 2),
            ("$5\r\na\r\nbc\r\n", "5'a\r\nbc';", 1),
            ("$0\r\n\r\n$-1\r\n", "0'';null;", 2),
            ("*-1\r\n*0\r\n", "null;List 0();", 2),
            ("*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", "List 2(List 1(Number 1;);1'x';);", 1),
            ("%1\r\n+a\r\n,1.5\r\n_\r\n#t\r\n", "Map 2(Text a;Number 1.5;);null;Boolean t;", 3),
            ("|1\r\n+ttl\r\n:3\r\n+v\r\n", "Attributes 2(Text ttl;Number 3;);Text v;", 1),
            (">1\r\n+m\r\n(123\r\n=3\r\ntxt\r\n", "Push 1(Text m;);Number 123;3'txt';", 3),
            ("~1\r\n,inf\r\n!3\r\nERR\r\n", "List 1(Number inf;);3'ERR';", 2),
        ] {
            for size in 1..=bytes.len() {
                let found = parts(bytes.as_bytes(), size);
                assert_eq!(found, Ok((wanted.to_owned(), replies)), "{bytes:?} by {size}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_replies_are_refused_however_they_are_split() {
        let deep = "*1\r\n".repeat(MAX_DEPTH + 1);
        let long = format!("+{}\r\n", "x".repeat(MAX_LINE + 1));
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "+OK\n",
            "$3\r\nabcd\r\n",
            "$-2\r\n",
            "$x\r\n",
            "*99999999999\r\n",
            "$536870913\r\n",
            ":\r\n",
            ":1x\r\n",
            "#y\r\n",
            "_x\r\n",
            &deep,
            &long,
        ] {
            for size in [1, 2, 3, bytes.len()] {
                let found = parts(bytes.as_bytes(), size);
                assert_eq!(found, Err(FailureKind::BadReply), "{bytes:.40?} by {size}");
            }
        }
    }
}
