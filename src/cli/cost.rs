//! `manada plan --cost PRICES`: what a run is expected to cost.
//!
//! `plan` shows it after its forecast.
//! Invariant: what depends on this machine is measured: by `--like`, an earlier run, or by two
//! seconds of calls to the built-in target on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::cost_args::load;
use super::output::print_error;
use super::report::open_file;
use crate::event::record;
use crate::exit::ExitStatus;
use crate::forecast::Forecast;
use crate::forecast::cost::{CostAssumptions, CostForecast, MeasuredUse};
use crate::plan::Plan;
use crate::plan::policy::PoolStrategy;
use crate::plan::prices::Prices;
use crate::plan::service::Builtin;
use crate::plan::transport::HttpVersion;
use crate::report::json;
use crate::run::replay::{self, ReplayChanges};
use crate::sinks::SinkSet;
use crate::testserver::process::TestServerProcess;
use crate::units::parse_size;

/// The length of a calibration.
const CALIBRATION: &str = "2s";

/// The most calls per second of a calibration: a shard makes some 20,000.
const MAX_RATE: f64 = 10_000.0;

/// The most users of a calibration.
const MAX_USERS: u64 = 200;

/// The options of `plan`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PlanCostArgs {
    /// Show what the run will cost, by the prices of a file, and what would be cheaper
    ///
    /// CPU time and memory of a call are measured: by two seconds of calls to the built-in target
    /// on loopback, or by --like.
    #[arg(long, value_name = "PRICES", help_heading = "Cost")]
    cost: Option<PathBuf>,
    /// Take what a call uses from a measured run: its folder, summary.json or run.record
    #[arg(
        long,
        value_name = "RUN",
        requires = "cost",
        hide_short_help = true,
        help_heading = "Cost"
    )]
    like: Option<PathBuf>,
    /// Assumed body of a response, if it is not measured
    #[arg(long, value_name = "SIZE", default_value = "1KB", value_parser = size, requires = "cost",
        hide_short_help = true, help_heading = "Cost")]
    response_size: u64,
    /// Measure nothing: CPU time is left out of the cost
    #[arg(
        long,
        requires = "cost",
        conflicts_with = "like",
        hide_short_help = true,
        help_heading = "Cost"
    )]
    no_calibration: bool,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| format!("expected {error}"))
}

impl PlanCostArgs {
    /// The forecast of the cost, if a file of prices was named; what is wrong is printed.
    pub(super) fn forecast(
        &self,
        plan: &Plan,
        forecast: &Forecast,
        shards: usize,
    ) -> Result<Option<(CostForecast, Prices)>, ExitStatus> {
        let Some(path) = &self.cost else { return Ok(None) };
        let prices = load(path)?;
        let failed = |why: String| {
            print_error(&why);
            ExitStatus::Scenario
        };
        let mut assumed =
            CostAssumptions { response: self.response_size, shards, connection_cpu_s: None };
        let measured = match &self.like {
            Some(path) => like(path).map_err(failed)?,
            None if self.no_calibration => unmeasured(forecast),
            None => {
                let own = Calibration::of(plan, forecast);
                let measured = own.measure().map_err(|why| failed(uncalibrated(&why)))?;
                if own.opens {
                    // What a connection costs is what is saved if connections are kept.
                    let kept = Calibration { opens: false, ..own };
                    let kept = kept.measure().map_err(|why| failed(uncalibrated(&why)))?;
                    assumed.connection_cpu_s =
                        Some((per_call(&measured) - per_call(&kept)).max(0.0));
                }
                measured
            }
        };
        let cost = CostForecast::new(plan, forecast, &measured, &assumed, &prices);
        Ok(Some((cost, prices)))
    }
}

fn uncalibrated(why: &str) -> String {
    format!("cannot measure what a call uses: {why}; use --like RUN, or --no-calibration")
}

fn per_call(measured: &MeasuredUse) -> f64 {
    (measured.cpu_s - measured.fixed_cpu_s) / measured.calls.max(1.0)
}

/// What is known without a measurement: the memory of the forecast.
fn unmeasured(forecast: &Forecast) -> MeasuredUse {
    MeasuredUse {
        source: "not measured, so CPU time is not a part of the cost".to_owned(),
        users: forecast.expected.users as f64,
        memory: forecast.expected.memory as f64,
        calls: forecast.totals().1,
        length_s: forecast.end_s,
        ..MeasuredUse::default()
    }
}

