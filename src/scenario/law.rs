//! Random durations as they are written: think, the built-in target's latency.
//!
//! Invariant: what comes out can be drawn from; its least is not above its most.

use std::time::Duration;

use super::diagnostics::Diagnostics;
use super::fields::{self, Fields, wrong};
use super::files;
use super::node::{Node, NodeKind};
use crate::curve::{Distribution, DistributionKind, Empirical, SHAPES};

const EXPECTED: &str = "a duration such as 2s, or a law such as `{ exponential: { mean: 2s } }`";

/// A bare duration, or a map that names a law, with `min` and `max` beside it.
pub(super) fn distribution(review: &mut Diagnostics, node: &Node) -> Option<Distribution> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        if !matches!(node.kind, NodeKind::Text(_) | NodeKind::Number(..)) {
            return wrong(review, node, EXPECTED);
        }
        return fields::duration(review, node).map(Distribution::constant);
    }
    let mut fields = Fields::of(review, node, "a distribution")?;
    let laws: Vec<Option<DistributionKind>> = [
        fields.take("uniform").map(|node| uniform(review, node)),
        fields.take("normal").map(|node| normal(review, node)),
        fields.take("exponential").map(|node| exponential(review, node)),
        fields.take("lognormal").map(|node| lognormal(review, node)),
        fields.take("pareto").map(|node| pareto(review, node)),
        fields.take("gamma").map(|node| gamma(review, node)),
        fields.take("weibull").map(|node| weibull(review, node)),
        fields.take("empirical").map(|node| empirical(review, node)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let min = fields.take("min").map(|node| (node, fields::duration(review, node)));
    let max = fields.take("max").map(|node| (node, fields::duration(review, node)));
    let before = review.count();
    fields.finish(review);
    if laws.len() != 1 && review.count() == before {
        let message =
            if laws.is_empty() { "no law is named here" } else { "more than one law is named" };
        review.mistake(node.span, message).expected(
            "one of `uniform`, `normal`, `exponential`, `lognormal`, `pareto`, `gamma`, \
             `weibull`, `empirical`",
        );
    }
    let bound = |bound: &Option<(&Node, Option<Duration>)>| bound.as_ref().and_then(|(_, d)| *d);
    let (least, most) = (bound(&min), bound(&max));
    if let (Some((_, Some(least))), Some((node, Some(most)))) = (&min, &max)
        && least > most
    {
        return wrong(review, node, "a `max` that is not below `min`");
    }
    let law = laws.into_iter().next()??;
    if matches!(law, DistributionKind::Pareto { shape, .. } if shape <= 1.0) && max.is_none() {
        review
            .mistake(node.span, "a Pareto law of shape 1 or less has no mean")
            .expected("a `max`, or a shape above 1");
        return None;
    }
    Some(Distribution { kind: law, min: least, max: most })
}

/// The same, or the compact form of the command line: `exponential:5ms`.
pub(super) fn latency(review: &mut Diagnostics, node: &Node) -> Option<Distribution> {
    let NodeKind::Text(text) = &node.kind else { return distribution(review, node) };
    match Distribution::parse_compact(text) {
        Ok(distribution) => Some(distribution),
        Err(message) => {
            review.mistake(node.span, message);
            None
        }
    }
}

fn uniform(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let expected = "two durations: `uniform: [1s, 3s]`";
    let [low, high] = fields::list(review, node, expected)? else {
        return wrong(review, node, expected);
    };
    let (low, from) = (fields::duration(review, low), low);
    let high = fields::duration(review, high)?;
    let low = low?;
    if low > high {
        return wrong(review, from, "the shorter of the two durations first");
    }
    Some(DistributionKind::Uniform { low, high })
}

fn normal(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::like(review, node, "a normal law", "`{ mean: 2s, sd: 500ms }`")?;
    let mean = need_duration(review, &mut fields, "mean");
    let sd = need_duration(review, &mut fields, "sd");
    fields.finish(review);
    Some(DistributionKind::Normal { mean: mean?, sd: sd? })
}

fn exponential(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::like(review, node, "an exponential law", "`{ mean: 2s }`")?;
    let mean = need_duration(review, &mut fields, "mean");
    fields.finish(review);
    Some(DistributionKind::Exponential { mean: mean? })
}

fn lognormal(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::like(review, node, "a lognormal law", "`{ median: 2s, sigma: 0.5 }`")?;
    let median = need_duration(review, &mut fields, "median");
    let sigma = fields.need("sigma", "a number such as 0.5");
    let sigma = sigma.and_then(|node| match &node.kind {
        NodeKind::Number(_, value) if (0.0..=10.0).contains(value) => Some(*value),
        _ => wrong(review, node, "a number from 0 to 10, such as 0.5"),
    });
    fields.finish(review);
    Some(DistributionKind::Lognormal { median: median?, sigma: sigma? })
}

fn pareto(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::like(review, node, "a Pareto law", "`{ min: 1s, shape: 2.5 }`")?;
    let min = need_duration(review, &mut fields, "min");
    let shape = need_shape(review, &mut fields);
    fields.finish(review);
    Some(DistributionKind::Pareto { min: min?, shape: shape? })
}

fn gamma(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::like(review, node, "a gamma law", "`{ mean: 2s, shape: 2 }`")?;
    let mean = need_duration(review, &mut fields, "mean");
    let shape = need_shape(review, &mut fields);
    fields.finish(review);
    Some(DistributionKind::Gamma { mean: mean?, shape: shape? })
}

fn weibull(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::like(review, node, "a Weibull law", "`{ scale: 2s, shape: 1.5 }`")?;
    let scale = need_duration(review, &mut fields, "scale");
    let shape = need_shape(review, &mut fields);
    fields.finish(review);
    Some(DistributionKind::Weibull { scale: scale?, shape: shape? })
}

/// A column of a file beside the one it is named in, or beside the scenario.
fn empirical(review: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let expected = "`{ csv: thinks.csv, column: seconds, unit: s }`";
    let mut fields = Fields::like(review, node, "an empirical law", expected)?;
    let csv = fields.need("csv", "the name of a CSV file");
    let column = fields.need("column", "the name of one of its columns");
    let unit = fields.take("unit").map(|node| unit(review, node));
    fields.finish(review);
    let file = fields::fixed(review, csv?, "the name of a CSV file")?;
    let name = fields::fixed(review, column?, "the name of a column")?;
    if name.contains(',') {
        return wrong(review, column?, "the name of a column, without a comma");
    }
    let unit = match unit {
        Some(unit) => Some(unit?),
        None => None,
    };
    let folders = review.folders(node.span);
    let paths: Vec<_> = folders.iter().map(|folder| folder.join(file)).collect();
    let there = paths.iter().find(|path| path.exists() && !path.is_dir());
    if there.is_some_and(|path| !files::allowed(review, node.span, path)) {
        return None;
    }
    let path = there.unwrap_or(&paths[0]);
    match Empirical::read(path, name, unit) {
        Ok(empirical) => Some(DistributionKind::Empirical(empirical)),
        Err(problem) => {
            let path = path.display();
            review.mistake(csv?.span, format!("{path} {problem}")).expected(
                "a CSV file whose first row names its columns, beside this file or the scenario",
            );
            None
        }
    }
}

fn unit<'n>(review: &mut Diagnostics, node: &'n Node) -> Option<&'n str> {
    match fields::scalar(node) {
        Some(unit) if ["ns", "us", "ms", "s", "m", "h"].contains(&unit) => Some(unit),
        _ => wrong(review, node, "one of `ns`, `us`, `ms`, `s`, `m`, `h`"),
    }
}

fn need_shape(review: &mut Diagnostics, fields: &mut Fields<'_>) -> Option<f64> {
    let node = fields.need("shape", "a number such as 2.5")?;
    match &node.kind {
        NodeKind::Number(_, value) if SHAPES.contains(value) => Some(*value),
        _ => wrong(review, node, "a number from 0.1 to 100, such as 2.5"),
    }
}

fn need_duration(
    review: &mut Diagnostics,
    fields: &mut Fields<'_>,
    name: &'static str,
) -> Option<Duration> {
    let node = fields.need(name, "a duration such as 2s")?;
    fields::duration(review, node)
}
