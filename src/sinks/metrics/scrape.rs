//! `--metrics ADDR`: the endpoint that Prometheus scrapes.
//!
//! `cli` opens it, adds its sink, and lets it answer one more scrape after the run; its server has
//! a thread of its own.
//! Invariant: it holds only the latest report, and renders it at most once per format.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::text::TextFormat;
use super::{catalog, protobuf, text};
use crate::clock::{self, Time};
use crate::event::{Report, RunEvent};
use crate::sinks::Sink;
use crate::sinks::client_connections::{ClientListener, MAX_CONNECTIONS, attend};

/// Maximum time after the run for one more scrape.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How often the end of a run looks whether the scrape has come.
const LOOK: Duration = Duration::from_millis(20);

/// A format of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScrapeFormat {
    Text(TextFormat),
    Protobuf,
}

impl ScrapeFormat {
    const ALL: [Self; 3] =
        [Self::Text(TextFormat::Prometheus), Self::Text(TextFormat::OpenMetrics), Self::Protobuf];

    /// The format that a request prefers: the first one of its `Accept` that there is. Prometheus
    /// lists its own by preference.
    fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let wanted = accept.unwrap_or_default().split(',').map(|part| {
            let mut words = part.split(';').map(str::trim);
            let media = words.next().unwrap_or_default();
            let has = |word: &str| words.clone().any(|known| known.eq_ignore_ascii_case(word));
            match media {
                "application/vnd.google.protobuf"
                    if has("encoding=delimited")
                        && has("proto=io.prometheus.client.MetricFamily") =>
                {
                    Some(Self::Protobuf)
                }
                "application/openmetrics-text" => Some(Self::Text(TextFormat::OpenMetrics)),
                "text/plain" | "text/*" | "*/*" => Some(Self::Text(TextFormat::Prometheus)),
                _ => None,
            }
        });
        wanted.flatten().next().unwrap_or(Self::Text(TextFormat::Prometheus))
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Text(format) => format.content_type(),
            Self::Protobuf => protobuf::CONTENT_TYPE,
        }
    }

    fn render(self, report: Option<&Report>) -> Bytes {
        let families = report.map(catalog::families).unwrap_or_default();
        match self {
            Self::Text(format) => text::write(&families, format).into(),
            Self::Protobuf => protobuf::write(&families).into(),
        }
    }
}

/// What sink, server and the end of the run share.
#[derive(Debug, Default)]
struct ScrapeState {
    report: Mutex<LatestReport>,
    scrapes: Mutex<Scrapes>,
}

/// The latest report, as far as it is rendered.
#[derive(Debug, Default)]
struct LatestReport {
    report: Option<Arc<Report>>,
    rendered: [Option<Bytes>; ScrapeFormat::ALL.len()],
}

/// When the endpoint was scraped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scrapes {
    last: Option<Time>,
    /// The time between the last two, ns.
    interval_ns: Option<u64>,
    /// Whether the final figures were scraped.
    has_end: bool,
}

impl Scrapes {
    fn add(&mut self, now: Time, has_end: bool) {
        if let Some(last) = self.last.replace(now) {
            self.interval_ns = Some(now.since(last));
        }
        self.has_end |= has_end;
    }

    /// How long the end of the run waits for one more scrape: twice the time between the last two.
    /// Without two scrapes there is nothing to wait for.
    fn final_wait(&self) -> Option<Duration> {
        let interval = self.interval_ns.filter(|_| !self.has_end)?;
        Some(Duration::from_nanos(interval.saturating_mul(2)).min(LONGEST_WAIT))
    }
}

impl ScrapeState {
    fn show(&self, report: &Arc<Report>) {
        *lock(&self.report) =
            LatestReport { report: Some(Arc::clone(report)), ..LatestReport::default() };
    }

    fn scrape(&self, format: ScrapeFormat) -> Bytes {
        let mut latest = lock(&self.report);
        let LatestReport { report, rendered } = &mut *latest;
        let at = ScrapeFormat::ALL.iter().position(|known| *known == format).unwrap_or(0);
        let bytes = rendered[at].get_or_insert_with(|| format.render(report.as_deref())).clone();
        let has_end = report.as_ref().is_some_and(|report| !report.is_running);
        drop(latest);
        lock(&self.scrapes).add(clock::now(), has_end);
        bytes
    }
}

/// The sink of the endpoint.
#[derive(Debug)]
pub struct MetricsSink {
    state: Arc<ScrapeState>,
}