/// Reads what a measured run used.
fn like(path: &Path) -> Result<MeasuredUse, String> {
    let shown = path.display();
    let summary = path.join("summary.json");
    let file = match path.is_dir() {
        true if summary.exists() => summary,
        true => path.join(record::FILE),
        false => path.to_owned(),
    };
    let document = if file.extension().is_some_and(|ending| ending == "json") {
        let text = fs::read(&file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
        serde_json::from_slice(&text).map_err(|error| format!("{shown}: not a report: {error}"))?
    } else {
        let record = open_file(&file).map_err(|error| format!("{shown}: {error}"))?;
        let report = replay::replay(record, ReplayChanges::default(), &mut SinkSet::default());
        json::document(&*report.map_err(|error| format!("{shown}: {error}"))?)
    };
    let mut measured = read(&document).ok_or_else(|| {
        format!("{shown}: expected a finished run that tells its CPU time and memory in `usage`")
    })?;
    (measured.source, measured.is_alike) = (format!("measured by {shown}"), true);
    Ok(measured)
}

/// Reads the use from a `summary.json`.
fn read(document: &Value) -> Option<MeasuredUse> {
    let used = &document["usage"];
    let memory = &used["memory_bytes"];
    let calls = document["attempts"]["sent"].as_f64().filter(|calls| *calls > 0.0)?;
    Some(MeasuredUse {
        source: String::new(),
        is_alike: false,
        length_s: document["duration_s"].as_f64()?,
        cpu_s: used["cpu_s"]["total"].as_f64()?,
        fixed_cpu_s: used["cpu_s"]["before_load"].as_f64().unwrap_or(0.0),
        calls,
        opened: document["connections"]["opened"].as_f64()?,
        users: document["users"]["peak"].as_f64()?,
        memory: memory["mean"].as_f64().or(memory["peak"].as_f64())?,
        sent: used["network_bytes"]["sent"].as_f64()?,
        received: used["network_bytes"]["received"].as_f64()?,
    })
}

/// Two seconds of calls to the built-in target.
#[derive(Clone, Copy, Debug)]
struct Calibration {
    /// Calls per second.
    rate: f64,
    users: u64,
    /// Whether each call opens a connection.
    opens: bool,
    http2: bool,
}

impl Calibration {
    /// The calibration at the mean rate of a plan.
    fn of(plan: &Plan, forecast: &Forecast) -> Self {
        let (_, calls) = forecast.totals();
        let rate = (calls / forecast.end_s.max(1.0)).clamp(1.0, MAX_RATE);
        let is_fresh =
            |pool: &crate::plan::policy::PoolPolicy| pool.strategy == PoolStrategy::PerRequest;
        let is_http2 =
            |service: &crate::plan::Service| service.transport.version == HttpVersion::Http2;
        Self {
            rate,
            users: forecast.expected.users.clamp(1, MAX_USERS),
            opens: plan.policies.pools.iter().any(is_fresh),
            http2: plan.services.iter().any(is_http2),
        }
    }

    /// Makes the calls in a process of their own.
    ///
    /// # Errors
    /// If a process cannot be started, or does not tell what it used.
    fn measure(self) -> Result<MeasuredUse, String> {
        let seed = crate::seed::Seed::new(1).ok_or("no seed")?;
        let target = TestServerProcess::start(None, &Builtin::default(), seed)
            .map_err(|error| error.to_string())?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(["hit", &format!("http://{}/", target.address()), "--duration", CALIBRATION])
            .args(["--rate", &format!("{:.3}/s", self.rate), "--connections"])
            .arg(self.users.to_string())
            .args(["--json", "--ui", "none", "--no-control", "--seed", "1"])
            // The limits of a safety file are those of real targets.
            .env_remove("MANADA_SAFETY")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        for (is_set, flag) in [(self.opens, "--disable-keepalive"), (self.http2, "--http2")] {
            if is_set {
                command.arg(flag);
            }
        }
        let output = command.output().map_err(|error| error.to_string())?;
        let document: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("the calls ended with {}", output.status))?;
        let mut measured = read(&document).ok_or("the calls told no CPU time")?;
        measured.source = format!(
            "measured by {CALIBRATION} of calls to the built-in target, {}{}, without TLS",
            if self.http2 { "HTTP/2" } else { "HTTP/1.1" },
            if self.opens { ", a connection for each" } else { "" },
        );
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_without_cpu_time_is_no_measurement() {
        let mut document = serde_json::json!({
            "duration_s": 2.0, "attempts": { "sent": 100 }, "connections": { "opened": 3 },
            "users": { "peak": 3 },
            "usage": {
                "cpu_s": { "total": 0.5, "before_load": 0.1 },
                "memory_bytes": { "mean": null, "peak": 20_000_000 },
                "network_bytes": { "sent": 1_000, "received": 2_000 },
            },
        });
        let measured = read(&document).unwrap();
        assert!((per_call(&measured) - 0.004).abs() < 1e-12);
        assert!((measured.memory - 20e6).abs() < 1.0);
        document["usage"]["cpu_s"] = Value::Null;
        assert_eq!(read(&document), None);
    }
}
