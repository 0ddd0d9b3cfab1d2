//! What can be read off beside the run, once a second: the generator's own health, the target's
//! figures.
//!
//! `run::dials` reads them, a Timeline keeps them, screens and reports draw them on its axis.
//! Invariant: a reading that is not there is none, never zero.

/// Something that has a reading each second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// What it is called: `cpu`, `memory`, `hiccup max`, `pid 4711 cpu`, a query.
    pub name: String,
    /// Its unit.
    pub unit: MonitorUnit,
    /// Whose it is.
    pub owner: MonitorOwner,
}

/// The unit of a dial's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorUnit {
    /// 100 is all of it; of CPU, one core.
    Percent,
    /// Bytes.
    Bytes,
    /// A whole number.
    Count,
    /// Microseconds.
    Micros,
    /// Whatever it is.
    Plain,
}

/// Whose figures a dial shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorOwner {
    /// This process, and the machine it is on.
    Generator,
    /// What is under load, by `--monitor`.
    Target,
}

/// Of two readings the higher stays, where there is one.
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
