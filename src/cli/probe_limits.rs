//! `manada probe-limits`: finds the rate limit of a target, or its limit of connections.
//!
//! `mod` passes the arguments; `probe` searches.
//! Invariant: the same hosts are refused as by `hit`, and no request is sent after a bound of the
//! probe or a signal.

use std::cell::Cell;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::args;
use super::limits::{self, UserLimits};
use super::output::{finish, print_error, print_remark};
use super::signals::Signals;
use crate::clock;
use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::host;
use crate::plan::Plan;
use crate::plan::ceilings::Ceilings;
use crate::probe::{
    self, ConnectionFinding, ProbeFinding, ProbeRequests, ProbeStop, RequestSender, SearchOptions,
    SendLimits,
};
use crate::redact;
use crate::scenario::Mistakes;
use crate::scenario::hit::{self, HitClient, HitOptions};
use crate::units::nanos;

/// Maximum source addresses of `--sources`.
const MAX_SOURCES: u32 = 4_096;

/// Statuses of refusals without `--status`.
const REFUSALS: [u16; 2] = [429, 503];

/// Descriptors that are not connections.
const OTHER_DESCRIPTORS: u64 = 64;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada probe-limits http://127.0.0.1:8080/
  manada probe-limits http://127.0.0.1:8080/search --other-path /status --json
  manada probe-limits http://127.0.0.1:8080/ -H 'authorization: Bearer a' \
--other-header 'authorization: Bearer b'
  manada probe-limits http://127.0.0.1:8080/ --source 127.0.0.1 --other-source 127.0.0.2
  manada probe-limits http://127.0.0.1:8080/ --connections 200 --sources 127.0.0.2-127.0.0.20

Sends requests until one is refused, sees how the allowance returns, and tries the limit that it \
found. A target without a limit gets all of --max-requests, and the exit code is 0, too.")]
pub(super) struct Args {
    /// URL, e.g. http://127.0.0.1:8080/search
    url: String,
    /// Maximum number of requests
    #[arg(long, value_name = "N", default_value = "1000", value_parser = args::count,
        help_heading = "Bounds")]
    max_requests: u64,
    /// Maximum time, e.g. 2m
    #[arg(long, value_name = "D", default_value = "60s", value_parser = args::duration,
        help_heading = "Bounds")]
    max_time: Duration,
    /// Maximum requests at the same time
    ///
    /// Slow targets get several requests at once; else the search would be slower than the limit.
    #[arg(long, value_name = "N", default_value_t = 32, hide_short_help = true,
        value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Bounds")]
    parallel: u32,
    /// Status of a refusal besides 429 and 503, e.g. 403; repeatable
    #[arg(long, value_name = "STATUS", hide_short_help = true, help_heading = "Bounds",
        value_parser = clap::value_parser!(u16).range(400..=599))]
    status: Vec<u16>,
    /// Path that may have a limit of its own, e.g. /status
    #[arg(long, value_name = "PATH", help_heading = "Scope")]
    other_path: Option<String>,
    /// Header of another user, e.g. 'authorization: Bearer b'; repeatable
    #[arg(long, value_name = "K: V", value_parser = super::hit::header, help_heading = "Scope")]
    other_header: Vec<(String, String)>,
    /// Local address to send from, e.g. 127.0.0.1
    #[arg(long, value_name = "IP", help_heading = "Scope")]
    source: Option<IpAddr>,
    /// Another local address, which may have a limit of its own
    #[arg(long, value_name = "IP", requires = "source", help_heading = "Scope")]
    other_source: Option<IpAddr>,
    /// Open up to N connections instead, until one is refused
    #[arg(long, value_name = "N", value_parser = args::count, help_heading = "Connections")]
    connections: Option<u64>,
    /// Local addresses for --connections: IP-IP, or IP,IP
    #[arg(long, value_name = "RANGE", value_parser = sources, requires = "connections",
        conflicts_with = "source", help_heading = "Connections")]
    sources: Option<SourceList>,
    #[command(flatten)]
    request: ProbeRequestArgs,
    #[command(flatten)]
    limits: UserLimits,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options for the request.
#[derive(Debug, clap::Args)]
struct ProbeRequestArgs {
    /// Method, e.g. POST (default: GET)
    #[arg(short, long, value_name = "NAME", hide_short_help = true, help_heading = "Request")]
    method: Option<String>,
    /// Header, e.g. 'accept: text/html'; repeatable
    #[arg(short = 'H', long = "header", value_name = "K: V", value_parser = super::hit::header,
        help_heading = "Request")]
    headers: Vec<(String, String)>,
    /// Body
    #[arg(short, long, value_name = "BODY", hide_short_help = true, help_heading = "Request")]
    body: Option<String>,
    /// Timeout of a request
    #[arg(long, value_name = "D", default_value = "10s", value_parser = args::duration,
        hide_short_help = true, help_heading = "Request")]
    timeout: Duration,
    /// Accept any certificate
    #[arg(short = 'k', long, hide_short_help = true, help_heading = "Request")]
    insecure: bool,
    /// Trust the certificates of a PEM file instead of the system's
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Request")]
    cacert: Option<PathBuf>,
}

