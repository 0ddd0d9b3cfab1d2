//! A metric over runs: which figure of each run it is, and how it changed.
//!
//! `read` collects the rows, `trend_text` and `trend_page` show them.
//! Invariant: values that are only bounds are marked, and are not compared.

use super::figures::{observed, unit};
use super::stored::StoredRun;
use crate::verdict::Threshold;
use crate::verdict::scope::Selector;
use crate::verdict::threshold::Metric;

/// A metric with its scope, as in a threshold.
#[derive(Clone, Debug)]
pub struct TrendMetric {
    /// As it was written.
    pub written: String,
    name: String,
    metric: Metric,
    selectors: Vec<Selector>,
}

/// A run with its value.
#[derive(Clone, Debug)]
pub struct TrendRow {
    /// The run.
    pub run: StoredRun,
    /// The value, in the metric's unit.
    pub value: f64,
    /// Whether it is only a lower bound.
    pub at_least: bool,
}

impl TrendMetric {
    /// Parses a metric such as `response.p95` or `step("pay").errors`.
    ///
    /// # Errors
    /// If there is no such metric, with what was most likely meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rule) = observed(text) else {
            let Err(error) = Threshold::parse(&format!("{text} >= 0")) else {
                return Err("expected a metric, without a limit".to_owned());
            };
            let help = error.help.map_or(String::new(), |help| format!("; {help}"));
            return Err(format!("{}: expected {}{help}", error.message, error.expected));
        };
        Ok(Self {
            written: text.trim().to_owned(),
            name: rule.metric.to_string(),
            metric: rule.metric,
            selectors: rule.scope.selectors,
        })
    }

    /// The metric's name without its scope.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The unit of its values.
    pub(super) fn unit(&self) -> &'static str {
        unit(self.metric)
    }

    /// Chooses the scope that is meant: the widest one that all selectors match; `None`: there is
    /// none.
    ///
    /// # Errors
    /// If several match alike.
    pub(super) fn choose(&self, scopes: &[&str]) -> Result<Option<usize>, String> {
        let selectors = |scope: &str| match scope {
            "" => Some(Vec::new()),
            scope => Some(observed(&format!("{scope}.calls"))?.scope.selectors),
        };
        let fits = |(at, scope): (usize, &&str)| {
            let known = selectors(scope)?;
            let all = self.selectors.iter().all(|one| known.contains(one));
            all.then_some((known.len(), at))
        };
        let mut fitting: Vec<(usize, usize)> = scopes.iter().enumerate().filter_map(fits).collect();
        fitting.sort_unstable();
        match fitting.as_slice() {
            [] => Ok(None),
            [(width, _), (other, _), ..] if width == other => {
                let alike = fitting.iter().filter(|(other, _)| other == width);
                let names: Vec<&str> = alike.take(5).map(|(_, at)| scopes[*at]).collect();
                Err(format!(
                    "`{}` selects several series; write more selectors, such as one of: {}",
                    self.written,
                    names.join(", ")
                ))
            }
            [(_, at), ..] => Ok(Some(*at)),
        }
    }
}

/// Returns how much a row changed against the one before, as a share; `None` for the first row, and
/// where one of the values is a bound, or zero.
pub(super) fn changes(rows: &[TrendRow]) -> Vec<Option<f64>> {
    let change = |at: usize| {
        let (before, now) = (rows.get(at.checked_sub(1)?)?, &rows[at]);
        let is_known = !before.at_least && !now.at_least && before.value > 0.0;
        is_known.then(|| now.value / before.value - 1.0)
    };
    (0..rows.len()).map(change).collect()
}

/// Whether the commit of each row differs from that of the one before.
pub(super) fn is_new_commit(rows: &[TrendRow], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| {
        let (before, now) = (&rows[before].run, &rows[at].run);
        now.commit.is_some() && before.commit != now.commit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_scope_that_fits_is_chosen() {
        let scopes = [
            "",
            "workload(\"a\")",
            "workload(\"a\").archetype(\"x\").step(\"pay\")",
            "workload(\"b\").archetype(\"x\").step(\"pay\")",
            "workload(\"b\").archetype(\"x\").step(\"home\")",
        ];
        let choose = |text: &str| TrendMetric::parse(text).unwrap().choose(&scopes);
        assert_eq!(choose("response.p95"), Ok(Some(0)));
        assert_eq!(choose("workload(\"a\").response.p95"), Ok(Some(1)));
        assert_eq!(choose("step(\"home\").errors"), Ok(Some(4)));
        assert_eq!(choose("workload(\"b\").step(\"pay\").errors"), Ok(Some(3)));
        assert_eq!(choose("step(\"none\").errors"), Ok(None));
        let several = choose("step(\"pay\").errors").unwrap_err();
        assert!(several.contains("workload(\"b\").archetype(\"x\").step(\"pay\")"), "{several}");
    }

    #[test]
    fn unknown_metrics_are_named_with_what_was_meant() {
        let error = TrendMetric::parse("respons.p95").unwrap_err();
        assert!(error.contains("did you mean `response`?"), "{error}");
        let error = TrendMetric::parse("response.p95 < 3ms").unwrap_err();
        assert!(error.contains("expected"), "{error}");
        assert_eq!(TrendMetric::parse("http_req_duration.p(95)").unwrap().name(), "response.p95");
    }
}
