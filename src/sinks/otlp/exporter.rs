//! The exporter: a queue for each signal, through which its requests reach a receiver.
//!
//! `cli` opens it; sinks hand over metrics, spans and log records by its [`OtlpIntake`].
//! Invariant: a signal that fails or is slow costs no other one anything. No message shows the
//! credentials of the URL.

use std::io;
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::grpc::GrpcSender;
use super::http::HttpSender;
use super::messages::{OtlpLogRecord, OtlpSpan, ResourceMessage};
use super::outcome::RejectedItems;
use super::requests;
use super::resource::{HEADERS_VARIABLE, resource};
use crate::plan::RunManifest;
use crate::sinks::push::LastWait;
use crate::sinks::push::delivery::{BatchIntake, Delivery, DeliveryItem};
use crate::sinks::push::http_push::{HttpPush, headers, shown_url};

/// How requests reach a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpSignal {
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl OtlpSignal {
    /// All signals.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// Its name, also in the paths of receivers.
    pub const fn name(self) -> &'static str {
        ["metrics", "traces", "logs"][self as usize]
    }

    /// What its requests consist of.
    const fn items(self) -> &'static str {
        ["data points", "spans", "log records"][self as usize]
    }

    /// The method that takes it over gRPC.
    pub(super) const fn grpc_path(self) -> &'static str {
        [
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        ][self as usize]
    }
}

/// What an exporter needs to know.
#[derive(Clone, Copy, Debug)]
pub struct OtlpOptions<'a> {
    /// The URL of the receiver, without the paths of signals.
    pub url: &'a str,
    /// How requests reach it.
    pub protocol: OtlpProtocol,
    /// The signals that are sent.
    pub signals: &'a [OtlpSignal],
    /// The value of [`HEADERS_VARIABLE`].
    pub headers: &'a str,
    /// The value of `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: &'a str,
    /// The value of `OTEL_SERVICE_NAME`.
    pub service: &'a str,
}

/// An open exporter.
#[derive(Debug)]
pub struct OtlpExporter {
    queues: Vec<SignalQueue>,
    intake: OtlpIntake,
    /// The receiver in messages.
    receiver: String,
}

#[derive(Debug)]
struct SignalQueue {
    signal: OtlpSignal,
    delivery: Delivery,
    rejected: Arc<RejectedItems>,
}

/// The end of an exporter at which telemetry comes in. Signals that are off take nothing.
#[derive(Clone, Debug)]
pub struct OtlpIntake {
    resource: Arc<ResourceMessage>,
    batches: [Option<BatchIntake>; 3],
}

impl OtlpExporter {
    /// Prepares requests to a receiver, with a thread for each signal.
    ///
    /// # Errors
    /// If an option is wrong, or the system provides no thread.
    pub fn open(options: &OtlpOptions<'_>, plan: &RunManifest) -> io::Result<Self> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let url = base_url(options).map_err(wrong)?;
        let headers =
            headers(options.headers).map_err(|why| wrong(format!("{HEADERS_VARIABLE}: {why}")))?;
        let resource = resource(plan, options.attributes, options.service).map_err(wrong)?;
        let mut intake = OtlpIntake { resource: Arc::new(resource), batches: [const { None }; 3] };
        let mut queues = Vec::new();
        for signal in OtlpSignal::ALL.into_iter().filter(|one| options.signals.contains(one)) {
            let queue = SignalQueue::start(signal, options.protocol, &url, headers.clone())?;
            intake.batches[signal as usize] = Some(queue.delivery.intake());
            queues.push(queue);
        }
        Ok(Self { queues, intake, receiver: format!("--otlp {}", shown_url(&url)) })
    }

    /// Takes telemetry, for the sinks that make it.
    pub fn intake(&self) -> OtlpIntake {
        self.intake.clone()
    }

    /// Waits for the rest. Returns what was lost, for the user.
    pub fn finish(self, wait: LastWait<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for SignalQueue { signal, delivery, rejected } in self.queues {
            let counts = delivery.finish(wait);
            lines.extend(counts.loss(&self.receiver, DeliveryItem::Request(signal.name())));
            lines.extend(rejected.text(&self.receiver, signal.items()));
        }
        lines
    }
}

impl SignalQueue {
    fn start(
        signal: OtlpSignal,
        protocol: OtlpProtocol,
        url: &Url,
        headers: HeaderMap,
    ) -> io::Result<Self> {
        let rejected = Arc::new(RejectedItems::default());
        let (name, of_sender) = (format!("otlp-{}", signal.name()), Arc::clone(&rejected));
        let mut url = url.clone();
        let delivery = match protocol {
            OtlpProtocol::Http => {
                let path = format!("{}/v1/{}", url.path().trim_end_matches('/'), signal.name());
                url.set_path(&path);
                let push = HttpPush::new(url, headers)?;
                Delivery::start(&name, HttpSender { push, rejected: of_sender })?
            }
            OtlpProtocol::Grpc => {
                url.set_path(signal.grpc_path());
                Delivery::start(&name, GrpcSender::new(url, headers, of_sender)?)?
            }
        };
        Ok(Self { signal, delivery, rejected })
    }
}

impl OtlpIntake {
    /// Whether telemetry of this kind is sent.
    pub fn takes(&self, signal: OtlpSignal) -> bool {
        self.batches[signal as usize].is_some()
    }

    /// Hands over spans.
    pub fn push_spans(&self, spans: Vec<OtlpSpan>) {
        if self.takes(OtlpSignal::Traces) {
            self.push(OtlpSignal::Traces, requests::traces(&self.resource, spans));
        }
    }

    /// Hands over log records.
    pub fn push_logs(&self, records: Vec<OtlpLogRecord>) {
        if self.takes(OtlpSignal::Logs) {
            self.push(OtlpSignal::Logs, requests::logs(&self.resource, records));
        }
    }

    /// Hands over requests with metrics.
    pub(super) fn push_metrics(&self, requests: Vec<Vec<u8>>) {
        self.push(OtlpSignal::Metrics, requests);
    }

    /// What all telemetry is of.
    pub(super) fn resource(&self) -> &ResourceMessage {
        &self.resource
    }

    /// One that takes nothing.
    #[cfg(test)]
    pub(super) fn off() -> Self {
        Self { resource: Arc::default(), batches: [const { None }; 3] }
    }

    fn push(&self, signal: OtlpSignal, requests: Vec<Vec<u8>>) {
        let Some(batches) = &self.batches[signal as usize] else { return };
        requests.into_iter().for_each(|request| batches.push(request));
    }
}

/// The URL of a receiver.
fn base_url(options: &OtlpOptions<'_>) -> Result<Url, String> {
    let parsed = Url::parse(options.url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = parsed else {
        return Err("--otlp expects the URL of a receiver, such as http://127.0.0.1:4318".into());
    };
    let path = url.path().trim_end_matches('/');
    let signal = OtlpSignal::ALL.iter().find(|one| path.ends_with(&format!("/v1/{}", one.name())));
    if let Some(signal) = signal {
        return Err(format!(
            "--otlp expects a URL without /v1/{}, which is added for each signal",
            signal.name()
        ));
    }
    if options.protocol == OtlpProtocol::Grpc && !path.is_empty() {
        return Err("--otlp expects a URL without a path if the protocol is grpc".into());
    }
    Ok(url)
}
