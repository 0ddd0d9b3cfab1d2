//! Changes that the command line makes to a scenario.
//!
//! `cli` fills them in; `load` applies them to the compiled plan.
//! Invariant: the changed plan is as valid as before.

use std::path::PathBuf;
use std::time::Duration;

use crate::curve::Curve;
use crate::files::Files;
use crate::grpc::reflection::ReflectedSets;
use crate::plan::ceilings::Ceilings;
use crate::plan::load::{ArrivalProcess, Arrivals, LoadBound, OPEN_END, Users};
use crate::plan::{Load, Plan, Workload};
use crate::scenario::compile::workload_named;
use crate::scenario::load::bounds::DEFAULT_MAX_USERS;
use crate::scenario::nouns::stages::MAX_USERS;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::thresholds;
use crate::seed::Seed;
use crate::units::{Rate, show_duration};

/// The command line's settings.
#[derive(Clone, Debug, Default)]
pub struct ScenarioOverrides {
    /// Where the files of the scenario are read from.
    pub source: Files,
    /// Descriptors that servers of gRPC have told, or why they did not, by service.
    pub reflected: ReflectedSets,
    /// The user's own safety file; it has to exist.
    pub safety: Option<PathBuf>,
    /// Further folders that the scenario may read.
    pub files: Vec<PathBuf>,
    /// `--authorised`: public hosts that the user may load.
    pub authorised: Vec<String>,
    /// `--max-memory`, `--max-cores`, `--max-disk`, `--max-connections`: their origins are these.
    pub ceilings: Ceilings,
    /// A dry run: one user runs once, whatever the load.
    pub once: bool,
    /// `-e`: the environment to apply.
    pub environment: Option<String>,
    /// `--set PATH=VALUE`: values to replace before compilation.
    pub set: Vec<String>,
    /// `--seed`
    pub seed: Option<Seed>,
    /// `--threshold`: additional thresholds.
    pub thresholds: Vec<String>,
    /// `--users [WORKLOAD=]N`: replaces the load by this number of users, with the same duration.
    pub users: Vec<(Option<String>, u64)>,
    /// `--rate [WORKLOAD=]N/s`: replaces the load by this rate of starts, with the same duration.
    pub rate: Vec<(Option<String>, Rate)>,
    /// `--duration`: the length of the whole load. Starts, stages and the warm-up scale in
    /// proportion, and a workload that only a count ended also ends there.
    pub duration: Option<Duration>,
}

impl ScenarioOverrides {
    /// Applies all changes; mistakes are reported under the name of their flag.
    pub(crate) fn apply(&self, diagnostics: &mut Diagnostics, plan: &mut Plan) {
        if let Some(seed) = self.seed {
            plan.seed = seed;
        }
        // Duration first, so that a rate can replace a load that had no end.
        let mut length = None;
        if let Some(duration) = self.duration {
            if duration.is_zero() || duration >= Duration::from_nanos(OPEN_END) {
                diagnostics
                    .global_mistake(
                        flag("--duration", None, show_duration(duration)),
                        "invalid duration",
                    )
                    .expected("a duration above zero and below 31 years");
            } else {
                stretch(plan, duration);
                length = Some(duration);
            }
        }
        for (name, users) in &self.users {
            let flag = flag("--users", name.as_deref(), users);
            if *users == 0 || *users > MAX_USERS {
                let expected = format!("a whole number from 1 to {MAX_USERS}");
                diagnostics.global_mistake(flag, "invalid number of users").expected(expected);
            } else if let Some(workload) = workload_named(diagnostics, plan, &flag, name.as_deref())
            {
                replace_by_users(workload, *users);
            }
        }
        for (name, rate) in &self.rate {
            let flag = flag("--rate", name.as_deref(), format!("{}/s", rate.as_f64()));
            if rate.units() == 0 {
                diagnostics.global_mistake(flag, "invalid rate").expected("a rate above zero");
            } else if let Some(workload) = workload_named(diagnostics, plan, &flag, name.as_deref())
            {
                replace_by_rate(diagnostics, workload, *rate, length, &flag);
            }
        }
        plan.thresholds.extend(thresholds::parse_flag(diagnostics, &self.thresholds));
    }
}

fn flag(flag: &str, workload: Option<&str>, value: impl std::fmt::Display) -> String {
    match workload {
        Some(workload) => format!("{flag} {workload}={value}"),
        None => format!("{flag} {value}"),
    }
}

fn replace_by_users(workload: &mut Workload, users: u64) {
    let (end, bound) = match &workload.load {
        Load::Closed(old) => (old.curve.end_ns(), old.bound),
        Load::Open(old) => {
            (old.curve.end_ns(), old.iterations.map_or(LoadBound::Time, LoadBound::Iterations))
        }
    };
    let curve = Curve::constant(users, Duration::from_nanos(end));
    workload.load = Load::Closed(Users { curve, bound });
}

fn replace_by_rate(
    diagnostics: &mut Diagnostics,
    workload: &mut Workload,
    rate: Rate,
    length: Option<Duration>,
    flag: &str,
) {
    let (end, process, iterations, max_users) = match &workload.load {
        Load::Open(old) => (old.curve.end_ns(), old.process, old.iterations, old.max_users),
        Load::Closed(old) => {
            let iterations = match old.bound {
                LoadBound::Iterations(count) => Some(count),
                LoadBound::Time | LoadBound::Once => None,
            };
            (old.curve.end_ns(), ArrivalProcess::Constant, iterations, DEFAULT_MAX_USERS)
        }
    };
    if end == OPEN_END && iterations.is_none() && length.is_none() {
        diagnostics
            .global_mistake(
                flag,
                format!("`{}` has no duration, and a rate needs one", workload.name),
            )
            .help("add `--duration 1m`");
        return;
    }
    let curve = Curve::constant(rate.units(), Duration::from_nanos(end));
    let fresh_connections = matches!(&workload.load, Load::Open(old) if old.fresh_connections);
    workload.load =
        Load::Open(Arrivals { process, curve, iterations, max_users, fresh_connections });
}

/// Scales the load to `length`, with all times in proportion.
fn stretch(plan: &mut Plan, length: Duration) {
    let ends = plan.workloads.iter().filter_map(Workload::end);
    let old = ends.max().filter(|end| !end.is_zero()).unwrap_or(length);
    let (new_ns, old_ns) = (length.as_nanos() as u64, old.as_nanos() as u64);
    let moved = |moment: Duration| {
        let ns = moment.as_nanos() * u128::from(new_ns) / u128::from(old_ns);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    };
    plan.warmup = moved(plan.warmup);
    for workload in &mut plan.workloads {
        let open_ended = workload.end().is_none();
        workload.start = moved(workload.start);
        let left = length.saturating_sub(workload.start).max(Duration::from_nanos(1));
        let curve = match &mut workload.load {
            Load::Closed(users) => &mut users.curve,
            Load::Open(arrivals) => &mut arrivals.curve,
        };
        *curve = if open_ended {
            Curve::constant(curve.last_level(), left)
        } else {
            curve.scaled(new_ns, old_ns)
        };
    }
}
