//! The compact form of distributions, as on the command line: `exponential:5ms`.
//!
//! `cli` parses it; `testserver::process` writes it.
//! Invariant: `parse_compact` parses the output of `Display` to the same distribution.

use std::fmt;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::empirical::OpenFile;
use super::{Distribution, DistributionKind, Empirical};
use crate::suggest::did_you_mean;
use crate::units::{parse_duration, parse_share};

/// The end of a message about a distribution that cannot be parsed.
const EXPECTED: &str = "expected a duration such as 5ms, or one of exponential:5ms, \
    lognormal:5ms,0.5, normal:5ms,1ms, uniform:1ms,5ms, pareto:1ms,2.5, gamma:5ms,2, \
    weibull:5ms,1.5, bimodal:1ms,50ms,5%, empirical:FILE,COLUMN,unit=ms, \
    each with an optional ,min=1ms and ,max=30ms";

/// The distributions with a name, and the form of each.
const FORMS: [(&str, &str); 9] = [
    ("exponential", "exponential:MEAN"),
    ("lognormal", "lognormal:MEDIAN,SIGMA"),
    ("normal", "normal:MEAN,SD"),
    ("uniform", "uniform:MIN,MAX"),
    ("pareto", "pareto:MIN,SHAPE"),
    ("gamma", "gamma:MEAN,SHAPE"),
    ("weibull", "weibull:SCALE,SHAPE"),
    ("bimodal", "bimodal:FAST,SLOW,SHARE"),
    ("empirical", "empirical:FILE,COLUMN"),
];

/// The valid shapes of a Pareto, gamma or Weibull distribution.
pub const SHAPES: RangeInclusive<f64> = 0.1..=100.0;

impl Distribution {
    /// Parses the compact form: `5ms`, `exponential:5ms`, `lognormal:5ms,0.5`, `normal:5ms,1ms`,
    /// `uniform:1ms,5ms`, `pareto:1ms,2.5`, `gamma:5ms,2`, `weibull:5ms,1.5`,
    /// `bimodal:1ms,50ms,5%`, `empirical:FILE,COLUMN` (and `,unit=ms`); then, optionally,
    /// `,min=1ms` and `,max=30ms`.
    pub fn parse_compact(text: &str) -> Result<Self, String> {
        Self::parse_compact_from(text, &|path| File::open(path))
    }

    /// Parses the compact form; `open` opens a file of durations.
    pub fn parse_compact_from(text: &str, open: OpenFile<'_>) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |what: &str| format!("`{text}` is not a distribution: {what}");
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name.trim(), rest),
            None => ("constant", text),
        };
        let mut words = Vec::new();
        let (mut min, mut max, mut unit) = (None, None, None);
        for word in rest.split(',') {
            // Blanks in a path are significant.
            let word = if name == "empirical" { word } else { word.trim() };
            let Some((key, value)) = word.split_once('=') else {
                words.push(word);
                continue;
            };
            let bound = match key.trim() {
                "min" => &mut min,
                "max" => &mut max,
                "unit" if name == "empirical" => {
                    unit = Some(value.trim());
                    continue;
                }
                _ => return Err(wrong(EXPECTED)),
            };
            *bound = Some(parse_time(value).map_err(|what| wrong(&what))?);
        }
        if unit.is_some_and(|unit| parse_duration(&format!("1{unit}")).is_err()) {
            return Err(wrong("the unit must be one of ns, us, ms, s, m, h"));
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(wrong("min is above max"));
        }
        let kind = parse_kind(name, &words, unit, open).map_err(|what| wrong(&what))?;
        if matches!(kind, DistributionKind::Pareto { shape, .. } if shape <= 1.0) && max.is_none() {
            return Err(wrong("a Pareto distribution of shape 1 or less has no mean; add a `max`"));
        }
        Ok(Self { kind, min, max })
    }
}

