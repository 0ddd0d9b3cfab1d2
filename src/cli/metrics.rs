//! `--metrics`, `--remote-write`, `--influx`, `--statsd`, `--elasticsearch`, `--otlp`: the
//! receivers of a run.
//!
//! `execute` opens them before the run, and waits for them after it.
//! Invariant: what is wrong with their options is an error before the load; what a receiver does is
//! never one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};

use super::otlp::{OpenOtlp, OtlpArgs};
use super::output::print_remark;
use crate::plan::{CallRecordOptions, Plan};
use crate::sandbox::port_of;
use crate::sinks::elasticsearch::{self, Elasticsearch};
use crate::sinks::metrics::influx::{self, Influx};
use crate::sinks::metrics::remote_write::{self, HistogramForm, RemoteWrite};
use crate::sinks::metrics::statsd::{Statsd, StatsdTags};
use crate::sinks::metrics::{MetricsEndpoint, check_size};
use crate::sinks::push::LastWait;
use crate::sinks::{SinkSet, WhenFull};

/// The default address: the port that OpenTelemetry's exporters for Prometheus have.
const PLACE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Options for metrics.
#[derive(Clone, Debug, Args)]
pub(super) struct MetricsArgs {
    /// Serve metrics to Prometheus at http://ADDR/metrics
    ///
    /// ADDR is the address to listen on (default: 127.0.0.1:9464). After the run, the command waits
    /// for one more scrape: at most twice the time between the last two, and 60 s.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true,
        value_parser = listen_address, hide_short_help = true, help_heading = "Metrics")]
    #[expect(clippy::option_option, reason = "clap's form of a value that may be left out")]
    metrics: Option<Option<SocketAddr>>,
    /// Push metrics to a Prometheus remote-write receiver every 5 s
    ///
    /// For example http://127.0.0.1:9090/api/v1/write. Version 2 of the protocol is used if the
    /// receiver has it. Headers, such as one with a token, come from the variable
    /// MANADA_REMOTE_WRITE_HEADERS, as name=value,name=value.
    #[arg(long, value_name = "URL", hide_short_help = true, help_heading = "Metrics")]
    remote_write: Option<String>,
    /// Form of histograms that are pushed
    ///
    /// classic: a series for each bound, which every receiver takes; native: one native histogram
    /// with exponential buckets, for receivers that have them turned on.
    #[arg(long, value_enum, default_value_t = HistogramFormArg::Classic, value_name = "FORM",
        requires = "remote_write", hide_short_help = true, help_heading = "Metrics")]
    remote_write_histograms: HistogramFormArg,
    /// Push metrics to InfluxDB each second, as line protocol
    ///
    /// The URL to write to: http://127.0.0.1:8086/write?db=load for InfluxDB 1,
    /// 'http://127.0.0.1:8086/api/v2/write?org=team&bucket=load' for InfluxDB 2. Headers, such as
    /// one with a token, come from the variable MANADA_INFLUX_HEADERS, as name=value,name=value.
    #[arg(long, value_name = "URL", hide_short_help = true, help_heading = "Metrics")]
    influx: Option<String>,
    /// Send metrics to StatsD or DogStatsD each second
    ///
    /// HOST:PORT, such as 127.0.0.1:8125, for UDP; unix:PATH for a socket of datagrams.
    #[arg(long, value_name = "ADDR", hide_short_help = true, help_heading = "Metrics")]
    statsd: Option<String>,
    /// How labels are sent to StatsD
    ///
    /// dogstatsd: as tags (name:1|c|#step:buy), which Datadog, Telegraf, Vector and the exporter of
    /// Prometheus read; none: as parts of the name (name.buy:1|c), which every StatsD reads.
    #[arg(long, value_enum, default_value_t = StatsdTagsArg::Dogstatsd, value_name = "FORM",
        requires = "statsd", hide_short_help = true, help_heading = "Metrics")]
    statsd_tags: StatsdTagsArg,
    /// Write seconds, failures and events to Elasticsearch or OpenSearch
    ///
    /// The URL of a node, such as http://127.0.0.1:9200. Documents go to the indices
    /// manada-seconds, manada-failures and manada-events. Headers, such as one with an API key,
    /// come from the variable MANADA_ELASTICSEARCH_HEADERS, as name=value,name=value.
    #[arg(long, value_name = "URL", hide_short_help = true, help_heading = "Metrics")]
    elasticsearch: Option<String>,
    #[command(flatten)]
    otlp: OtlpArgs,
}

/// A form of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatsdTagsArg {
    Dogstatsd,
    None,
}

/// A form of histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HistogramFormArg {
    Classic,
    Native,
}

/// The receivers of a run.
#[derive(Debug, Default)]
pub(super) struct MetricsReceivers {
    endpoint: Option<MetricsEndpoint>,
    remote_write: Option<RemoteWrite>,
    influx: Option<Influx>,
    statsd: Option<Statsd>,
    elasticsearch: Option<Elasticsearch>,
    otlp: Option<OpenOtlp>,
}

/// Parses the address of `--metrics`.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address with a port, such as --metrics=127.0.0.1:9464".to_owned()
    })
}

