//! Distributions of durations: think time, latency of the built-in target.
//!
//! Invariant: a compiled distribution can be sampled, and its minimum is not above its maximum.

use std::time::Duration;

use crate::curve::{Distribution, DistributionKind, Empirical, SHAPES};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{files, values};

const EXPECTED: &str = "a duration such as 2s, or a law such as `{ exponential: { mean: 2s } }`";

/// Reads a plain duration, or a map with a distribution and optional `min` and `max`.
pub(crate) fn distribution(diagnostics: &mut Diagnostics, node: &Node) -> Option<Distribution> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        if !matches!(node.kind, NodeKind::Text(_) | NodeKind::Number(..)) {
            return report_wrong(diagnostics, node, EXPECTED);
        }
        return values::duration(diagnostics, node).map(Distribution::constant);
    }
    let mut fields = Fields::read(diagnostics, node, "a distribution")?;
    let kinds: Vec<Option<DistributionKind>> = [
        fields.take("uniform").map(|node| uniform(diagnostics, node)),
        fields.take("normal").map(|node| normal(diagnostics, node)),
        fields.take("exponential").map(|node| exponential(diagnostics, node)),
        fields.take("lognormal").map(|node| lognormal(diagnostics, node)),
        fields.take("pareto").map(|node| pareto(diagnostics, node)),
        fields.take("gamma").map(|node| gamma(diagnostics, node)),
        fields.take("weibull").map(|node| weibull(diagnostics, node)),
        fields.take("empirical").map(|node| empirical(diagnostics, node)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let min = fields.take("min").map(|node| (node, values::duration(diagnostics, node)));
    let max = fields.take("max").map(|node| (node, values::duration(diagnostics, node)));
    let before = diagnostics.count();
    fields.finish(diagnostics);
    if kinds.len() != 1 && diagnostics.count() == before {
        let message =
            if kinds.is_empty() { "no law is named here" } else { "more than one law is named" };
        diagnostics.mistake(node.span, message).expected(
            "one of `uniform`, `normal`, `exponential`, `lognormal`, `pareto`, `gamma`, \
             `weibull`, `empirical`",
        );
    }
    let bound = |bound: &Option<(&Node, Option<Duration>)>| bound.as_ref().and_then(|(_, d)| *d);
    let (least, most) = (bound(&min), bound(&max));
    if let (Some((_, Some(least))), Some((node, Some(most)))) = (&min, &max)
        && least > most
    {
        return report_wrong(diagnostics, node, "a `max` that is not below `min`");
    }
    let law = kinds.into_iter().next()??;
    if matches!(law, DistributionKind::Pareto { shape, .. } if shape <= 1.0) && max.is_none() {
        diagnostics
            .mistake(node.span, "a Pareto law of shape 1 or less has no mean")
            .expected("a `max`, or a shape above 1");
        return None;
    }
    Some(Distribution { kind: law, min: least, max: most })
}

/// Reads a distribution, also in the compact form of the command line: `exponential:5ms`.
pub(crate) fn latency(diagnostics: &mut Diagnostics, node: &Node) -> Option<Distribution> {
    let NodeKind::Text(text) = &node.kind else { return distribution(diagnostics, node) };
    match Distribution::parse_compact(text) {
        Ok(distribution) => Some(distribution),
        Err(message) => {
            diagnostics.mistake(node.span, message);
            None
        }
    }
}

fn uniform(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let expected = "two durations: `uniform: [1s, 3s]`";
    let [low, high] = values::list(diagnostics, node, expected)? else {
        return report_wrong(diagnostics, node, expected);
    };
    let (low, from) = (values::duration(diagnostics, low), low);
    let high = values::duration(diagnostics, high)?;
    let low = low?;
    if low > high {
        return report_wrong(diagnostics, from, "the shorter of the two durations first");
    }
    Some(DistributionKind::Uniform { low, high })
}

fn normal(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields =
        Fields::read_as(diagnostics, node, "a normal law", "`{ mean: 2s, sd: 500ms }`")?;
    let mean = need_duration(diagnostics, &mut fields, "mean");
    let sd = need_duration(diagnostics, &mut fields, "sd");
    fields.finish(diagnostics);
    Some(DistributionKind::Normal { mean: mean?, sd: sd? })
}

fn exponential(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::read_as(diagnostics, node, "an exponential law", "`{ mean: 2s }`")?;
    let mean = need_duration(diagnostics, &mut fields, "mean");
    fields.finish(diagnostics);
    Some(DistributionKind::Exponential { mean: mean? })
}

fn lognormal(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields =
        Fields::read_as(diagnostics, node, "a lognormal law", "`{ median: 2s, sigma: 0.5 }`")?;
    let median = need_duration(diagnostics, &mut fields, "median");
    let sigma = fields.require("sigma", "a number such as 0.5");
    let sigma = sigma.and_then(|node| match &node.kind {
        NodeKind::Number(_, value) if (0.0..=10.0).contains(value) => Some(*value),
        _ => report_wrong(diagnostics, node, "a number from 0 to 10, such as 0.5"),
    });
    fields.finish(diagnostics);
    Some(DistributionKind::Lognormal { median: median?, sigma: sigma? })
}

fn pareto(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields =
        Fields::read_as(diagnostics, node, "a Pareto law", "`{ min: 1s, shape: 2.5 }`")?;
    let min = need_duration(diagnostics, &mut fields, "min");
    let shape = need_shape(diagnostics, &mut fields);
    fields.finish(diagnostics);
    Some(DistributionKind::Pareto { min: min?, shape: shape? })
}

fn gamma(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::read_as(diagnostics, node, "a gamma law", "`{ mean: 2s, shape: 2 }`")?;
    let mean = need_duration(diagnostics, &mut fields, "mean");
    let shape = need_shape(diagnostics, &mut fields);
    fields.finish(diagnostics);
    Some(DistributionKind::Gamma { mean: mean?, shape: shape? })
}

fn weibull(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields =
        Fields::read_as(diagnostics, node, "a Weibull law", "`{ scale: 2s, shape: 1.5 }`")?;
    let scale = need_duration(diagnostics, &mut fields, "scale");
    let shape = need_shape(diagnostics, &mut fields);
    fields.finish(diagnostics);
    Some(DistributionKind::Weibull { scale: scale?, shape: shape? })
}

/// Reads a column of a CSV file, next to the file that names it or next to the scenario.
fn empirical(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let expected = "`{ csv: thinks.csv, column: seconds, unit: s }`";
    let mut fields = Fields::read_as(diagnostics, node, "an empirical law", expected)?;
    let csv = fields.require("csv", "the name of a CSV file");
    let column = fields.require("column", "the name of one of its columns");
    let unit = fields.take("unit").map(|node| unit(diagnostics, node));
    fields.finish(diagnostics);
    let file = values::plain_text(diagnostics, csv?, "the name of a CSV file")?;
    let name = values::plain_text(diagnostics, column?, "the name of a column")?;
    if name.contains(',') {
        return report_wrong(diagnostics, column?, "the name of a column, without a comma");
    }
    let unit = match unit {
        Some(unit) => Some(unit?),
        None => None,
    };
    let folders = diagnostics.folders(node.span);
    let paths: Vec<_> = folders.iter().map(|folder| folder.join(file)).collect();
    let there = paths.iter().find(|path| path.exists() && !path.is_dir());
    if there.is_some_and(|path| !files::check_readable(diagnostics, node.span, path)) {
        return None;
    }
    let path = there.unwrap_or(&paths[0]);
    match Empirical::read(path, name, unit) {
        Ok(empirical) => Some(DistributionKind::Empirical(empirical)),
        Err(problem) => {
            let path = path.display();
            diagnostics.mistake(csv?.span, format!("{path} {problem}")).expected(
                "a CSV file whose first row names its columns, beside this file or the scenario",
            );
            None
        }
    }
}

fn unit<'n>(diagnostics: &mut Diagnostics, node: &'n Node) -> Option<&'n str> {
    match values::scalar(node) {
        Some(unit) if ["ns", "us", "ms", "s", "m", "h"].contains(&unit) => Some(unit),
        _ => report_wrong(diagnostics, node, "one of `ns`, `us`, `ms`, `s`, `m`, `h`"),
    }
}

fn need_shape(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> Option<f64> {
    let node = fields.require("shape", "a number such as 2.5")?;
    match &node.kind {
        NodeKind::Number(_, value) if SHAPES.contains(value) => Some(*value),
        _ => report_wrong(diagnostics, node, "a number from 0.1 to 100, such as 2.5"),
    }
}

fn need_duration(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    name: &'static str,
) -> Option<Duration> {
    let node = fields.require(name, "a duration such as 2s")?;
    values::duration(diagnostics, node)
}
