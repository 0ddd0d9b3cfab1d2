//! `manada hit`: one URL or several without a scenario file, with the same plan and path as `run`.
//!
//! Invariant: there is no shortcut: `run` would measure the same.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::args::{self, CommonArgs, GeneratorArgs};
use super::ceiling_args::CeilingArgs;
use super::execute;
use super::hit_streams::HitStreamArgs;
use super::limits::{self, UserLimits};
use super::load_generators::LoadGenerators;
use super::load_scenario::{compile_asking, status_of};
use super::output::{fail, print_remark, report_failure};
use super::output_folder::OutputFolder;
use crate::exit::ExitStatus;
use crate::files::{FileRecorder, FileRole, Files};
use crate::plan::Plan;
use crate::redact::Redactor;
use crate::report::layout::PeerLayout;
use crate::scenario::Mistakes;
use crate::scenario::hit::{self, HitClient, HitOptions};
use crate::units::Rate;

/// Default of `--location`, as a flag's value.
const REDIRECTS: &str = "10";

/// Maximum body, bytes, because each shard keeps one rendered request per URL.
const MAX_BODY: u64 = 256 << 20;

/// Maximum file of URLs, bytes.
const MAX_URLS: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada hit http://127.0.0.1:8080/ -c 50 -d 30s
  manada hit http://127.0.0.1:8080/ -n 10k -c 100 --warmup 2s
  manada hit http://127.0.0.1:8080/ -r 500/s -d 1m --threshold 'response.p99 < 50ms'
  manada hit http://127.0.0.1:8080/cart -m POST -b '{\"id\": 7}' \
-H 'content-type: application/json'
  manada hit https://shop.test/ --http2 --cacert ca.pem --connect-to 127.0.0.1:8443
  manada hit http://127.0.0.1:8080/a http://127.0.0.1:8080/b -u me:secret
  manada hit http://127.0.0.1:8080/ -c 50 --format oha
  manada hit ws://127.0.0.1:8080/ws/echo -c 100 -r 500/s
  manada hit ws://127.0.0.1:8080/ws/echo --listen -c 10k -d 1m
  manada hit http://127.0.0.1:8080/v1/completions --stream openai -b @prompt.json
  manada hit grpc://127.0.0.1:50051/shop.v1.Cart/Add -b '{\"sku\": \"a7\"}' -c 10

Response times count from the moment that a request was due: with --rate they include the wait of \
late requests, and need no correction for coordinated omission. `hit` prints a summary; --out DIR \
also writes the report.")]
pub(super) struct Args {
    /// URLs, e.g. http://127.0.0.1:8080/ or ws://127.0.0.1:8080/chat
    ///
    /// With several URLs, each request takes one at random. ws:// and wss:// open a WebSocket for
    /// each user, which sends a message, awaits the reply, and so on.
    #[arg(value_name = "URL", required_unless_present = "urls")]
    url: Vec<String>,
    /// Read URLs from FILE, one per line; `-` is standard input
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    urls: Option<PathBuf>,
    #[command(flatten)]
    load: HitLoadArgs,
    #[command(flatten)]
    request: HitRequestArgs,
    #[command(flatten)]
    streams: HitStreamArgs,
    #[command(flatten)]
    connection: HitConnectionArgs,
    #[command(flatten)]
    limits: UserLimits,
    #[command(flatten)]
    ceilings: CeilingArgs,
    /// Print the results as another tool does: oha, wrk or k6
    ///
    /// For scripts that parse them. Verdict and trust go to standard error.
    #[arg(
        long,
        value_enum,
        value_name = "TOOL",
        conflicts_with = "json",
        hide_short_help = true,
        help_heading = "Results"
    )]
    format: Option<HitFormat>,
    #[command(flatten)]
    generator: GeneratorArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// A tool whose layout `hit` prints.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HitFormat {
    /// As oha prints them.
    Oha,
    /// As wrk prints them with `--latency`.
    Wrk,
    /// As the summary at the end of k6.
    K6,
}

impl From<HitFormat> for PeerLayout {
    fn from(format: HitFormat) -> Self {
        match format {
            HitFormat::Oha => Self::Oha,
            HitFormat::Wrk => Self::Wrk,
            HitFormat::K6 => Self::K6,
        }
    }
}

/// How much is sent, and for how long.
#[derive(Debug, clap::Args)]
struct HitLoadArgs {
    /// Users, each with one connection (default: 50)
    ///
    /// With --rate: the maximum of concurrent users (default: as needed, at most 10000).
    #[arg(short, long, value_name = "N", value_parser = args::count, help_heading = "Load")]
    connections: Option<u64>,
    /// Duration, e.g. 30s (default: 10s)
    ///
    /// With --requests: until all requests are sent.
    #[arg(short, long, value_name = "D", visible_short_alias = 'z', help_heading = "Load",
        value_parser = args::duration)]
    duration: Option<Duration>,
    /// Number of requests after the warm-up, e.g. 10k
    #[arg(short = 'n', long, value_name = "N", value_parser = args::count, help_heading = "Load")]
    requests: Option<u64>,
    /// Requests per second, in all, e.g. 500/s
    ///
    /// Open model: requests are due at this rate, whatever the response times. Over WebSockets:
    /// messages per second; each connection sends at an even pace (default of --connections: one
    /// per message of a second, at most 50).
    #[arg(short, long, value_name = "N/s", value_parser = args::plain_rate, help_heading = "Load")]
    rate: Option<Rate>,
    /// Warm-up, excluded from the results, e.g. 2s
    #[arg(long, value_name = "D", default_value = "0", value_parser = args::zero_or_more,
        hide_short_help = true, help_heading = "Load")]
    warmup: Duration,
}