impl MetricsArgs {
    /// Whether a receiver gets spans, if the run has any.
    pub(super) fn has_spans(&self) -> bool {
        self.otlp.has_spans()
    }

    /// The TCP ports of receivers, and the one that metrics are served on.
    pub(super) fn ports(&self) -> (Vec<u16>, Option<u16>) {
        let urls = [&self.remote_write, &self.influx, &self.elasticsearch];
        let urls = urls.into_iter().flatten().map(String::as_str).chain(self.otlp.url());
        let listen = self.metrics.map(|place| place.unwrap_or(PLACE).port());
        (urls.filter_map(port_of).collect(), listen)
    }

    /// Whether a receiver of metrics is wanted.
    fn has_metrics(&self) -> bool {
        let Self { metrics, remote_write, influx, statsd, otlp, .. } = self;
        let is_pushed = remote_write.is_some() || influx.is_some() || statsd.is_some();
        metrics.is_some() || is_pushed || otlp.has_metrics()
    }

    /// Opens what is wanted; returns lines to print.
    ///
    /// # Errors
    /// If an address cannot be bound, an option is wrong, or the run has too many metrics.
    pub(super) fn open(
        &self,
        plan: &Plan,
        sinks: &mut SinkSet,
    ) -> io::Result<(MetricsReceivers, Vec<String>)> {
        let (mut receivers, mut lines) = (MetricsReceivers::default(), Vec::new());
        if self.has_metrics() {
            check_size(&plan.manifest())
                .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        }
        let traces = plan.call_records.and_then(CallRecordOptions::traces);
        receivers.otlp = self.otlp.open((|| plan.manifest(), traces), sinks)?;
        if let Some(place) = self.metrics {
            let place = place.unwrap_or(PLACE);
            let endpoint = MetricsEndpoint::open(place).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot serve metrics at {place}: {error}"))
            })?;
            sinks.add("metrics", WhenFull::DropNewest, endpoint.sink())?;
            lines.push(format!("metrics: {}", endpoint.url()));
            if endpoint.is_remote() {
                lines.push(
                    "metrics are not on loopback: every machine that reaches the address can read \
                     them"
                        .to_owned(),
                );
            }
            receivers.endpoint = Some(endpoint);
        }
        self.open_pushes(&mut receivers, sinks)?;
        Ok((receivers, lines))
    }

    /// Opens the receivers that metrics are pushed to.
    fn open_pushes(&self, receivers: &mut MetricsReceivers, sinks: &mut SinkSet) -> io::Result<()> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        if let Some(url) = &self.remote_write {
            let form = match self.remote_write_histograms {
                HistogramFormArg::Classic => HistogramForm::Classic,
                HistogramFormArg::Native => HistogramForm::Native,
            };
            let remote_write =
                RemoteWrite::open(url, &variable(remote_write::HEADERS_VARIABLE), form)?;
            sinks.add("remote-write", WhenFull::DropNewest, remote_write.sink())?;
            receivers.remote_write = Some(remote_write);
        }
        if let Some(url) = &self.influx {
            let influx = Influx::open(url, &variable(influx::HEADERS_VARIABLE))?;
            sinks.add("influx", WhenFull::DropNewest, influx.sink())?;
            receivers.influx = Some(influx);
        }
        if let Some(address) = &self.statsd {
            let tags = match self.statsd_tags {
                StatsdTagsArg::Dogstatsd => StatsdTags::Dogstatsd,
                StatsdTagsArg::None => StatsdTags::None,
            };
            let statsd = Statsd::open(address, tags)?;
            sinks.add("statsd", WhenFull::DropNewest, statsd.sink())?;
            receivers.statsd = Some(statsd);
        }
        if let Some(url) = &self.elasticsearch {
            let opened = Elasticsearch::open(url, &variable(elasticsearch::HEADERS_VARIABLE))?;
            sinks.add("elasticsearch", WhenFull::DropNewest, opened.sink())?;
            receivers.elasticsearch = Some(opened);
        }
        Ok(())
    }
}

impl MetricsReceivers {
    /// Waits until the receivers have the final figures, a bounded time or until `hurry` is set,
    /// and prints what was lost.
    pub(super) fn finish(self, hurry: &AtomicBool) {
        let wait = LastWait::begin(hurry);
        let mut lost = Vec::new();
        lost.extend(self.remote_write.and_then(|opened| opened.finish(wait)));
        lost.extend(self.influx.and_then(|opened| opened.finish(wait)));
        lost.extend(self.statsd.and_then(Statsd::finish));
        lost.extend(self.elasticsearch.map(|opened| opened.finish(wait)).into_iter().flatten());
        lost.extend(self.otlp.map(|opened| opened.finish(wait)).into_iter().flatten());
        lost.iter().for_each(|text| print_remark(text));
        let Some(endpoint) = self.endpoint else { return };
        let Some(wait) = endpoint.final_wait() else { return };
        let seconds = wait.as_secs_f64().ceil();
        print_remark(&format_args!(
            "waiting up to {seconds} s for one more scrape of the metrics; Ctrl-C ends it"
        ));
        if !endpoint.wait_for_final_scrape(wait, hurry) {
            print_remark(&"the final metrics were not scraped");
        }
    }
}
