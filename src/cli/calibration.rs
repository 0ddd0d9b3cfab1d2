//! What a call uses on this machine: rounds of calls on loopback, for `manada plan --cost`.
//!
//! `cost` runs them.
//! Invariant: the calls are those of a run of its own process, whose CPU time is measured; the
//! target is a thread of this one. All files lie in a folder that is removed at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::measured_run::read;
use super::output::print_remark;
use crate::forecast::cost::{CostAssumptions, body_len, profile};
use crate::forecast::cost_model::{CpuModel, CpuParts, MeasuredUse};
use crate::forecast::{Forecast, WorkloadForecast};
use crate::plan::policy::PoolStrategy;
use crate::plan::transport::HttpVersion;
use crate::plan::{Plan, Service, ServiceTarget};
use crate::testserver::calibration_target::{CalibrationBehaviour, CalibrationTarget, MAX_BODY};
use crate::units::counted;

/// The length of a round, seconds: the first one shows what the start uses, the last one the end.
const ROUND_S: u64 = 3;

/// The lowest and the highest rate: a shard makes some 20,000 calls per second.
const RATES: (f64, f64) = (1.0, 10_000.0);

/// The most users.
const MAX_USERS: f64 = 1_000.0;

/// The most calls of an iteration.
const MAX_CALLS: f64 = 20.0;

/// The longest iteration of an arrival, seconds, so that a round has whole ones.
const MAX_ITERATION_S: f64 = 0.5;

/// The longest service time, seconds.
const MAX_SERVICE_S: f64 = 0.5;

/// What was measured.
pub(super) struct Calibrated {
    /// The middle round at the highest rate.
    pub(super) measured: MeasuredUse,
    /// CPU time by rate.
    pub(super) model: CpuModel,
    /// CPU time of a new connection, seconds, if calls open one each.
    pub(super) connection_s: Option<f64>,
}

/// Calls like those of a plan.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    /// Calls per second, one or two.
    rates: Vec<f64>,
    /// The highest rate of the plan.
    peak: f64,
    /// Users of the closed model at that rate; `None`: arrivals.
    users: Option<f64>,
    /// Calls of an iteration.
    calls: f64,
    /// Time of an iteration, seconds.
    iteration_s: f64,
    /// Whether each call opens a connection.
    opens: bool,
    behaviour: CalibrationBehaviour,
    /// Bytes of a request's body.
    body: usize,
    shards: usize,
    rounds: usize,
}

impl Calibration {
    /// The calibration for a plan: at its rates, with the kind of calls that it makes most.
    pub(super) fn of(
        plan: &Plan,
        forecast: &Forecast,
        assumed: &CostAssumptions,
        rounds: usize,
    ) -> Self {
        let kinds = CallKinds::of(plan, forecast);
        let load = profile(forecast);
        let rates = load.rates().into_iter().map(|rate| rate.clamp(RATES.0, RATES.1));
        let mut rates: Vec<f64> = rates.collect();
        rates.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        if rates.is_empty() {
            rates.push(RATES.0);
        }
        let per_s = load.calls.iter().map(|calls| calls / load.column_s.max(1e-9));
        let is_of = |model: &'static str| move |one: &&WorkloadForecast| one.model == model;
        let of = |model| {
            let own = forecast.workloads.iter().filter(is_of(model));
            own.map(|one| one.calls).sum::<f64>()
        };
        let is_closed = of("closed") > of("open");
        let users = forecast.workloads.iter().filter(is_of("closed"));
        let users = is_closed.then(|| users.map(|one| one.users).sum());
        let (iterations, calls) = forecast.totals();
        let iteration_s = forecast.workloads.iter().map(|one| one.iteration_s * one.iterations);
        let is_fresh =
            |pool: &crate::plan::policy::PoolPolicy| pool.strategy == PoolStrategy::PerRequest;
        let is_most = |calls: f64| calls > kinds.all / 2.0;
        let service_s = forecast.call_s.min(MAX_SERVICE_S);
        Self {
            rates,
            peak: per_s.fold(1.0, f64::max),
            users,
            calls: (calls / iterations.max(1.0)).round().clamp(1.0, MAX_CALLS),
            iteration_s: iteration_s.sum::<f64>() / iterations.max(1.0),
            opens: plan.policies.pools.iter().any(is_fresh),
            behaviour: CalibrationBehaviour {
                tls: is_most(kinds.tls),
                http2: is_most(kinds.http2),
                body: usize::try_from(assumed.response).unwrap_or(MAX_BODY).min(MAX_BODY),
                service_time: Duration::from_secs_f64(service_s.max(0.0)),
            },
            body: (kinds.bytes / kinds.all.max(1.0)) as usize,
            shards: assumed.shards.max(1),
            rounds: rounds.max(1),
        }
    }

