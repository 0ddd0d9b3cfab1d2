//! `health.csv`: gauges at the end of each second, and the monitors.
//!
//! `files` passes it each second's GaugeSample.
//! Invariant: a cell is empty where there is no reading.

use std::io::{self, Write};

use crate::event::RunInfo;
use crate::report::csv::harmless;
use crate::stats::{GaugeSample, Monitor, MonitorUnit};

/// The name of the file.
pub(super) const FILE: &str = "health.csv";

/// Writes the file.
pub(super) struct HealthFile<W: Write> {
    csv: csv::Writer<W>,
}

impl<W: Write> HealthFile<W> {
    /// Writes the head of the file.
    pub(super) fn new(out: W, info: &RunInfo) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        let fixed = ["second", "users", "calls_in_flight", "connections"].map(str::to_owned);
        let asked = info.plan.workloads.iter().map(|load| {
            let unit = if load.open { "per_s" } else { "users" };
            harmless(&format!("{} asked_{unit}", load.name))
        });
        let monitors = info.monitors.iter().map(column);
        csv.write_record(fixed.into_iter().chain(asked).chain(monitors))?;
        Ok(Self { csv })
    }

    /// Writes one second and flushes, so that a killed run leaves whole rows.
    pub(super) fn write(&mut self, moment: &GaugeSample) -> io::Result<()> {
        let fixed = [u64::from(moment.second), moment.users, moment.running, moment.connections];
        let asked = moment.target.iter().map(|level| format!("{level:.3}"));
        let monitors = moment.monitors.iter().map(|reading| reading.map_or(String::new(), shown));
        let row = fixed.map(|count| count.to_string()).into_iter().chain(asked).chain(monitors);
        self.csv.write_record(row)?;
        self.csv.flush()
    }
}

/// Returns the heading of a monitor's column.
fn column(monitor: &Monitor) -> String {
    let unit = if monitor.unit == MonitorUnit::Plain { "" } else { monitor.unit.name() };
    harmless(format!("{} {} {unit}", monitor.owner.name(), monitor.name).trim())
}

fn shown(reading: f64) -> String {
    if reading.fract() == 0.0 { format!("{reading:.0}") } else { format!("{reading:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::MonitorOwner;

    #[test]
    fn columns_have_their_owner_and_unit_and_no_formula() {
        let monitor =
            |name: &str, unit, whose| column(&Monitor { name: name.into(), unit, owner: whose });
        assert_eq!(
            monitor("cpu", MonitorUnit::Percent, MonitorOwner::Generator),
            "generator cpu percent"
        );
        assert_eq!(monitor("=1+1", MonitorUnit::Plain, MonitorOwner::Target), "target =1+1");
        assert_eq!((shown(3.0), shown(0.25)), ("3".to_owned(), "0.250".to_owned()));
    }
}
