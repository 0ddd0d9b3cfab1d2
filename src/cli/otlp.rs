//! `--otlp`: telemetry for OpenTelemetry.
//!
//! `metrics` has its options, opens it before the run and waits for it after it.
//! Invariant: what is wrong with an option or a variable is an error before the load.

use std::io;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::plan::RunManifest;
use crate::sinks::otlp::{
    ATTRIBUTES_VARIABLE, HEADERS_VARIABLE, LeftOutSpans, OtlpExporter, OtlpLogSink,
    OtlpMetricsSink, OtlpOptions, OtlpProtocol, OtlpSignal, OtlpSpanSink, SERVICE_VARIABLE,
};
use crate::sinks::push::LastWait;
use crate::sinks::{SinkSet, WhenFull};
use crate::stats::TraceSelection;
use crate::units::counted;

/// Options for OpenTelemetry.
#[derive(Clone, Debug, Args)]
pub(super) struct OtlpArgs {
    /// Push telemetry to a receiver of OpenTelemetry (OTLP)
    ///
    /// For example http://127.0.0.1:4318; /v1/metrics and so on are added. Headers, such as one
    /// with a token, come from the variable OTEL_EXPORTER_OTLP_HEADERS, attributes of the resource
    /// from OTEL_RESOURCE_ATTRIBUTES, all as name=value,name=value; and OTEL_SERVICE_NAME.
    #[arg(long, value_name = "URL", hide_short_help = true, help_heading = "Metrics")]
    otlp: Option<String>,
    /// Protocol of --otlp
    #[arg(long, value_enum, default_value_t = OtlpProtocol::Http, value_name = "PROTOCOL",
        requires = "otlp", hide_short_help = true, help_heading = "Metrics")]
    otlp_protocol: OtlpProtocol,
    /// Telemetry that --otlp sends, e.g. metrics,logs (default: all)
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "SIGNALS",
        requires = "otlp",
        hide_short_help = true,
        help_heading = "Metrics"
    )]
    otlp_signals: Vec<OtlpSignal>,
}

/// The exporter of a run.
#[derive(Debug)]
pub(super) struct OpenOtlp {
    exporter: OtlpExporter,
    left_out: LeftOutSpans,
}

impl OpenOtlp {
    /// Waits for the rest. Returns what was lost or left out, for the user.
    pub(super) fn finish(self, wait: LastWait<'_>) -> Vec<String> {
        let mut lines = self.exporter.finish(wait);
        let (sampled, failed) = self.left_out.get();
        if sampled + failed > 0 {
            lines.push(format!(
                "traces: {} of sampled iterations and {} were left out, since there were too many",
                counted(sampled, "call"),
                counted(failed, "failed call")
            ));
        }
        lines
    }
}

/// The values of `--otlp-protocol`.
impl ValueEnum for OtlpProtocol {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Http, Self::Grpc]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Http => PossibleValue::new("http").help("Protobuf over HTTP, usually port 4318"),
            Self::Grpc => PossibleValue::new("grpc").help("gRPC, usually port 4317"),
        })
    }
}

/// The values of `--otlp-signals`.
impl ValueEnum for OtlpSignal {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl OtlpArgs {
    /// The URL of the receiver.
    pub(super) fn url(&self) -> Option<&str> {
        self.otlp.as_deref()
    }

    /// Whether metrics are sent.
    pub(super) fn has_metrics(&self) -> bool {
        self.otlp.is_some() && self.signals().contains(&OtlpSignal::Metrics)
    }

    /// Whether spans are sent, if a run has any.
    pub(super) fn has_spans(&self) -> bool {
        self.otlp.is_some() && self.signals().contains(&OtlpSignal::Traces)
    }

    fn signals(&self) -> &[OtlpSignal] {
        if self.otlp_signals.is_empty() { &OtlpSignal::ALL } else { &self.otlp_signals }
    }

    /// Opens the exporter, if it is wanted, and adds its sinks.
    ///
    /// # Errors
    /// If an option is wrong.
    pub(super) fn open(
        &self,
        (manifest, traces): (impl FnOnce() -> RunManifest, Option<TraceSelection>),
        sinks: &mut SinkSet,
    ) -> io::Result<Option<OpenOtlp>> {
        let Some(url) = &self.otlp else { return Ok(None) };
        if self.otlp_signals.contains(&OtlpSignal::Traces) && traces.is_none() {
            let why = "`--otlp-signals traces` needs traces; add `--trace-ratio`, such as \
                       `--trace-ratio 1%`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let variable = |name| std::env::var(name).unwrap_or_default();
        let options = OtlpOptions {
            url,
            protocol: self.otlp_protocol,
            signals: self.signals(),
            headers: &variable(HEADERS_VARIABLE),
            attributes: &variable(ATTRIBUTES_VARIABLE),
            service: &variable(SERVICE_VARIABLE),
        };
        let exporter = OtlpExporter::open(&options, &manifest())?;
        if exporter.intake().takes(OtlpSignal::Metrics) {
            let sink = OtlpMetricsSink::new(exporter.intake());
            sinks.add("otlp-metrics", WhenFull::DropNewest, sink)?;
        }
        if exporter.intake().takes(OtlpSignal::Logs) {
            let sink = OtlpLogSink::new(exporter.intake(), traces);
            sinks.add("otlp-logs", WhenFull::DropNewest, sink)?;
        }
        let mut left_out = LeftOutSpans::default();
        if let Some(selection) = traces
            && exporter.intake().takes(OtlpSignal::Traces)
        {
            let sink = OtlpSpanSink::new(exporter.intake(), selection);
            left_out = sink.left_out();
            sinks.add("otlp-traces", WhenFull::DropNewest, sink)?;
        }
        Ok(Some(OpenOtlp { exporter, left_out }))
    }
}