/// Options for the request.
#[derive(Debug, clap::Args)]
struct HitRequestArgs {
    /// Method, e.g. POST (default: GET)
    ///
    /// With --stream and --body the default is POST.
    #[arg(short, long, value_name = "NAME", help_heading = "Request")]
    method: Option<String>,
    /// Header, e.g. 'accept: text/html'; repeatable
    #[arg(short = 'H', long = "header", value_name = "K: V", value_parser = header,
        help_heading = "Request")]
    headers: Vec<(String, String)>,
    /// Body; @FILE reads it from a file, @- from stdin
    #[arg(short, long, value_name = "BODY", help_heading = "Request")]
    body: Option<String>,
    /// Basic authentication, e.g. me:secret
    #[arg(
        short,
        long,
        value_name = "USER:PASSWORD",
        hide_short_help = true,
        help_heading = "Request"
    )]
    user: Option<String>,
    /// Follow redirects, at most N per request (default N: 10)
    #[arg(short = 'L', long, hide_short_help = true, value_name = "N", num_args = 0..=1,
        require_equals = true, default_missing_value = REDIRECTS,
        value_parser = clap::value_parser!(u32).range(0..=100),
        help_heading = "Request")]
    location: Option<u32>,
    /// Timeout of a request, e.g. 5s (default: 30s)
    #[arg(long, value_name = "D", value_parser = args::duration, help_heading = "Request")]
    timeout: Option<Duration>,
}

/// How the target is reached.
#[derive(Debug, clap::Args)]
struct HitConnectionArgs {
    /// Use HTTP/2
    ///
    /// With prior knowledge over http, by ALPN over https.
    #[arg(long, help_heading = "Connection")]
    http2: bool,
    /// Open a connection per request
    #[arg(long, hide_short_help = true, help_heading = "Connection")]
    disable_keepalive: bool,
    /// Accept any certificate; the report says so
    #[arg(short = 'k', long, help_heading = "Connection")]
    insecure: bool,
    /// Trust the certificates of a PEM file instead of the system's
    #[arg(long, hide_short_help = true, value_name = "FILE", help_heading = "Connection")]
    cacert: Option<PathBuf>,
    /// Client certificate, a PEM file
    #[arg(long, hide_short_help = true, value_name = "FILE", help_heading = "Connection")]
    cert: Option<PathBuf>,
    /// Private key of --cert, a PEM file (default: the file of --cert)
    #[arg(long, hide_short_help = true, value_name = "FILE", help_heading = "Connection")]
    key: Option<PathBuf>,
    /// Connect to another address; repeatable
    ///
    /// HOST:PORT, or curl's form HOST1:PORT1:HOST2:PORT2, which redirects the first to the second.
    /// The Host header and the name in TLS stay.
    #[arg(long, value_name = "HOST:PORT", hide_short_help = true, help_heading = "Connection")]
    connect_to: Vec<String>,
    /// Connect to a Unix domain socket
    #[arg(
        long,
        hide_short_help = true,
        value_name = "PATH",
        visible_alias = "unix-socket",
        help_heading = "Connection"
    )]
    unix: Option<PathBuf>,
    /// Proxy, e.g. http://proxy:3128 or socks5://proxy:1080
    #[arg(
        short = 'x',
        long,
        hide_short_help = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    proxy: Option<String>,
}

impl Args {
    /// Builds the options of the hit; the error names a file that cannot be read.
    fn hit(&self, files: &Files) -> Result<HitOptions, String> {
        let (load, request, connection) = (&self.load, &self.request, &self.connection);
        let streams = &self.streams;
        let mut urls = self.url.clone();
        if let Some(path) = &self.urls {
            urls.extend(read_urls(files, path)?);
        }
        Ok(HitOptions {
            files: files.clone(),
            urls,
            connections: load.connections,
            duration: load.duration,
            requests: load.requests,
            rate: load.rate,
            warmup: load.warmup,
            method: request.method.clone(),
            headers: request.headers.clone(),
            body: request
                .body
                .as_deref()
                .map(|body| read_body(files, body, "the body"))
                .transpose()?,
            message: streams
                .message
                .as_deref()
                .map(|message| read_body(files, message, "the message"))
                .transpose()?,
            listen: streams.listen,
            stream: streams.stream,
            good: streams.good,
            timeout: request.timeout,
            client: HitClient {
                http2: connection.http2,
                insecure: connection.insecure,
                ca: connection.cacert.clone(),
                cert: connection.cert.clone(),
                key: connection.key.clone(),
                login: request.user.clone(),
                redirects: request.location,
                keep_alive: !connection.disable_keepalive,
                connect_to: connection.connect_to.clone(),
                unix: connection.unix.clone(),
                proxy: connection.proxy.clone(),
            },
            seed: self.generator.seed,
            thresholds: self.generator.threshold.clone(),
        })
    }
}

