//! The counters of the test server: exact for any number of threads.
//!
//! `shared` and `connection` count, `GET /stats` shows them.
//! Invariant: `requests` is the sum of all statuses, faults without a response, `gone`, `cut` and
//! `held`. Requests about the server itself (`/stats`, `/arrivals`, `/stall`) are not counted.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::route::Route;
use super::streams::counts::ServerStreamCounts;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestEnd {
    Status(u16),
    Reset,
    Close,
    Hang,
    /// The client closed while its request was pending.
    Gone,
    /// The server ended, or the connection broke, before the response.
    Cut,
}

/// The counters. All start at zero.
#[derive(Debug)]
pub(super) struct ServerCounts {
    requests: AtomicU64,
    pending: AtomicU64,
    routes: [AtomicU64; Route::ALL.len()],
    /// By status, from 100.
    statuses: [AtomicU64; 900],
    opened: AtomicU64,
    closed: AtomicU64,
    /// Accepts that failed for lack of descriptors.
    refused: AtomicU64,
    /// Injected faults: statuses, resets, closes, hangs.
    faults: [AtomicU64; 4],
    gone: AtomicU64,
    cut: AtomicU64,
    /// What happened on streams.
    pub streams: ServerStreamCounts,
}

impl ServerCounts {
    pub fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            routes: [const { AtomicU64::new(0) }; Route::ALL.len()],
            statuses: [const { AtomicU64::new(0) }; 900],
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            faults: [const { AtomicU64::new(0) }; 4],
            gone: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            streams: ServerStreamCounts::new(),
        }
    }

    /// Counts a request that arrived; returns its number, from 0.
    pub fn arrived(&self, route: Route) -> u64 {
        self.routes[route as usize].fetch_add(1, Relaxed);
        self.pending.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed)
    }

    /// Counts a request that ended.
    pub fn ended(&self, end: RequestEnd) {
        let count = match end {
            RequestEnd::Status(status) => &self.statuses[usize::from(status.clamp(100, 999)) - 100],
            RequestEnd::Reset => &self.faults[1],
            RequestEnd::Close => &self.faults[2],
            RequestEnd::Hang => &self.faults[3],
            RequestEnd::Gone => &self.gone,
            RequestEnd::Cut => &self.cut,
        };
        count.fetch_add(1, Relaxed);
        self.pending.fetch_sub(1, Relaxed);
    }

    /// Counts an injected status; it is counted as a status too.
    pub fn injected(&self) {
        self.faults[0].fetch_add(1, Relaxed);
    }

    pub fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub fn closed(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Returns the document behind `/stats`; `written` and `lost` are the log's counts.
    pub fn document(&self, written: u64, lost: u64) -> String {
        let read = |count: &AtomicU64| count.load(Relaxed);
        let (opened, closed) = (read(&self.opened), read(&self.closed));
        let mut out = format!(
            "{{\"requests\":{},\"held\":{},\"gone\":{},\"cut\":{},\"connections\":{{\
             \"opened\":{opened},\"open\":{},\"accept_errors\":{}}},",
            read(&self.requests),
            read(&self.pending),
            read(&self.gone),
            read(&self.cut),
            opened.saturating_sub(closed),
            read(&self.refused),
        );
        let [status, reset, close, hang] = &self.faults;
        let routes = Route::ALL.iter().zip(&self.routes).map(|(r, c)| (r.name().to_owned(), c));
        let statuses = (100..).zip(&self.statuses).map(|(code, c): (u16, _)| (code.to_string(), c));
        members(&mut out, "routes", routes);
        out.push(',');
        members(&mut out, "status", statuses);
        let _ = writeln!(
            out,
            ",\"faults\":{{\"status\":{},\"reset\":{},\"close\":{},\"hang\":{}}},\
             \"streams\":{},\"log\":{{\"written\":{written},\"lost\":{lost}}}}}",
            read(status),
            read(reset),
            read(close),
            read(hang),
            self.streams.document(),
        );
        out
    }
}

/// Writes an object of all counters that are not zero. The names need no escaping.
fn members<'a>(
    out: &mut String,
    name: &str,
    counts: impl Iterator<Item = (String, &'a AtomicU64)>,
) {
    let _ = write!(out, "\"{name}\":{{");
    let mut comma = "";
    for (key, count) in counts {
        let count = count.load(Relaxed);
        if count > 0 {
            let _ = write!(out, "{comma}\"{key}\":{count}");
            comma = ",";
        }
    }
    out.push('}');
}