fn parse_kind(
    name: &str,
    words: &[&str],
    unit: Option<&str>,
    open: OpenFile<'_>,
) -> Result<DistributionKind, String> {
    match (name, words) {
        ("constant", [value]) if value.contains(|c: char| c.is_ascii_digit()) => {
            Ok(DistributionKind::Constant(parse_time(value)?))
        }
        ("uniform", [low, high]) => {
            let (low, high) = (parse_time(low)?, parse_time(high)?);
            if low > high {
                return Err("min is above max".to_owned());
            }
            Ok(DistributionKind::Uniform { low, high })
        }
        ("normal", [mean, sd]) => {
            Ok(DistributionKind::Normal { mean: parse_time(mean)?, sd: parse_time(sd)? })
        }
        ("exponential", [mean]) => Ok(DistributionKind::Exponential { mean: parse_time(mean)? }),
        ("lognormal", [median, sigma]) => Ok(DistributionKind::Lognormal {
            median: parse_time(median)?,
            sigma: parse_sigma(sigma)?,
        }),
        ("pareto", [min, shape]) => {
            Ok(DistributionKind::Pareto { min: parse_time(min)?, shape: parse_shape(shape)? })
        }
        ("gamma", [mean, shape]) => {
            Ok(DistributionKind::Gamma { mean: parse_time(mean)?, shape: parse_shape(shape)? })
        }
        ("weibull", [scale, shape]) => {
            Ok(DistributionKind::Weibull { scale: parse_time(scale)?, shape: parse_shape(shape)? })
        }
        // A path may contain commas; the column follows the last one.
        ("empirical", [path @ .., column]) if !path.is_empty() => {
            let path = path.join(",");
            Empirical::read(Path::new(&path), open, column.trim(), unit)
                .map(DistributionKind::Empirical)
                .map_err(|what| format!("{path}: {what}"))
        }
        ("bimodal", [fast, slow, share]) => Ok(DistributionKind::Bimodal {
            fast: parse_time(fast)?,
            slow: parse_time(slow)?,
            slow_share: parse_share(share)
                .ok()
                .filter(|share| *share <= 1.0)
                .ok_or("the share must be from 0% to 100%")?,
        }),
        _ => {
            let known = FORMS.map(|(known, _)| known);
            let form = FORMS.into_iter().find(|(known, _)| *known == name);
            match form {
                Some((_, form)) => Err(format!("expected {form}")),
                None => Err(format!("{EXPECTED}{}", did_you_mean(name, known))),
            }
        }
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|expected| format!("expected {expected}, not `{text}`"))
}

/// Beyond 10, the 99.9th percentile is e³⁰ times the median: a typing error, not a distribution.
fn parse_sigma(text: &str) -> Result<f64, String> {
    let sigma: Option<f64> = text.parse().ok();
    sigma
        .filter(|sigma| (0.0..=10.0).contains(sigma))
        .ok_or_else(|| format!("sigma must be a number from 0 to 10, not `{text}`"))
}

