//! What would make a run cheaper, with what each way saves and what is lost by it.
//!
//! `cost` asks for it.
//! Invariant: only what applies to the plan, and saves at least a hundredth of its cost.

use super::Forecast;
use super::needs::USER_BYTES;
use crate::plan::policy::PoolStrategy;
use crate::plan::prices::{Prices, ResourceUse};
use crate::plan::{Call, Plan, RequestBody};
use crate::units::{counted, show_count};

/// A saving below this share of all costs is not worth a word.
const WORTH: f64 = 0.01;

/// Users per call under way from which they mostly think.
const MOSTLY_IDLE: f64 = 2.0;

/// Bytes of a response from which compression is worth it, and the part that is left of a text.
const COMPRESSED_FROM: f64 = 2_000.0;
const COMPRESSED_TO: f64 = 1.0 / 3.0;

/// Bytes of a request's body that count as large.
const LARGE_BODY: usize = 4_096;

/// Cores that are reserved for each that is busy in the mean.
const RESERVE: f64 = 1.5;

/// A way to make a run cheaper.
#[derive(Clone, Debug, PartialEq)]
pub struct CostAdvice {
    /// What to do.
    pub what: String,
    /// What it saves per run, in the currency of the prices.
    pub saves: f64,
    /// What is lost by it.
    pub loses: String,
}

/// What the command line assumes of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CostAssumptions {
    /// The body of a response, bytes, if that was not measured.
    pub response: u64,
    /// Shards that would run the plan.
    pub shards: usize,
    /// CPU time of a new connection, seconds, if that was measured.
    pub connection_cpu_s: Option<f64>,
}

/// What advice is derived from.
pub(super) struct AdviceContext<'a> {
    pub(super) plan: &'a Plan,
    pub(super) forecast: &'a Forecast,
    pub(super) used: ResourceUse,
    /// Connections that are opened.
    pub(super) opened: f64,
    pub(super) assumed: CostAssumptions,
    pub(super) prices: &'a Prices,
    /// All calls of the run.
    pub(super) calls: f64,
    /// Memory of a user with its connections, bytes.
    pub(super) per_user: f64,
}

