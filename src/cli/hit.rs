//! `manada hit`: one URL, no scenario; the same plan and the same path as `run`.
//!
//! Invariant: there is no shortcut: what it measures, `run` would measure the same.

use std::fs;
use std::time::Duration;

use super::launch::{self, Leaves};
use super::limits::{self, Limits};
use super::output::{fail, remark, report_failure};
use super::words::{self, Common};
use crate::exit::Ending;
use crate::scenario::hit::{self, Hit};
use crate::units::Rate;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  manada hit http://127.0.0.1:8080/ -c 50 -d 30s
  manada hit http://127.0.0.1:8080/ -n 10k -c 100
  manada hit http://127.0.0.1:8080/ -r 500/s -d 1m --threshold 'response.p99 < 50ms'
  manada hit http://127.0.0.1:8080/cart -m POST -b '{\"id\": 7}' \
-H 'content-type: application/json'")]
pub(super) struct Args {
    /// Where to, e.g. http://127.0.0.1:8080/
    url: String,
    /// Users, each with a connection of its own, e.g. 200 (default: 50); with a rate the most users
    /// at once (default: as many as it takes, at most 10000)
    #[arg(short, long, value_parser = words::count, help_heading = "Load")]
    connections: Option<u64>,
    /// How long, e.g. 30s; left out: 10s, or until all requests are made
    #[arg(short, long, value_parser = words::duration, help_heading = "Load")]
    duration: Option<Duration>,
    /// How many requests in all, e.g. 10k
    #[arg(short = 'n', long, value_parser = words::count, help_heading = "Load")]
    requests: Option<u64>,
    /// Requests per second, whatever the target does, e.g. 500/s
    #[arg(short, long, value_parser = words::rate, help_heading = "Load")]
    rate: Option<Rate>,
    /// What is due before this counts as load, not in the results, e.g. 2s
    #[arg(long, default_value = "0", value_parser = words::zero_or_more, help_heading = "Load")]
    warmup: Duration,
    /// The method, e.g. POST
    #[arg(short, long, default_value = "GET", help_heading = "Request")]
    method: String,
    /// A header, e.g. -H 'accept: text/html'; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "K: V", value_parser = header,
        help_heading = "Request")]
    headers: Vec<(String, String)>,
    /// The body, or @FILE to read it from there
    #[arg(short, long, value_name = "BODY|@FILE", help_heading = "Request")]
    body: Option<String>,
    /// How long a request may take, e.g. 5s; left out: 30s
    #[arg(long, value_parser = words::duration, help_heading = "Request")]
    timeout: Option<Duration>,
    /// Accept any certificate, e.g. a self-signed one; the report says so
    #[arg(short = 'k', long, help_heading = "Request")]
    insecure: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: Args) -> Ending {
    let (reports, url) = (args.common.output.report.clone(), args.url.clone());
    let body = match args.body.as_deref().map(read_body).transpose() {
        Ok(body) => body,
        Err(message) => return fail(&reports, &url, &message, Ending::Scenario),
    };
    let hit = Hit {
        url: args.url,
        connections: args.connections,
        duration: args.duration,
        requests: args.requests,
        rate: args.rate,
        method: args.method,
        headers: args.headers,
        body,
        insecure: args.insecure,
        timeout: args.timeout,
        seed: args.common.seed,
        thresholds: args.common.threshold.clone(),
        warmup: args.warmup,
    };
    match hit::plan(&hit) {
        Ok(plan) => {
            let hosts = &args.limits.authorised;
            match hit::within(plan, limits::file().as_deref(), hosts) {
                Ok(plan) => launch::launch(plan, &args.common, Leaves::IfAsked),
                Err(mistakes) => {
                    remark(&mistakes.render(true));
                    let ending =
                        if mistakes.has_wrong_words() { Ending::Usage } else { Ending::Scenario };
                    report_failure(&reports, &url, &mistakes.lines(), ending)
                }
            }
        }
        Err(mistakes) => {
            // What is wrong here was wrong on the command line.
            remark(&mistakes.render(true));
            report_failure(&reports, &url, &mistakes.lines(), Ending::Usage)
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn read_body(body: &str) -> Result<Vec<u8>, String> {
    match body.strip_prefix('@') {
        None => Ok(body.as_bytes().to_vec()),
        Some(path) => {
            fs::read(path).map_err(|error| format!("cannot read the body {path}: {error}"))
        }
    }
}
