//! k6's executors, for workloads written for k6.
//!
//! `load` calls it for workloads with an `executor`.
//! Invariant: an executor is accepted with a warning that shows the equivalent native spelling.

use std::fmt::Write as _;
use std::time::Duration;

use crate::curve::Curve;
use crate::plan::load::{ArrivalProcess, Arrivals, Load, LoadBound, OPEN_END, Users};
use crate::scenario::load::bounds::{DEFAULT_MAX_USERS, bounded, positive_bounded};
use crate::scenario::nouns::k6::{EXECUTORS, K6_STAGE};
use crate::scenario::nouns::stages::MAX_USERS;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::units::{Rate, nanos, show_duration};

/// Default maximum duration of the iteration executors.
const MAX_DURATION: Duration = Duration::from_mins(10);

/// Compiles the load of a workload with an executor; the caller finishes the fields.
pub(crate) fn load(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> Option<Load> {
    let node = fields.take("executor")?;
    for (name, why) in [
        ("gracefulStop", "use the scenario's `grace`"),
        ("gracefulRampDown", "use the scenario's `grace`"),
    ] {
        if let Some((key, _)) = fields.entry(name) {
            diagnostics.warn(key.span, format!("`{name}` is ignored"), why);
        }
    }
    let name = values::scalar(node).unwrap_or_default();
    let compiled = match name {
        "constant-vus" | "shared-iterations" | "per-vu-iterations" => {
            users(diagnostics, fields, name)
        }
        "ramping-vus" => ramping_users(diagnostics, fields),
        "constant-arrival-rate" | "ramping-arrival-rate" => arrivals(diagnostics, fields, name),
        _ => {
            // The keys of an unknown executor cannot be checked, so all are accepted.
            fields.take_unread();
            let expected = format!("one of k6's executors: {}", EXECUTORS.join(", "));
            report_wrong::<()>(diagnostics, node, expected);
            diagnostics.last().did_you_mean(name, EXECUTORS);
            None
        }
    };
    let (load, native) = compiled?;
    let mut help = format!("the native form is `{native}`");
    if name == "per-vu-iterations" && native.contains("iterations") {
        help += "; the users share that count";
    }
    diagnostics.warn(node.span, "this workload uses k6 keys", &help);
    Some(load)
}

type K6Workload = Option<(Load, String)>;

fn users(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>, executor: &str) -> K6Workload {
    let mut vus = 1;
    fields.fill(diagnostics, "vus", &mut vus);
    if executor == "constant-vus" {
        let length = fields.require("duration", "a duration such as 1m");
        let length = length.and_then(|node| positive_bounded(diagnostics, node))?;
        let curve = Curve::constant(vus, length);
        let native = format!("users: {vus}, duration: {}", show_duration(length));
        return Some((Load::Closed(Users { curve, bound: LoadBound::Time }), native));
    }
    let mut count = 1;
    fields.fill(diagnostics, "iterations", &mut count);
    let length = fields.take("maxDuration");
    let length = length.map_or(Some(MAX_DURATION), |node| positive_bounded(diagnostics, node))?;
    let each = executor == "per-vu-iterations";
    let bound = match (each, count) {
        (true, 1) => LoadBound::Once,
        (true, _) => LoadBound::Iterations(vus.saturating_mul(count)),
        (false, _) => LoadBound::Iterations(count),
    };
    let mut native = format!("users: {vus}");
    if let LoadBound::Iterations(count) = bound {
        let _ = write!(native, ", iterations: {count}, duration: {}", show_duration(length));
    }
    let curve = Curve::constant(vus, length);
    Some((Load::Closed(Users { curve, bound }), native))
}

fn ramping_users(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> K6Workload {
    let mut from = 1;
    fields.fill(diagnostics, "startVUs", &mut from);
    let node = fields.require("stages", "a list such as `- { target: 50, duration: 1m }`")?;
    let level =
        |diagnostics: &mut Diagnostics, node: &Node| values::count(diagnostics, node, 0, MAX_USERS);
    let (curve, native) = stages(diagnostics, node, from, level, |level| level.to_string())?;
    Some((Load::Closed(Users { curve, bound: LoadBound::Time }), format!("users: {native}")))
}

fn arrivals(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>, executor: &str) -> K6Workload {
    let unit = fields.take("timeUnit");
    let unit =
        unit.map_or(Some(Duration::from_secs(1)), |node| positive_bounded(diagnostics, node));
    let allocated = fields.value(diagnostics, "preAllocatedVUs");
    let max_users: Option<u64> = fields.value(diagnostics, "maxVUs");
    let max_users = max_users.or(allocated).unwrap_or(DEFAULT_MAX_USERS);
    let rate_per =
        |diagnostics: &mut Diagnostics, node: &Node| rate_per(diagnostics, node, nanos(unit?));
    let show = |units: u64| format!("{}/s", Rate::from_units(units).as_f64());
    let (curve, native) = if executor == "constant-arrival-rate" {
        let rate = fields.require("rate", "a number of starts per `timeUnit`");
        let length = fields.require("duration", "a duration such as 1m");
        let rate = rate.and_then(|node| rate_per(diagnostics, node));
        let length = length.and_then(|node| positive_bounded(diagnostics, node))?;
        if rate? == 0 {
            diagnostics
                .mistake(fields.span(), "this workload has no load")
                .expected("a `rate` above zero");
            return None;
        }
        let native =
            format!("duration: {}, arrivals: {{ rate: {}", show_duration(length), show(rate?));
        (Curve::constant(rate?, length), native)
    } else {
        let from = fields.take("startRate").map_or(Some(0), |node| rate_per(diagnostics, node));
        let node = fields.require("stages", "a list such as `- { target: 50, duration: 1m }`")?;
        let (curve, native) = stages(diagnostics, node, from?, rate_per, show)?;
        (curve, format!("arrivals: {{ rate: {native}"))
    };
    let max_users = max_users.max(1);
    let native = format!("{native}, max_users: {max_users} }}");
    let process = ArrivalProcess::Constant;
    let fresh_connections = false;
    let iterations = None;
    let arrivals = Arrivals { process, curve, iterations, max_users, fresh_connections };
    Some((Load::Open(arrivals), native))
}

/// Reads a number of starts per `timeUnit`, as units of a `Rate`.
fn rate_per(diagnostics: &mut Diagnostics, node: &Node, unit_ns: u64) -> Option<u64> {
    match &node.kind {
        NodeKind::Number(_, rate) if *rate >= 0.0 => {
            let units = rate * Rate::UNITS_PER_S as f64 * 1e9 / unit_ns.max(1) as f64;
            if units <= Rate::MAX.units() as f64 {
                return Some(units.round() as u64);
            }
            report_wrong(diagnostics, node, "a lower rate")
        }
        _ => report_wrong(diagnostics, node, "a number of starts per `timeUnit`, such as 100"),
    }
}

/// Compiles k6's stages: `target` and `duration`.
fn stages(
    diagnostics: &mut Diagnostics,
    node: &Node,
    from: u64,
    level: impl Fn(&mut Diagnostics, &Node) -> Option<u64>,
    show: impl Fn(u64) -> String,
) -> Option<(Curve, String)> {
    let expected = K6_STAGE.form;
    let items = values::list(diagnostics, node, expected)?;
    let before = diagnostics.count();
    let mut curve = Curve::default();
    curve.jump(from);
    let mut native = if from > 0 { format!("[ {{ step: {} }}", show(from)) } else { "[ ".into() };
    for item in items {
        let Some(mut fields) = Fields::read(diagnostics, item, &K6_STAGE) else { continue };
        let (target, length) = (fields.take("target"), fields.take("duration"));
        fields.finish(diagnostics);
        let target = target.and_then(|node| level(diagnostics, node));
        let length = length.and_then(|node| bounded(diagnostics, node));
        if let (Some(target), Some(length)) = (target, length) {
            let comma = if native.len() > 2 { ", " } else { "" };
            let (to, over) = (show(target), show_duration(length));
            let _ = write!(native, "{comma}{{ ramp: {to}, over: {over} }}");
            curve.ramp(target, length);
        }
        too_long(diagnostics, &curve, item.span)?;
    }
    if diagnostics.count() > before {
        return None;
    }
    if curve.peak() == 0 || curve.end_ns() == 0 {
        return report_wrong(diagnostics, node, expected);
    }
    Some((curve, native + " ]"))
}

fn too_long(diagnostics: &mut Diagnostics, curve: &Curve, span: SourceSpan) -> Option<()> {
    if curve.end_ns() < OPEN_END {
        return Some(());
    }
    diagnostics.mistake(span, "these stages exceed 31 years");
    None
}
