//! The request that opens an event stream.
//!
//! `connection` reads it from the head of a request.
//! Invariant: a wrong setting is a response 400 that names its key.

use std::io::Write;
use std::time::Duration;

use super::super::head::RequestHead;
use super::super::query::{QueryError, QueryString, decoded};
use super::encoding::{EventStyle, LineEnd};
use crate::units::Rate;

/// The longest event at a set rate, bytes.
const MAX_SIZE: usize = 64 << 10;
/// Events that a channel keeps at most, whatever a listener says.
const MAX_BUFFER: u64 = 100_000;

/// A valid request for an event stream.
#[derive(Debug)]
pub(in crate::testserver) struct EventRequest {
    pub name: String,
    /// The id after which events are replayed; `None`: none are.
    pub last_id: Option<u64>,
    /// How many events the channel keeps from now on; `None`: as before.
    pub buffer: Option<usize>,
    /// The rate at which the channel gets events of its own, and their length in bytes.
    pub ticks: Option<(Rate, usize)>,
    /// After how many events the stream ends; `None`: never.
    pub count: Option<u64>,
    /// Time until the client should reconnect.
    pub retry: Duration,
    /// After how much silence there is a comment.
    pub keep_alive: Duration,
    pub line_end: LineEnd,
    /// Whether the body ends with the connection.
    pub is_closed: bool,
    /// Whether lines and characters are split over several writes.
    pub is_split: bool,
}

impl EventRequest {
    /// Reads a request from the bytes of its head.
    pub fn read(head: &RequestHead, bytes: &[u8]) -> Result<Self, QueryError> {
        // httparse accepts only UTF-8.
        let target = std::str::from_utf8(&bytes[head.target.clone()]).unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = QueryString(query);
        let ends = [("lf", LineEnd::Lf), ("cr", LineEnd::Cr), ("crlf", LineEnd::CrLf)];
        let size = query.size("size", MAX_SIZE)?.unwrap_or(64);
        let framing = query.word("framing", &[("chunked", false), ("close", true)])?;
        Ok(Self {
            name: decoded(path.strip_prefix("/sse/").unwrap_or("")),
            last_id: last_event_id(bytes),
            buffer: query.number("buffer", 0, MAX_BUFFER)?.map(|events| events as usize),
            ticks: query.rate("rate")?.map(|rate| (rate, size)),
            count: query.number("count", 1, u64::MAX)?,
            retry: query.duration("retry")?.unwrap_or(Duration::from_secs(3)),
            keep_alive: query.duration("keep_alive")?.unwrap_or(Duration::from_secs(15)),
            line_end: query.word("eol", &ends)?.unwrap_or(LineEnd::Lf),
            is_closed: framing.unwrap_or(false) || head.old,
            is_split: query.flag("split")?.unwrap_or(false),
        })
    }

    /// How packets of this stream are encoded; those that are split are framed later.
    pub fn style(&self) -> EventStyle {
        let is_chunked = !self.is_closed && !self.is_split;
        EventStyle { line_end: self.line_end, is_chunked }
    }

    /// Appends the head of the response to `out`.
    pub fn render(&self, out: &mut Vec<u8>) {
        let framing =
            if self.is_closed { "connection: close" } else { "transfer-encoding: chunked" };
        // Writing into memory cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
             {framing}\r\n\r\n"
        );
    }
}

/// The value of the header Last-Event-ID, if it is one of ours.
fn last_event_id(bytes: &[u8]) -> Option<u64> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    // It was parsed before, by the same rules.
    let _ = request.parse(bytes);
    let header = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("last-event-id"))?;
    std::str::from_utf8(header.value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::head;
    use super::*;

    fn read(target: &str, headers: &str) -> Result<EventRequest, QueryError> {
        let text = format!("GET {target} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
        let head = head::parse(text.as_bytes()).unwrap().unwrap();
        EventRequest::read(&head, text.as_bytes())
    }

    #[test]
    fn settings_come_from_path_query_and_header() {
        let target = "/sse/a%20b?rate=10/s&size=1KiB&count=3&framing=close&eol=crlf&split=true\
            &buffer=5&retry=250ms&keep_alive=1s";
        let request = read(target, "Last-Event-ID: 41\r\n").unwrap();
        assert_eq!((request.name.as_str(), request.last_id), ("a b", Some(41)));
        assert_eq!(request.ticks, Some((Rate::per_s(10), 1_024)));
        assert_eq!((request.count, request.buffer), (Some(3), Some(5)));
        assert_eq!(request.retry + request.keep_alive, Duration::from_millis(1_250));
        assert!(request.is_closed && request.is_split && request.line_end == LineEnd::CrLf);
        assert!(!request.style().is_chunked);
        let request = read("/sse/a", "last-event-id: other\r\n").unwrap();
        assert_eq!((request.last_id, request.count), (None, None));
        assert!(request.style().is_chunked && request.line_end == LineEnd::Lf);
        assert!(read("/sse/a?eol=x", "").unwrap_err().0.contains("one of lf, cr, crlf"));
    }
}