impl Args {
    /// Returns the option that contains a credential, if there is one.
    pub(super) fn credential(&self, redactor: &Redactor<'_>) -> Option<&'static str> {
        let (request, connection) = (&self.request, &self.connection);
        let has = |text: &String| redactor.text(text) != text.as_str();
        let is_secret = |(name, value): &(String, String)| {
            redactor.is_sensitive(name) || redactor.header(name, value) != value.as_str()
        };
        let is_body = |text: &&String| !text.starts_with('@');
        let hides = |text: &String| {
            redactor.body(text.as_bytes(), "application/json") != text.as_bytes() || has(text)
        };
        let found = [
            ("URL", self.url.iter().any(has)),
            ("--header", request.headers.iter().any(is_secret)),
            ("--user", request.user.is_some()),
            ("--body", request.body.iter().filter(is_body).any(hides)),
            ("--message", self.streams.message.iter().filter(is_body).any(hides)),
            ("--proxy", connection.proxy.iter().any(has)),
        ];
        found.into_iter().find(|(_, has)| *has).map(|(option, _)| option)
    }
}

/// Why there is no plan.
pub(super) enum HitFailure {
    /// A file that an option names cannot be read.
    File(String),
    /// Mistakes in the options, or limits that forbid the load.
    Mistakes(Mistakes, ExitStatus),
}

/// Makes the plan of the options; their files are read from `files`.
pub(super) fn compile(args: &Args, files: &Files) -> Result<Plan, HitFailure> {
    let hit = args.hit(files).map_err(HitFailure::File)?;
    compile_asking(|told| {
        // Every mistake in these options was made on the command line.
        let usage = |mistakes| HitFailure::Mistakes(mistakes, ExitStatus::Usage);
        let mut plan = hit::plan_told(&hit, told).map_err(usage)?;
        args.common.calls.apply(&mut plan, args.common.metrics.has_spans());
        let (hosts, ceilings) = (&args.limits.authorised, args.ceilings.ceilings());
        let file = limits::safety_file(files);
        hit::within_limits(plan, files, file.as_deref(), hosts, &ceilings).map_err(|mistakes| {
            let status = status_of(&mistakes);
            HitFailure::Mistakes(mistakes, status)
        })
    })
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let reports = &args.common.output.report;
    let name = args.url.first().map_or("--urls", String::as_str);
    let recorder = FileRecorder::default();
    match compile(args, &args.common.sandbox.files(&recorder)) {
        Ok(plan) => {
            let layout = args.format.map(PeerLayout::from);
            let generators = LoadGenerators::reading(&args.generator, recorder.paths());
            execute::execute_plan(plan, &args.common, OutputFolder::IfGiven, layout, generators)
        }
        Err(HitFailure::File(message)) => fail(reports, name, &message, ExitStatus::Scenario),
        Err(HitFailure::Mistakes(mistakes, status)) => {
            print_remark(&mistakes.render(true));
            report_failure(reports, name, &mistakes.lines(), status)
        }
    }
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or("expected NAME: VALUE, such as 'accept: text/html'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn read_body(files: &Files, body: &str, what: &str) -> Result<Vec<u8>, String> {
    match body.strip_prefix('@') {
        None => Ok(body.as_bytes().to_vec()),
        Some(path) => read(files, path, (FileRole::Body, MAX_BODY), what),
    }
}

/// Reads a file of URLs: one per line, without empty lines and lines that begin with `#`.
fn read_urls(files: &Files, path: &Path) -> Result<Vec<String>, String> {
    let shown = path.display().to_string();
    let bytes = read(files, &shown, (FileRole::Urls, MAX_URLS), "URLs")?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let urls: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if urls.is_empty() {
        return Err(format!("no URL in {shown}; expected one URL per line"));
    }
    Ok(urls)
}

/// Reads a file, or standard input as `-`, of at most `most` bytes.
fn read(
    files: &Files,
    path: &str,
    (role, most): (FileRole, u64),
    what: &str,
) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("cannot read {what} from {path}: {error}");
    let mut bytes = Vec::new();
    let mut limited: Box<dyn Read> = if path == "-" {
        Box::new(files.standard_input().map_err(unreadable)?.take(most + 1))
    } else {
        Box::new(files.open(Path::new(path), role).map_err(unreadable)?.take(most + 1))
    };
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(format!("{what} in {path}: larger than {} MiB", most >> 20));
    }
    Ok(bytes)
}
