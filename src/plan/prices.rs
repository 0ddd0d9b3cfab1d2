//! Prices of what a load generator uses, and what an amount of it costs.
//!
//! `scenario::prices` reads them from a file; `forecast` and reports apply them.
//! Invariant: prices are finite and not negative; a GB has 10⁹ bytes.

use std::time::Duration;

/// Bytes of a GB.
const GB: f64 = 1e9;

/// Seconds of an hour.
const HOUR: f64 = 3_600.0;

/// Prices, in one currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// The currency, as it is shown after an amount.
    pub currency: String,
    /// An hour of one core.
    pub cpu_core_hour: f64,
    /// A GB of memory for an hour.
    pub memory_gb_hour: f64,
    /// A GB that is sent.
    pub sent_gb: f64,
    /// A GB that is received.
    pub received_gb: f64,
    /// A GB of storage for an hour.
    pub storage_gb_hour: f64,
    /// How long the files of a run are kept.
    pub keep: Duration,
}

/// What a run used, or is expected to use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceUse {
    /// The length of the run, seconds.
    pub length_s: f64,
    /// CPU time, seconds.
    pub cpu_s: f64,
    /// Mean memory, bytes.
    pub memory: f64,
    /// Bytes that are sent.
    pub sent: f64,
    /// Bytes that are received.
    pub received: f64,
    /// Bytes that are written to files.
    pub written: f64,
}

/// What it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// CPU time.
    pub cpu: f64,
    /// Memory.
    pub memory: f64,
    /// Network, in both directions.
    pub network: f64,
    /// Storage, as long as files are kept.
    pub storage: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            currency: "USD".to_owned(),
            cpu_core_hour: 0.0,
            memory_gb_hour: 0.0,
            sent_gb: 0.0,
            received_gb: 0.0,
            storage_gb_hour: 0.0,
            keep: Duration::from_hours(30 * 24),
        }
    }
}

impl ResourceUse {
    /// Core hours.
    pub fn core_hours(&self) -> f64 {
        self.cpu_s / HOUR
    }

    /// GB hours of memory.
    pub fn memory_gb_hours(&self) -> f64 {
        self.memory / GB * self.length_s / HOUR
    }

    /// GB that are sent.
    pub fn sent_gb(&self) -> f64 {
        self.sent / GB
    }

    /// GB that are received.
    pub fn received_gb(&self) -> f64 {
        self.received / GB
    }

    /// GB hours of storage, as long as `prices` says.
    pub fn storage_gb_hours(&self, prices: &Prices) -> f64 {
        self.written / GB * prices.keep.as_secs_f64() / HOUR
    }

    /// The part of an hour of the run.
    pub fn per_hour(&self, amount: f64) -> Option<f64> {
        (self.length_s > 0.0).then(|| amount * HOUR / self.length_s)
    }
}

impl Prices {
    /// What a use costs.
    pub fn cost(&self, used: &ResourceUse) -> Cost {
        Cost {
            cpu: used.core_hours() * self.cpu_core_hour,
            memory: used.memory_gb_hours() * self.memory_gb_hour,
            network: used.sent_gb() * self.sent_gb + used.received_gb() * self.received_gb,
            storage: used.storage_gb_hours(self) * self.storage_gb_hour,
        }
    }

    /// An amount of money as text, with four significant digits below one.
    pub fn show(&self, amount: f64) -> String {
        let digits = match amount.abs() {
            0.0 => 2,
            small if small < 1.0 => (3 - small.log10().floor() as i64).clamp(2, 9) as usize,
            _ => 2,
        };
        format!("{amount:.digits$} {}", self.currency)
    }
}

impl Cost {
    /// All together.
    pub fn total(&self) -> f64 {
        self.cpu + self.memory + self.network + self.storage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_costs_what_a_hand_computes() {
        let prices = Prices {
            cpu_core_hour: 0.04,
            memory_gb_hour: 0.005,
            sent_gb: 0.09,
            received_gb: 0.01,
            storage_gb_hour: 0.0001,
            keep: Duration::from_hours(48),
            ..Prices::default()
        };
        // Half an hour with one core at 50 %, 2 GB, 10 GB sent, 100 GB received, 5 GB of files.
        let used = ResourceUse {
            length_s: 1_800.0,
            cpu_s: 900.0,
            memory: 2e9,
            sent: 10e9,
            received: 100e9,
            written: 5e9,
        };
        let cost = prices.cost(&used);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(cost.cpu, 0.25 * 0.04) && near(cost.memory, 1.0 * 0.005), "{cost:?}");
        assert!(near(cost.network, 0.9 + 1.0) && near(cost.storage, 240.0 * 0.0001), "{cost:?}");
        assert!(near(cost.total(), 0.01 + 0.005 + 1.9 + 0.024));
        assert_eq!(used.per_hour(cost.cpu), Some(0.02));
        assert_eq!(ResourceUse::default().per_hour(1.0), None);
    }

    #[test]
    fn small_amounts_keep_their_digits() {
        let prices = Prices { currency: "EUR".into(), ..Prices::default() };
        let shown = [0.0, 12.345, 0.5, 0.012_345, 0.000_012_34].map(|one| prices.show(one));
        assert_eq!(shown, ["0.00 EUR", "12.35 EUR", "0.5000 EUR", "0.01235 EUR", "0.00001234 EUR"]);
    }
}