/// Local addresses.
#[derive(Clone, Debug)]
struct SourceList(Vec<IpAddr>);

impl Args {
    fn hit(&self) -> Result<HitOptions, String> {
        let mut urls = vec![self.url.clone()];
        if let Some(path) = &self.other_path {
            let other = other_url(&self.url, path)?;
            if other == self.url {
                return Err(format!("`--other-path {path}` is the path of the URL"));
            }
            urls.push(other);
        }
        Ok(HitOptions {
            files: Files::default(),
            urls,
            connections: Some(u64::from(self.parallel)),
            duration: Some(self.max_time),
            requests: None,
            rate: None,
            warmup: Duration::ZERO,
            method: self.request.method.clone(),
            headers: self.request.headers.clone(),
            body: self.request.body.as_ref().map(|body| body.as_bytes().to_vec()),
            message: None,
            listen: false,
            stream: None,
            good: None,
            timeout: Some(self.request.timeout),
            client: HitClient {
                insecure: self.request.insecure,
                ca: self.request.cacert.clone(),
                ..HitClient::default()
            },
            seed: None,
            thresholds: Vec::new(),
        })
    }

    fn local_addresses(&self) -> Vec<IpAddr> {
        match &self.sources {
            Some(SourceList(list)) => list.clone(),
            None => self.source.into_iter().chain(self.other_source).collect(),
        }
    }

    /// The plan of the request, within the same limits as that of `hit`.
    fn plan(&self) -> Result<Plan, ExitStatus> {
        let options = self.hit().map_err(|why| {
            print_error(&why);
            ExitStatus::Usage
        })?;
        let report = |mistakes: &Mistakes, status| {
            print_remark(&mistakes.render(true));
            status
        };
        let plan = hit::plan(&options).map_err(|found| report(&found, ExitStatus::Usage))?;
        let (files, hosts) = (Files::default(), &self.limits.authorised);
        let file = limits::safety_file(&files);
        let mut plan =
            hit::within_limits(plan, &files, file.as_deref(), hosts, &Ceilings::default())
                .map_err(|found| {
                    let is_flag = found.has_flag_mistake();
                    report(&found, if is_flag { ExitStatus::Usage } else { ExitStatus::Scenario })
                })?;
        for service in &mut plan.services {
            service.transport.sources = self.local_addresses();
        }
        Ok(plan)
    }
}

/// What was found.
struct Found {
    rate: Option<ProbeFinding>,
    connections: Option<ConnectionFinding>,
    /// Why the last request failed, if one did.
    failure: Option<String>,
    /// Why a safety limit forbids the target, if one does.
    refusal: Option<String>,
    signal: Option<Interrupt>,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    let sources = args.local_addresses();
    let has_other = args.other_source.is_some();
    let requests = match ProbeRequests::new(&plan, &args.other_header, &sources, has_other) {
        Ok(requests) => requests,
        Err(why) => {
            print_error(&why);
            return ExitStatus::Usage;
        }
    };
    let signals = match Signals::start() {
        Ok(signals) => signals,
        Err(error) => {
            print_error(&format_args!("cannot handle signals: {error}"));
            return ExitStatus::Broken;
        }
    };
    match clock::block_on(search(args, &plan, requests, &signals)) {
        Ok(Ok(found)) => show(args, found),
        Ok(Err(why)) => {
            print_error(&why);
            ExitStatus::Broken
        }
        Err(error) => {
            print_error(&error);
            ExitStatus::Broken
        }
    }
}

async fn search(
    args: &Args,
    plan: &Plan,
    requests: ProbeRequests,
    signals: &Signals,
) -> Result<Found, String> {
    let (heard, mut listener) = mpsc::channel(4);
    signals.pass_to(heard);
    let is_interrupted = Rc::new(Cell::new(false));
    let signal = Rc::new(Cell::new(None));
    let (flag, kind) = (Rc::clone(&is_interrupted), Rc::clone(&signal));
    tokio::task::spawn_local(async move {
        while let Some(interrupt) = listener.recv().await {
            kind.set(Some(interrupt));
            flag.set(true);
        }
    });
    let max_rate = plan.safety.max_rate.as_ref().map(|(rate, _)| rate.as_f64());
    let limits = SendLimits { timeout: args.request.timeout, max_rate };
    let options = SearchOptions {
        max_requests: args.max_requests,
        max_ns: nanos(args.max_time),
        parallel: args.parallel,
        refusals: REFUSALS.into_iter().chain(args.status.iter().copied()).collect(),
        subjects: requests.varied.clone(),
    };
    let mut sender = RequestSender::new(plan, requests, limits, is_interrupted)?;
    let (mut rate, mut connections) = (None, None);
    if let Some(most) = args.connections {
        let sources = args.local_addresses().len() as u64;
        let until = clock::now() + args.max_time;
        let most = within_descriptors(most);
        let found =
            probe::count_connections(&sender, sources, most, &options.refusals, until).await;
        connections = Some(found);
    } else {
        rate = Some(probe::search(&mut sender, &options).await);
    }
    let failure = sender.last_failure().map(str::to_owned);
    Ok(Found { rate, connections, failure, refusal: sender.refusal(), signal: signal.get() })
}