    /// Makes the calls.
    ///
    /// # Errors
    /// If the target or a process cannot be started, or calls failed.
    pub(super) fn measure(&self) -> Result<Calibrated, String> {
        let text = |error: io::Error| error.to_string();
        let target = CalibrationTarget::start(self.behaviour).map_err(text)?;
        let folder = CalibrationFolder::new().map_err(text)?;
        if let Some(certificate) = target.certificate() {
            fs::write(folder.0.join("ca.pem"), certificate).map_err(text)?;
        }
        print_remark(&format_args!("{} on loopback: {}", self.text(), self.length()));
        let kept = Self { opens: false, ..self.clone() };
        let (mut rounds, mut of_kept) = (vec![Vec::new(); self.rates.len()], Vec::new());
        // One after the other, so that other load meets all alike.
        for round in 0..self.rounds {
            for (at, rate) in self.rates.iter().enumerate() {
                let name = format!("{round}-{at}");
                rounds[at].push(self.round(&target, &folder, (*rate, &name))?);
            }
            if let Some(rate) = self.rates.last().filter(|_| self.opens) {
                let name = format!("{round}-kept");
                of_kept.push(kept.round(&target, &folder, (*rate, &name))?.parts());
            }
        }
        self.calibrated(rounds, &of_kept).ok_or_else(|| "no round was measured".to_owned())
    }

    /// Puts the rounds together.
    fn calibrated(
        &self,
        rounds: Vec<Vec<MeasuredUse>>,
        of_kept: &[CpuParts],
    ) -> Option<Calibrated> {
        let parts = |round: &Vec<MeasuredUse>| {
            CpuParts::median(&round.iter().map(MeasuredUse::parts).collect::<Vec<_>>())
        };
        let model = CpuModel::new(rounds.iter().map(parts).collect::<Option<_>>()?);
        let kept = CpuParts::median(of_kept);
        let opening = model.points.last().zip(kept);
        let connection_s = opening.map(|(each, kept)| (each.call_s - kept.call_s).max(0.0));
        // What a connection costs is what is saved if connections are kept.
        let mut last = rounds.into_iter().next_back()?;
        last.sort_by(|a, b| a.memory.total_cmp(&b.memory));
        let at = last.len() / 2;
        let measured = MeasuredUse { source: self.text(), ..last.swap_remove(at) };
        Some(Calibrated { measured, model, connection_s })
    }

    /// What is measured, as text.
    fn text(&self) -> String {
        let CalibrationBehaviour { tls, http2, .. } = self.behaviour;
        format!(
            "measured by {} of {ROUND_S} s of calls over {} {} TLS{}{}",
            counted(self.rounds as u64, "round"),
            if http2 { "HTTP/2" } else { "HTTP/1.1" },
            if tls { "with" } else { "without" },
            if self.opens { ", a connection for each" } else { "" },
            if self.rates.len() > 1 { ", at two rates" } else { "" },
        )
    }

    /// How long it takes, as text.
    fn length(&self) -> String {
        let kinds = self.rates.len() + usize::from(self.opens);
        format!("about {} s", (ROUND_S + 1) * (self.rounds * kinds) as u64)
    }

    /// One round: a run of its own process.
    fn round(
        &self,
        target: &CalibrationTarget,
        folder: &CalibrationFolder,
        (rate, name): (f64, &str),
    ) -> Result<MeasuredUse, String> {
        let text = |error: io::Error| error.to_string();
        let scenario = folder.0.join(format!("{name}.yaml"));
        fs::write(&scenario, self.scenario(rate, &target.address().to_string())).map_err(text)?;
        let out = folder.0.join(name);
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command
            .arg("run")
            .arg(&scenario)
            .arg("--out")
            .arg(&out)
            .args(["--ui", "none", "-qq", "--no-control", "--seed", "1", "--shards"])
            .arg(self.shards.to_string())
            // The limits of a safety file are those of real targets.
            .env_remove("MANADA_SAFETY")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("MANADA_HISTORY", "none")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let output = command.output().map_err(text)?;
        let ended = || {
            let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            format!("the calls ended with {}: {error}", output.status)
        };
        let file = fs::read(out.join("summary.json")).map_err(|_| ended())?;
        let document: Value = serde_json::from_slice(&file).map_err(|_| ended())?;
        let count = |name: &str| document["calls"][name].as_u64().unwrap_or(0);
        if count("failed") * 10 > count("made") {
            return Err(format!("{} of {} calls failed", count("failed"), count("made")));
        }
        read(&document).ok_or_else(|| "the calls told no CPU time".to_owned())
    }

