//! Readings taken beside the run, once a second: the generator's own health and figures of the
//! target.
//!
//! `run` reads them, a Timeline stores them, screens and reports draw them on its axis.
//! Invariant: a missing reading is `None`, never zero.

/// A source of one reading per second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Name of the monitor: `cpu`, `memory`, `hiccup max`, `pid 4711 cpu`, a query.
    pub name: String,
    /// Unit of the monitor.
    pub unit: MonitorUnit,
    /// Whether the generator or the target is measured.
    pub owner: MonitorOwner,
}

/// The unit of a monitor's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorUnit {
    /// 100 is the whole; of CPU, one core.
    Percent,
    /// Bytes.
    Bytes,
    /// An integer.
    Count,
    /// Microseconds.
    Micros,
    /// Unknown.
    Plain,
}

/// The owner of the measured metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorOwner {
    /// This process, and the machine it runs on.
    Generator,
    /// The target, by `--monitor`.
    Target,
}

/// Keeps the higher of two readings, if there is one.
pub fn keep_most(mine: &mut Option<f64>, other: Option<f64>) {
    *mine = match (*mine, other) {
        (Some(mine), Some(other)) => Some(mine.max(other)),
        (mine, other) => mine.or(other),
    };
}

impl MonitorUnit {
    /// Name of the unit in reports.
    pub const fn name(self) -> &'static str {
        ["percent", "bytes", "count", "us", "plain"][self as usize]
    }
}

impl MonitorOwner {
    /// Name of the owner in reports.
    pub const fn name(self) -> &'static str {
        ["generator", "target"][self as usize]
    }
}