/// The number of connections that this process may open, at most `most`.
fn within_descriptors(most: u64) -> u64 {
    let limit = host::raise_descriptors().unwrap_or(u64::MAX);
    let allowed = limit.saturating_sub(OTHER_DESCRIPTORS);
    if most > allowed {
        print_remark(&format!(
            "note: this process may open {allowed} connections, not {most}; `manada doctor` says \
             how to raise that"
        ));
    }
    most.min(allowed)
}

/// Prints what was found.
fn show(args: &Args, mut found: Found) -> ExitStatus {
    if let Some(why) = found.refusal {
        print_error(&why);
        return ExitStatus::Scenario;
    }
    let stopped = match (&mut found.rate, &mut found.connections) {
        (Some(rate), _) => rate.stopped.as_mut(),
        (None, Some(connections)) => connections.stopped.as_mut(),
        (None, None) => None,
    };
    let mut status = ExitStatus::Pass;
    match stopped {
        Some(ProbeStop::Unreachable(why)) => {
            if let Some(failure) = &found.failure {
                *why = format!("{why}: {failure}");
            }
            print_error(&format_args!("the target does not respond: {why}"));
            status = ExitStatus::Broken;
        }
        Some(ProbeStop::Interrupted) => {
            status = found.signal.unwrap_or(Interrupt::Int).exit_status();
        }
        Some(ProbeStop::Requests | ProbeStop::Time) | None => {}
    }
    let (rate, connections) = (found.rate.as_ref(), found.connections.as_ref());
    let has_response = |finding: &ProbeFinding| finding.statuses.keys().any(|status| *status > 0);
    if status == ExitStatus::Broken && !rate.is_some_and(has_response) && !args.json {
        return status;
    }
    let text = if args.json {
        format!("{:#}\n", probe::json(rate, connections))
    } else {
        probe::text(rate, connections)
    };
    finish(anstream::stdout().write_all(redact::redact_secrets(&text).as_bytes()), status)
}

/// The URL with another path.
fn other_url(url: &str, path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("invalid `--other-path {path}`: expected a path such as /status"));
    }
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url[from..].find(['/', '?', '#']).map_or(url.len(), |at| from + at);
    Ok(format!("{}{path}", &url[..end]))
}

/// Parses `127.0.0.2-127.0.0.9`, or addresses with commas.
fn sources(text: &str) -> Result<SourceList, String> {
    let expected = || {
        format!(
            "expected addresses such as 127.0.0.2-127.0.0.50 or 10.0.0.1,10.0.0.2, at most \
             {MAX_SOURCES}"
        )
    };
    if let Some((first, last)) = text.split_once('-') {
        let read = |text: &str| text.trim().parse::<Ipv4Addr>().map(u32::from);
        let (Ok(first), Ok(last)) = (read(first), read(last)) else { return Err(expected()) };
        if first > last || last - first >= MAX_SOURCES {
            return Err(expected());
        }
        return Ok(SourceList((first..=last).map(|ip| Ipv4Addr::from(ip).into()).collect()));
    }
    let list: Result<Vec<IpAddr>, _> = text.split(',').map(|ip| ip.trim().parse()).collect();
    let list = list.ok().filter(|list| list.len() <= MAX_SOURCES as usize);
    list.map(SourceList).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_addresses_have_both_ends_and_a_bound() {
        let list = |text| sources(text).map(|SourceList(list)| list.len());
        assert_eq!(list("127.0.0.2-127.0.0.50"), Ok(49));
        assert_eq!(list("127.0.0.2"), Ok(1));
        assert_eq!(list("10.0.0.1, ::1"), Ok(2));
        for wrong in ["", "127.0.0.9-127.0.0.2", "127.0.0.0-127.1.0.0", "a-b", "1,2", "::1-::2"] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_path_replaces_path_and_query() {
        for (url, other) in [
            ("http://h:1/a?b=c", "http://h:1/x"),
            ("http://h:1", "http://h:1/x"),
            ("h:1/a", "h:1/x"),
            ("http://h?x", "http://h/x"),
        ] {
            assert_eq!(other_url(url, "/x").as_deref(), Ok(other));
        }
        assert!(other_url("http://h", "x").is_err());
    }
}