    /// The scenario of a round.
    fn scenario(&self, rate: f64, address: &str) -> String {
        let CalibrationBehaviour { tls, http2, service_time, .. } = self.behaviour;
        let service_s = service_time.as_secs_f64();
        let (scheme, ca) = if tls { ("https", ", tls: { ca: ca.pem }") } else { ("http", "") };
        let version = if http2 { "2" } else { "1.1" };
        let pools = if self.opens {
            "pools: { each: { match: \"*\", strategy: per_request } }\n"
        } else {
            ""
        };
        let (load, think_s) = match self.users {
            Some(users) => {
                // The think time of the plan; fewer users at a lower rate.
                let think_s = (users / self.peak - service_s).max(0.0);
                let users = (rate * (think_s + service_s)).ceil().clamp(1.0, MAX_USERS);
                let think_s = (users / rate - service_s).max(0.0);
                (format!("users: {users}"), think_s)
            }
            None => {
                let gaps = (self.calls - 1.0).max(1.0);
                let iteration_s = self.iteration_s.min(MAX_ITERATION_S);
                let think_s = ((iteration_s - self.calls * service_s) / gaps).max(0.0);
                let (rate, users) = (rate / self.calls, MAX_USERS * 2.0);
                (format!("arrivals: {{ rate: {rate:.3}/s, max_users: {users} }}"), think_s)
            }
        };
        let think = match (think_s * 1e6).round() {
            0.0 => String::new(),
            us => format!(", think: {us:.0}us"),
        };
        let call = match self.body {
            0 => "{ get: /calibration }".to_owned(),
            bytes => format!("{{ post: /calibration, body: \"{}\" }}", "x".repeat(bytes)),
        };
        let flow = vec![call; self.calls as usize].join(", ");
        format!(
            "scenario: calibration\nservices: {{ it: {{ url: \"{scheme}://{address}\", http: {{ \
             version: {version} }}{ca} }} }}\n{pools}workloads: {{ w: {{ {load}, duration: \
             {ROUND_S}s{think}, flow: [ {flow} ] }} }}\n"
        )
    }
}

/// The calls of a plan by kind.
#[derive(Clone, Copy, Debug, Default)]
struct CallKinds {
    all: f64,
    /// Calls over TLS.
    tls: f64,
    /// Calls over HTTP/2, also where the target chooses between versions over TLS.
    http2: f64,
    /// Bytes of the bodies of requests.
    bytes: f64,
}

impl CallKinds {
    fn of(plan: &Plan, forecast: &Forecast) -> Self {
        let is_tls =
            |one: &Service| matches!(&one.target, ServiceTarget::Url(address) if address.tls);
        let mut kinds = Self::default();
        for share in plan.workloads.iter().flat_map(|load| &load.shares) {
            for call in &plan.archetypes[share.archetype].calls {
                let at = share.step(call.series).index();
                let calls = forecast.steps.get(at).map_or(0.0, |step| step.calls);
                let service = &plan.services[call.service];
                let is_http2 = match service.transport.version {
                    HttpVersion::Http2 => true,
                    HttpVersion::Auto => is_tls(service),
                    HttpVersion::Http1 => false,
                };
                kinds.all += calls;
                kinds.tls += if is_tls(service) { calls } else { 0.0 };
                kinds.http2 += if is_http2 { calls } else { 0.0 };
                kinds.bytes += calls * body_len(&call.request.body) as f64;
            }
        }
        kinds
    }
}

/// A folder that is removed when it is dropped.
struct CalibrationFolder(PathBuf);

impl CalibrationFolder {
    fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("manada-cost-{}-{}", std::process::id(), crate::clock::now().0);
        let path = std::env::temp_dir().join(name);
        // It fails if there is one already, so nothing else is removed at the end.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for CalibrationFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