impl Sink for MetricsSink {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Tick(_) | RunEvent::Ended(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let RunEvent::Tick(report) | RunEvent::Ended(report) = event {
            self.state.show(report);
        }
        Ok(())
    }
}

/// An open endpoint.
#[derive(Debug)]
pub struct MetricsEndpoint {
    state: Arc<ScrapeState>,
    /// Where it listens.
    place: SocketAddr,
    /// Tells the server that it ends.
    over: watch::Sender<bool>,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl MetricsEndpoint {
    /// Opens the endpoint at `place`.
    ///
    /// # Errors
    /// If the address cannot be bound, or no thread started.
    pub fn open(place: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(place)?;
        listener.set_nonblocking(true)?;
        let place = listener.local_addr()?;
        let state = Arc::new(ScrapeState::default());
        let (over, is_over) = watch::channel(false);
        let shared = Arc::clone(&state);
        let server = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || serve(listener, place, shared, is_over))?;
        Ok(Self { state, place, over, server: Some(server) })
    }

    /// The sink to be added to the run's sinks.
    pub fn sink(&self) -> MetricsSink {
        MetricsSink { state: Arc::clone(&self.state) }
    }

    /// The URL to scrape.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.place)
    }

    /// Whether other machines can reach it.
    pub fn is_remote(&self) -> bool {
        !self.place.ip().is_loopback()
    }

    /// How long the end of the run waits for one more scrape, so that the receiver has the final
    /// figures; `None` if it does not.
    pub fn final_wait(&self) -> Option<Duration> {
        lock(&self.state.scrapes).final_wait()
    }

    /// Waits for one more scrape, at most `wait`, or until `hurry` is set. Returns whether the
    /// final figures were scraped.
    pub fn wait_for_final_scrape(&self, wait: Duration, hurry: &AtomicBool) -> bool {
        let until = clock::now() + wait;
        let has_end = || lock(&self.state.scrapes).has_end;
        while !has_end() && !hurry.load(Relaxed) && clock::now() < until {
            std::thread::park_timeout(LOOK);
        }
        has_end()
    }
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.over.send_replace(true);
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until the endpoint is dropped.
fn serve(
    listener: TcpListener,
    place: SocketAddr,
    state: Arc<ScrapeState>,
    mut is_over: watch::Receiver<bool>,
) -> io::Result<()> {
    clock::block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (line, accepted) = mpsc::channel(MAX_CONNECTIONS);
        let attending = tokio::task::spawn_local(attend(listener, line, || {}));
        let router = Router::new()
            .route("/metrics", get(metrics))
            .fallback(|| async { (StatusCode::NOT_FOUND, "metrics are at /metrics\n") })
            .with_state(state);
        let mut server = axum::serve(ClientListener { accepted, place }, router).into_future();
        let served = tokio::select! {
            served = &mut server => served,
            _ = is_over.wait_for(|over| *over) => Ok(()),
        };
        attending.abort();
        served
    })?
}

async fn metrics(State(state): State<Arc<ScrapeState>>, headers: HeaderMap) -> Response {
    let format = ScrapeFormat::of(&headers);
    ([(header::CONTENT_TYPE, format.content_type())], state.scrape(format)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_format_of_a_request_is_taken() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            ScrapeFormat::of(&headers)
        };
        let [text, open, protobuf] = ScrapeFormat::ALL;
        assert_eq!(ScrapeFormat::of(&HeaderMap::new()), text);
        assert_eq!(of("text/html,application/xml;q=0.9,*/*;q=0.8"), text);
        // As Prometheus 2.42 asks, without and with native histograms.
        let plain = "application/openmetrics-text;version=1.0.0,\
                     application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(of(plain), open);
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8";
        assert_eq!(of(native), protobuf);
        assert_eq!(of("application/vnd.google.protobuf;proto=other;encoding=delimited"), text);
    }

    #[test]
    fn the_end_waits_for_one_more_scrape_as_long_as_two_of_them_take() {
        let at = |s: u64| Time(s * 1_000_000_000);
        let mut scrapes = Scrapes::default();
        assert_eq!(scrapes.final_wait(), None);
        scrapes.add(at(10), false);
        assert_eq!(scrapes.final_wait(), None, "how often it is scraped is not known");
        scrapes.add(at(25), false);
        assert_eq!(scrapes.final_wait(), Some(Duration::from_secs(30)));
        let mut rare = scrapes;
        rare.add(at(1_000), false);
        assert_eq!(rare.final_wait(), Some(LONGEST_WAIT));
        scrapes.add(at(40), true);
        assert_eq!(scrapes.final_wait(), None, "the final figures were scraped");
    }
}
