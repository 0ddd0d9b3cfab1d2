//! Distributions of durations: think time, latency of the built-in target.
//!
//! Invariant: a compiled distribution can be sampled, and its minimum is not above its maximum.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::curve::{Distribution, DistributionKind, Empirical};
use crate::files::FileRole;
use crate::scenario::nouns::laws::{
    EMPIRICAL, EXPONENTIAL, GAMMA, LAW, LOGNORMAL, NORMAL, PARETO, UNITS, WEIBULL,
};
use crate::scenario::nouns::noun::Noun;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{files, values};

const EXPECTED: &str =
    "a duration such as 2s, or a distribution such as `{ exponential: { mean: 2s } }`";

/// Reads a plain duration, or a map with a distribution and optional `min` and `max`.
pub(crate) fn distribution(diagnostics: &mut Diagnostics, node: &Node) -> Option<Distribution> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        if !matches!(node.kind, NodeKind::Text(_) | NodeKind::Number(..)) {
            return report_wrong(diagnostics, node, EXPECTED);
        }
        return values::duration(diagnostics, node).map(Distribution::constant);
    }
    let mut fields = Fields::read(diagnostics, node, &LAW)?;
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
        let message = if kinds.is_empty() {
            "this distribution has no name"
        } else {
            "this distribution has more than one name"
        };
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
        return report_wrong(diagnostics, node, "a `max` of at least `min`");
    }
    let law = kinds.into_iter().next()??;
    if matches!(law, DistributionKind::Pareto { shape, .. } if shape <= 1.0) && max.is_none() {
        diagnostics
            .mistake(node.span, "a Pareto distribution of shape 1 or less has no mean")
            .expected("a `max`, or a shape above 1");
        return None;
    }
    Some(Distribution { kind: law, min: least, max: most })
}

/// Reads a distribution, also in the compact form of the command line: `exponential:5ms`.
pub(crate) fn latency(diagnostics: &mut Diagnostics, node: &Node) -> Option<Distribution> {
    let NodeKind::Text(text) = &node.kind else { return distribution(diagnostics, node) };
    let open = |path: &Path| {
        let is_outside = diagnostics.files.is_file(path)
            && !files::is_readable(&diagnostics.files, &diagnostics.readable, path);
        if is_outside {
            let why = "it is outside the folders that a scenario may read (`--allow-files DIR`)";
            return Err(io::Error::other(why));
        }
        diagnostics.files.open(path, FileRole::Distribution)
    };
    match Distribution::parse_compact_from(text, &open) {
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

/// Reads the parameters of a distribution from its map.
fn parameters<T>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    noun: &'static Noun,
    read: impl FnOnce(&mut Diagnostics, &mut Fields<'_>) -> T,
) -> Option<T> {
    let mut fields = Fields::read(diagnostics, node, noun)?;
    let parameters = read(diagnostics, &mut fields);
    fields.finish(diagnostics);
    Some(parameters)
}

fn normal(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let (mean, sd) = parameters(diagnostics, node, &NORMAL, |diagnostics, fields| {
        (fields.value(diagnostics, "mean"), fields.value(diagnostics, "sd"))
    })?;
    Some(DistributionKind::Normal { mean: mean?, sd: sd? })
}

fn exponential(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mean = parameters(diagnostics, node, &EXPONENTIAL, |diagnostics, fields| {
        fields.value(diagnostics, "mean")
    })?;
    Some(DistributionKind::Exponential { mean: mean? })
}

fn lognormal(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let (median, sigma) = parameters(diagnostics, node, &LOGNORMAL, |diagnostics, fields| {
        (fields.value(diagnostics, "median"), fields.value(diagnostics, "sigma"))
    })?;
    Some(DistributionKind::Lognormal { median: median?, sigma: sigma? })
}

fn pareto(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let (min, shape) = parameters(diagnostics, node, &PARETO, |diagnostics, fields| {
        (fields.value(diagnostics, "min"), fields.value(diagnostics, "shape"))
    })?;
    Some(DistributionKind::Pareto { min: min?, shape: shape? })
}

fn gamma(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let (mean, shape) = parameters(diagnostics, node, &GAMMA, |diagnostics, fields| {
        (fields.value(diagnostics, "mean"), fields.value(diagnostics, "shape"))
    })?;
    Some(DistributionKind::Gamma { mean: mean?, shape: shape? })
}

fn weibull(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let (scale, shape) = parameters(diagnostics, node, &WEIBULL, |diagnostics, fields| {
        (fields.value(diagnostics, "scale"), fields.value(diagnostics, "shape"))
    })?;
    Some(DistributionKind::Weibull { scale: scale?, shape: shape? })
}

/// Reads a column of a CSV file, next to the file that names it or next to the scenario.
fn empirical(diagnostics: &mut Diagnostics, node: &Node) -> Option<DistributionKind> {
    let mut fields = Fields::read(diagnostics, node, &EMPIRICAL)?;
    let (csv, column) = (fields.take("csv"), fields.take("column"));
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
    let there = paths.iter().find(|path| diagnostics.files.is_file(path));
    if there.is_some_and(|path| !files::check_readable(diagnostics, node.span, path)) {
        return None;
    }
    let path = there.unwrap_or(&paths[0]);
    let open = |path: &Path| diagnostics.files.open(path, FileRole::Distribution);
    match Empirical::read(path, &open, name, unit) {
        Ok(empirical) => Some(DistributionKind::Empirical(empirical)),
        Err(problem) => {
            let path = path.display();
            diagnostics.mistake(csv?.span, format!("{path}: {problem}")).expected(
                "a CSV file whose first row names its columns, beside this file or the scenario",
            );
            None
        }
    }
}

fn unit<'n>(diagnostics: &mut Diagnostics, node: &'n Node) -> Option<&'n str> {
    match values::scalar(node) {
        Some(unit) if UNITS.contains(&unit) => Some(unit),
        _ => report_wrong(diagnostics, node, format!("one of {}", values::list_names(&UNITS))),
    }
}
