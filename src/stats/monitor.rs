//! Readings taken beside the run, once a second: the generator's own health and figures of the
//! target.
//!
//! `run` reads them, a Timeline stores them, screens and reports draw them on its axis.
//! Invariant: a missing reading is `None`, never zero.

/// A source of one reading per second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Its name: `cpu`, `memory`, `hiccup max`, `pid 4711 cpu`, a query.
    pub name: String,
    /// Its unit.
    pub unit: MonitorUnit,
    /// What it measures: the generator or the target.
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

/// What a monitor measures.
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
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        ["percent", "bytes", "count", "us", "plain"][self as usize]
    }
}

impl MonitorOwner {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        ["generator", "target"][self as usize]
    }
}
