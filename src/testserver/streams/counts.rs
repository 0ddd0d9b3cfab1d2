//! The counters of streams: exact for any number of threads.
//!
//! Streams count, `counts` shows them as the member `streams` of `/stats`.
//! Invariant: `open` is `opened` less the sum of `closed`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::shared_histogram::SharedHistogram;

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::testserver) enum StreamClose {
    /// A WebSocket, with this close code; 1005: a close frame without one; 1006: no close frame.
    Code(u16),
    /// The server had sent all of it.
    Finished,
    /// The client closed it before its end.
    Cancelled,
    /// Its settings ended it early.
    Fault,
}

impl fmt::Display for StreamClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Finished => f.write_str("finished"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Fault => f.write_str("fault"),
        }
    }
}

macro_rules! stream_counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened to messages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::testserver) enum ServerStreamCount { $($(#[$doc])* $name,)* }

        const NAMES: &[(&str, ServerStreamCount)] =
            &[$((stringify!($name), ServerStreamCount::$name),)*];
    };
}

stream_counts! {
    /// Messages from clients.
    Received,
    /// Messages handed to the kernel, one for each connection.
    Sent,
    /// Received, and not passed on (`?drop`).
    Dropped,
    /// Passed on twice (`?duplicate`).
    Duplicated,
    /// Passed on after their successor (`?reorder`).
    Reordered,
    /// Received beyond a limit of the rate, and answered by an error.
    RateLimited,
    /// Not queued for a connection, since its queue was full.
    Overflowed,
    /// Queued for a connection that ended before they were written.
    Cut,
    /// Tokens written, of token streams.
    Tokens,
    /// Requests refused with 429, since their address held as many connections as it may.
    RefusedAddress,
    /// Requests refused with 503, since the server held as many connections as it may.
    RefusedTotal,
    /// Messages that could not be handed to other instances.
    BusLost,
    /// Ticks of a set rate that were left out, since the server was more than a second late.
    Skipped,
}

/// The counters, and the times that the server tells of itself. All start at zero.
#[derive(Debug)]
pub(in crate::testserver) struct ServerStreamCounts {
    opened: AtomicU64,
    peak: AtomicU64,
    ended: AtomicU64,
    counts: [AtomicU64; NAMES.len()],
    closed: Mutex<BTreeMap<StreamClose, u64>>,
    /// How late the first token of each token stream was written, by its law.
    pub first_late: SharedHistogram,
    /// From the receipt of a message to its write to each member of its channel.
    pub fan_out: SharedHistogram,
}

impl ServerStreamCounts {
    pub fn new() -> Self {
        Self {
            opened: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            counts: [const { AtomicU64::new(0) }; NAMES.len()],
            closed: Mutex::default(),
            first_late: SharedHistogram::default(),
            fan_out: SharedHistogram::default(),
        }
    }

    /// Counts a stream that opened.
    pub fn open(&self) {
        let opened = self.opened.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(opened.saturating_sub(self.ended.load(Relaxed)), Relaxed);
    }

    /// Counts a stream that ended.
    pub fn close(&self, close: StreamClose) {
        self.ended.fetch_add(1, Relaxed);
        // Nothing panics while holding the lock.
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed.entry(close).or_insert(0) += 1;
    }

    /// Counts messages; returns their number before, from 0.
    pub fn add(&self, count: ServerStreamCount, messages: u64) -> u64 {
        self.counts[count as usize].fetch_add(messages, Relaxed)
    }

    /// Returns the JSON object of `/stats`.
    pub fn document(&self) -> String {
        let (opened, ended) = (self.opened.load(Relaxed), self.ended.load(Relaxed));
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out = format!(
            "{{\"open\":{},\"opened\":{opened},\"peak\":{},\"cancelled\":{}",
            opened.saturating_sub(ended),
            self.peak.load(Relaxed),
            closed.get(&StreamClose::Cancelled).unwrap_or(&0),
        );
        for (name, count) in NAMES {
            // CamelCase to snake_case.
            let name = name.chars().enumerate().fold(String::new(), |mut name, (at, c)| {
                if at > 0 && c.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(c.to_ascii_lowercase());
                name
            });
            let count = self.counts[*count as usize].load(Relaxed);
            let _ = write!(out, ",\"{name}\":{count}");
        }
        for (name, times) in [("first_late_us", &self.first_late), ("fan_out_us", &self.fan_out)] {
            let _ = write!(out, ",\"{name}\":{}", times.document());
        }
        out.push_str(",\"closed\":{");
        let mut comma = "";
        for (close, count) in closed {
            let _ = write!(out, "{comma}\"{close}\":{count}");
            comma = ",";
        }
        out.push_str("}}");
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn document_has_all_counts() {
        let counts = ServerStreamCounts::new();
        counts.open();
        counts.open();
        counts.close(StreamClose::Code(1000));
        assert_eq!(counts.add(ServerStreamCount::RateLimited, 2), 0);
        assert_eq!(counts.add(ServerStreamCount::RateLimited, 1), 2);
        counts.open();
        counts.close(StreamClose::Cancelled);
        counts.first_late.record(Duration::from_micros(7));
        let document: serde_json::Value = serde_json::from_str(&counts.document()).unwrap();
        for (place, count) in [
            ("/open", 1),
            ("/opened", 3),
            ("/peak", 2),
            ("/cancelled", 1),
            ("/rate_limited", 3),
            ("/sent", 0),
            ("/first_late_us/max", 7),
            ("/fan_out_us/count", 0),
            ("/closed/1000", 1),
            ("/closed/cancelled", 1),
        ] {
            assert_eq!(document.pointer(place), Some(&count.into()), "{place} in {document}");
        }
    }
}
