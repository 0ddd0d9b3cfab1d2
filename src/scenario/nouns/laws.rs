//! Field tables of distributions of durations.
//!
//! `syntax::distribution` reads them.
//! Invariant: each law has the parameters of its usual definition.

use crate::curve::SHAPES;
use crate::scenario::nouns::noun::ValueShape::{
    Duration, Fixed, List, Number, OneOf, Table, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, Noun, SharedShape, key};

/// A duration, or a distribution of durations.
pub(crate) static DISTRIBUTION: SharedShape = SharedShape {
    id: "duration_or_distribution",
    title: "duration or [distribution](#distribution)",
    shape: OneOf(&[Duration, Table(&LAW)]),
};

/// The units of bare numbers in a column of durations.
pub(crate) const UNITS: [&str; 6] = ["ns", "us", "ms", "s", "m", "h"];

pub(crate) static LAW: Noun = Noun {
    id: "distribution",
    title: "a distribution",
    about: "A distribution of durations. Each draw is independent.",
    groups: &[&[
        key(
            "uniform",
            List(2, Some(2), &Duration),
            "Every duration from the first to the second is equally likely; mean (a + b)/2.",
        ),
        key("normal", Table(&NORMAL), "Bell curve; draws below zero become zero."),
        key("exponential", Table(&EXPONENTIAL), "Memoryless waiting times."),
        key("lognormal", Table(&LOGNORMAL), "Many short durations, a few long ones."),
        key("pareto", Table(&PARETO), "Heavy tail: P(X > x) = (min/x)^shape."),
        key("gamma", Table(&GAMMA), "Variance mean²/shape; shape 1 is exponential."),
        key("weibull", Table(&WEIBULL), "P(X > x) = exp(−(x/scale)^shape)."),
        key("empirical", Table(&EMPIRICAL), "Durations measured before, from a file."),
        key("min", Duration, "Draws below it become it."),
        key("max", Duration, "Draws above it become it."),
    ]],
    rules: &[KeyRule::ExactlyOne(&[
        "uniform",
        "normal",
        "exponential",
        "lognormal",
        "pareto",
        "gamma",
        "weibull",
        "empirical",
    ])],
    ..EMPTY
};

/// The expected form of a required duration.
const SUCH_AS: &str = "a duration such as 2s";

const fn mean() -> KeySpec {
    key("mean", Duration, "Mean of the draws.").needs(SUCH_AS)
}

const fn shape(about: &'static str) -> KeySpec {
    let range = Number(*SHAPES.start(), *SHAPES.end());
    key("shape", range, about).needs("a number such as 2.5")
}

pub(crate) static NORMAL: Noun = law(
    "normal",
    "a normal distribution",
    "`{ mean: 2s, sd: 500ms }`",
    &[&[mean(), key("sd", Duration, "Standard deviation.").needs(SUCH_AS)]],
);

pub(crate) static EXPONENTIAL: Noun =
    law("exponential", "an exponential distribution", "`{ mean: 2s }`", &[&[mean()]]);

pub(crate) static LOGNORMAL: Noun = law(
    "lognormal",
    "a lognormal distribution",
    "`{ median: 2s, sigma: 0.5 }`",
    &[&[
        key("median", Duration, "Median; the mean is median · exp(sigma²/2).").needs(SUCH_AS),
        key("sigma", Number(0.0, 10.0), "Standard deviation of the logarithm.")
            .needs("a number such as 0.5"),
    ]],
);

pub(crate) static PARETO: Noun = law(
    "pareto",
    "a Pareto distribution",
    "`{ min: 1s, shape: 2.5 }`",
    &[&[
        key("min", Duration, "Smallest draw.").needs(SUCH_AS),
        shape("Exponent of the tail; at 1 or less the mean is infinite and a `max` is required."),
    ]],
);

pub(crate) static GAMMA: Noun = law(
    "gamma",
    "a gamma distribution",
    "`{ mean: 2s, shape: 2 }`",
    &[&[mean(), shape("Shape; larger values vary less.")]],
);

pub(crate) static WEIBULL: Noun = law(
    "weibull",
    "a Weibull distribution",
    "`{ scale: 2s, shape: 1.5 }`",
    &[&[
        key("scale", Duration, "Scale; the mean is scale · Γ(1 + 1/shape).").needs(SUCH_AS),
        shape("Shape; below 1 a heavier tail than exponential, above 1 a lighter one."),
    ]],
);

pub(crate) static EMPIRICAL: Noun = law(
    "empirical",
    "an empirical distribution",
    "`{ csv: thinks.csv, column: seconds, unit: s }`",
    &[&[
        key("csv", Fixed, "CSV file whose first row names its columns.")
            .needs("the name of a CSV file"),
        key("column", Fixed, "Column with the durations.").needs("the name of one of its columns"),
        key("unit", Words(&UNITS), "Unit of bare numbers in the column."),
    ]],
);

/// The table of a law with its parameters.
const fn law(
    id: &'static str,
    title: &'static str,
    form: &'static str,
    groups: &'static [&'static [KeySpec]],
) -> Noun {
    Noun { id, title, about: "Parameters of the distribution.", form, groups, ..EMPTY }
}
