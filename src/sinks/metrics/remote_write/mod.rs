//! `--remote-write URL`: metrics pushed to a receiver of Prometheus' remote write.
//!
//! `cli` opens it, adds its sink, and waits for the rest after the run.
//! Invariant: the receiver never delays the run. Version 2 is used if the receiver confirms it;
//! version 1, which every receiver takes, otherwise.

mod encode;
mod messages;
mod series;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};

pub use encode::WriteVersion;
pub use series::HistogramForm;

use super::catalog;
use crate::clock;
use crate::event::{Report, RunEvent};
use crate::sinks::Sink;
use crate::sinks::push::delivery::{
    Batch, BatchIntake, BatchSender, Delivery, DeliveryItem, SendResult,
};
use crate::sinks::push::http_push::{
    AGENT, HttpPush, PushResponse, receiver_url, shown_url, variable_headers,
};
use crate::sinks::push::{LastWait, PushTimer};
use encode::PushTimes;
use messages::WriteRequest2;

/// The variable with headers of the requests: `name=value,name=value`.
pub const HEADERS_VARIABLE: &str = "MANADA_REMOTE_WRITE_HEADERS";

/// The version of the protocol.
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// With it a receiver of version 2 confirms how many samples it wrote.
const WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");

/// An open connection to a receiver.
#[derive(Debug)]
pub struct RemoteWrite {
    delivery: Delivery,
    version: Arc<AtomicU8>,
    form: HistogramForm,
    url: String,
}

impl RemoteWrite {
    /// Prepares pushes to `url`. `header_text`: headers as in [`HEADERS_VARIABLE`].
    ///
    /// # Errors
    /// If the URL or the headers are wrong, or the system provides no thread.
    pub fn open(url: &str, header_text: &str, form: HistogramForm) -> io::Result<Self> {
        let example = "the URL of a receiver, such as http://127.0.0.1:9090/api/v1/write";
        let url = receiver_url("--remote-write", url, example)?;
        let headers = variable_headers(HEADERS_VARIABLE, header_text)?;
        let shown = shown_url(&url);
        let version = Arc::new(AtomicU8::new(0));
        let push = HttpPush::new(url, headers)?;
        let sender = WriteSender { push, version: Arc::clone(&version) };
        let delivery = Delivery::start("remote-write", sender)?;
        Ok(Self { delivery, version, form, url: shown })
    }

    /// The sink to be added to the run's sinks.
    pub fn sink(&self) -> RemoteWriteSink {
        RemoteWriteSink {
            batches: self.delivery.intake(),
            version: Arc::clone(&self.version),
            form: self.form,
            timer: PushTimer::default(),
        }
    }

    /// Waits for the rest. Returns what was lost, for the user.
    pub fn finish(self, wait: LastWait<'_>) -> Option<String> {
        let receiver = format!("--remote-write {}", self.url);
        self.delivery.finish(wait).loss(&receiver, DeliveryItem::Request("metrics"))
    }
}

/// The sink that encodes reports.
#[derive(Debug)]
pub struct RemoteWriteSink {
    batches: BatchIntake,
    version: Arc<AtomicU8>,
    form: HistogramForm,
    timer: PushTimer,
}

impl Sink for RemoteWriteSink {
    fn wants(event: &RunEvent) -> bool {
        PushTimer::wants(event)
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let Some(report) = self.timer.due(event) {
            self.push(report);
        }
        Ok(())
    }
}

impl RemoteWriteSink {
    fn push(&self, report: &Report) {
        let plan = &report.info.plan;
        let own = [("job", "manada"), ("instance", plan.run_id.as_str())];
        let start = report.info.started_at;
        let times = PushTimes { at_ms: unix_ms(clock::wall()), start_ms: unix_ms(start) };
        let version = version_of(self.version.load(Relaxed));
        let families = catalog::families(report);
        for request in encode::requests(&families, &own, times, version, self.form) {
            let mut batch = vec![number_of(version)];
            batch.extend(request);
            self.batches.push(Batch::new(batch, 1));
        }
    }
}

fn unix_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The first byte of a batch.
const fn number_of(version: WriteVersion) -> u8 {
    match version {
        WriteVersion::One => 1,
        WriteVersion::Two => 2,
    }
}

/// The version to encode with: the first one as long as no other is known.
const fn version_of(number: u8) -> WriteVersion {
    if number == 2 { WriteVersion::Two } else { WriteVersion::One }
}

/// Sends requests, after it has found which version the receiver has.
struct WriteSender {
    push: HttpPush,
    /// Zero until it is known.
    version: Arc<AtomicU8>,
}

impl BatchSender for WriteSender {
    fn send(&mut self, batch: &Batch) -> SendResult {
        let Some((number, request)) = batch.bytes.split_first() else {
            return SendResult::Delivered;
        };
        if self.version.load(Relaxed) == 0
            && let Some(version) = self.negotiate()
        {
            self.version.store(number_of(version), Relaxed);
        }
        match self.post(version_of(*number), request.to_vec()) {
            Ok(response) => response.result(),
            Err(why) => SendResult::Retry(None, why),
        }
    }
}

impl WriteSender {
    /// Sends an empty request of version 2: a receiver that has it confirms that it wrote no
    /// samples. Others refuse it, or take it for an empty request of version 1. `None` if the
    /// receiver does not respond, or is in trouble.
    fn negotiate(&self) -> Option<WriteVersion> {
        let empty = WriteRequest2 { symbols: vec![String::new()], series: Vec::new() };
        let empty = encode::compressed(&empty.encode_to_vec());
        let response = self.post(WriteVersion::Two, empty).ok()?;
        if response.status.is_success() && response.headers.contains_key(WRITTEN) {
            return Some(WriteVersion::Two);
        }
        let is_in_trouble = matches!(response.result(), SendResult::Retry(..));
        (!is_in_trouble).then_some(WriteVersion::One)
    }

    fn post(&self, version: WriteVersion, request: Vec<u8>) -> Result<PushResponse, String> {
        let (media, number) = match version {
            WriteVersion::One => ("application/x-protobuf", "0.1.0"),
            WriteVersion::Two => {
                ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")
            }
        };
        let headers = [
            (CONTENT_TYPE, media),
            (CONTENT_ENCODING, "snappy"),
            (USER_AGENT, AGENT),
            (VERSION, number),
        ];
        self.push.post(&headers, request)
    }
}