impl AdviceContext<'_> {
    /// All that applies, largest saving first.
    pub(super) fn all(&self) -> Vec<CostAdvice> {
        let total = self.prices.cost(&self.used).total();
        let all = [
            self.kept_connections(),
            self.shared_connections(),
            self.fewer_users(),
            self.compression(),
            self.smaller_bodies(),
            Some(self.shorter_storage()),
            self.fewer_cores(),
        ];
        let mut found: Vec<CostAdvice> =
            all.into_iter().flatten().filter(|one| one.saves > total * WORTH).collect();
        found.sort_by(|a, b| b.saves.total_cmp(&a.saves));
        found
    }

    /// Advice whose saving follows from another use.
    fn advice(&self, what: String, other: &ResourceUse, loses: &str) -> CostAdvice {
        let cost = |used| self.prices.cost(used).total();
        let saves = cost(&self.used) - cost(other);
        CostAdvice { what, saves, loses: loses.to_owned() }
    }

    /// Calls that are under way at once, by Little's law; one at least.
    fn concurrent(&self) -> f64 {
        let per_s = self.calls / self.forecast.end_s.max(1e-9);
        (per_s * self.forecast.call_s).ceil().max(1.0)
    }

    fn users(&self) -> f64 {
        self.forecast.expected.users as f64
    }

    fn kept_connections(&self) -> Option<CostAdvice> {
        let mut pools = self.plan.policies.pools.iter();
        let is_per_request = pools.any(|pool| pool.strategy == PoolStrategy::PerRequest);
        let connection_s = self.assumed.connection_cpu_s.filter(|_| is_per_request)?;
        let kept = (self.opened - self.users()).max(0.0);
        let used = self.used;
        let other = ResourceUse { cpu_s: (used.cpu_s - kept * connection_s).max(0.0), ..used };
        let what = format!("keep connections: {} fewer are opened", show_count(kept as u64));
        Some(self.advice(what, &other, "the target sees no handshake for each call"))
    }

    fn shared_connections(&self) -> Option<CostAdvice> {
        let (concurrent, used) = (self.concurrent(), self.used);
        let connections = self.forecast.expected.connections as f64;
        if connections <= MOSTLY_IDLE * concurrent || !self.plan.policies.pools.is_empty() {
            return None;
        }
        let each = (self.per_user - USER_BYTES as f64).max(0.0);
        let bytes = each * (connections - concurrent);
        let other = ResourceUse { memory: (used.memory - bytes).max(0.0), ..used };
        let what = format!(
            "share connections: a pool of {} suffices for {}",
            show_count(concurrent as u64),
            counted(self.users() as u64, "user")
        );
        Some(self.advice(what, &other, "the target holds no connection for each user"))
    }

    fn fewer_users(&self) -> Option<CostAdvice> {
        let is_closed = self.forecast.workloads.iter().any(|one| one.model == "closed");
        if !is_closed || self.users() <= MOSTLY_IDLE * self.concurrent() {
            return None;
        }
        let (fewer, used) = ((self.users() / 2.0).floor(), self.used);
        let other = ResourceUse { memory: (used.memory - fewer * self.per_user).max(0.0), ..used };
        let what = format!(
            "{} fewer, with half the think time: the same calls",
            counted(fewer as u64, "user")
        );
        Some(self.advice(what, &other, "fewer sessions at once, and shorter ones"))
    }

    fn compression(&self) -> Option<CostAdvice> {
        let used = self.used;
        let accepts = |call: &Call| {
            let headers = call.request.headers.iter();
            let mut all = headers.chain(&self.plan.services[call.service].headers);
            all.any(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"))
        };
        let mut calls = self.plan.archetypes.iter().flat_map(|own| &own.calls);
        let is_plain = calls.any(|call| !accepts(call));
        if !is_plain || used.received / self.calls.max(1.0) < COMPRESSED_FROM {
            return None;
        }
        let other = ResourceUse { received: used.received * COMPRESSED_TO, ..used };
        let what = "compressed responses (`accept-encoding: gzip`), if texts shrink to a third";
        let loses = "CPU time of the target, and of the generator where it reads bodies";
        Some(self.advice(what.to_owned(), &other, loses))
    }

    fn smaller_bodies(&self) -> Option<CostAdvice> {
        let calls = self.plan.archetypes.iter().flat_map(|own| &own.calls);
        let largest = calls.map(|call| body_len(&call.request.body)).max().unwrap_or(0);
        if largest < LARGE_BODY {
            return None;
        }
        let used = self.used;
        let other = ResourceUse { sent: used.sent / 2.0, ..used };
        let what = "bodies of requests of half the size".to_owned();
        Some(self.advice(what, &other, "the target reads and stores less"))
    }

    fn shorter_storage(&self) -> CostAdvice {
        let saves = self.prices.cost(&self.used).storage / 2.0;
        let loses = "older reports and records".to_owned();
        CostAdvice { what: "files kept for half as long".to_owned(), saves, loses }
    }

    fn fewer_cores(&self) -> Option<CostAdvice> {
        let used = self.used;
        let busy = used.cpu_s / used.length_s.max(1e-9);
        let (needed, shards) = ((busy * RESERVE).ceil().max(1.0), self.assumed.shards as f64);
        if shards <= needed {
            return None;
        }
        let saves = (shards - needed) * used.length_s / 3_600.0 * self.prices.cpu_core_hour;
        let what = format!("--shards {needed:.0} instead of {shards}, on a smaller machine");
        let loses = "reserve for peaks; nothing is saved where cores are paid by use".to_owned();
        Some(CostAdvice { what, saves, loses })
    }
}

/// Bytes of a request's body.
pub fn body_len(body: &RequestBody) -> usize {
    match body {
        RequestBody::None => 0,
        RequestBody::Template(template) => template.likely_len(),
        RequestBody::Bytes(bytes) => bytes.len(),
    }
}