/// Beyond [`SHAPES`] a distribution is constant, or consists only of its tail.
fn parse_shape(text: &str) -> Result<f64, String> {
    let shape: Option<f64> = text.parse().ok();
    shape
        .filter(|shape| SHAPES.contains(shape))
        .ok_or_else(|| format!("the shape must be a number from 0.1 to 100, not `{text}`"))
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DistributionKind::Constant(value) => write!(f, "{}", Exact(*value))?,
            DistributionKind::Uniform { low, high } => {
                write!(f, "uniform:{},{}", Exact(*low), Exact(*high))?;
            }
            DistributionKind::Normal { mean, sd } => {
                write!(f, "normal:{},{}", Exact(*mean), Exact(*sd))?;
            }
            DistributionKind::Exponential { mean } => write!(f, "exponential:{}", Exact(*mean))?,
            DistributionKind::Lognormal { median, sigma } => {
                write!(f, "lognormal:{},{sigma}", Exact(*median))?;
            }
            DistributionKind::Pareto { min, shape } => write!(f, "pareto:{},{shape}", Exact(*min))?,
            DistributionKind::Gamma { mean, shape } => write!(f, "gamma:{},{shape}", Exact(*mean))?,
            DistributionKind::Weibull { scale, shape } => {
                write!(f, "weibull:{},{shape}", Exact(*scale))?;
            }
            DistributionKind::Empirical(Empirical { path, column, .. }) => {
                write!(f, "empirical:{path},{column}")?;
            }
            DistributionKind::Bimodal { fast, slow, slow_share } => {
                // As a share of one, not in percent: only an undivided float is preserved.
                write!(f, "bimodal:{},{},{slow_share}", Exact(*fast), Exact(*slow))?;
            }
        }
        if let DistributionKind::Empirical(Empirical { unit: Some(unit), .. }) = &self.kind {
            write!(f, ",unit={unit}")?;
        }
        if let Some(min) = self.min {
            write!(f, ",min={}", Exact(min))?;
        }
        if let Some(max) = self.max {
            write!(f, ",max={}", Exact(max))?;
        }
        Ok(())
    }
}

/// Prints a duration exactly, in the largest unit that divides it.
struct Exact(Duration);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos();
        for (scale, unit) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
            if ns.is_multiple_of(scale) {
                return write!(f, "{}{unit}", ns / scale);
            }
        }
        write!(f, "{ns}ns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_distributions_parse_back() {
        for (text, printed) in [
            ("5ms", "5ms"),
            ("constant:5ms", "5ms"),
            ("0", "0s"),
            ("1.5ms", "1500us"),
            (" exponential: 5ms ", "exponential:5ms"),
            ("lognormal:5ms,0.5", "lognormal:5ms,0.5"),
            ("normal:5ms,1ms,max=30ms", "normal:5ms,1ms,max=30ms"),
            ("uniform:1ms,5ms,min=2ms,max=4ms", "uniform:1ms,5ms,min=2ms,max=4ms"),
            ("bimodal:1ms,50ms,5%", "bimodal:1ms,50ms,0.05"),
            ("5ms,min=7ns", "5ms,min=7ns"),
            ("pareto:1ms,2.5", "pareto:1ms,2.5"),
            ("pareto:1ms,1,max=1s", "pareto:1ms,1,max=1s"),
            ("gamma:5ms,2", "gamma:5ms,2"),
            ("weibull:5ms,0.5,max=1s", "weibull:5ms,0.5,max=1s"),
        ] {
            let distribution = Distribution::parse_compact(text).unwrap();
            assert_eq!(distribution.to_string(), printed);
            assert_eq!(Distribution::parse_compact(printed), Ok(distribution));
        }
    }

    #[test]
    fn errors_name_what_is_expected() {
        for (text, part) in [
            ("", "expected a duration such as 5ms, or one of"),
            ("gauss:5ms", "expected a duration such as 5ms, or one of"),
            ("exponential:5ms,6ms", "expected exponential:MEAN"),
            ("expnential:5ms", "did you mean `exponential`?"),
            ("exponential:5", "not `5`"),
            ("uniform:5ms,1ms", "min is above max"),
            ("lognormal:5ms,-1", "sigma must be a number from 0 to 10, not `-1`"),
            ("bimodal:1ms,2ms,101%", "from 0% to 100%"),
            ("5ms,min=2ms,max=1ms", "min is above max"),
            ("pareto:1ms,1", "has no mean; add a `max`"),
            ("gamma:1ms,0", "a number from 0.1 to 100, not `0`"),
            ("empirical:nowhere.csv,ms", "nowhere.csv: file not found"),
            ("5ms,unit=ms", "expected a duration"),
            ("5ms,most=2ms", "each with an optional ,min=1ms"),
        ] {
            let message = Distribution::parse_compact(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
