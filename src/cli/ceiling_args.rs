//! `--max-memory`, `--max-cores`, `--max-disk`, `--max-connections`: what a run may use at most.
//!
//! `run`, `hit` and `plan` share them; `scenario` adds them to those of the safety files.
//! Invariant: each option is the origin of its limit in messages.

use super::args;
use crate::plan::ceilings::{Ceiling, Ceilings};
use crate::units::parse_size;

/// What the run may use of this machine at most.
#[derive(Clone, Debug, Default, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the names of the options")]
pub(super) struct CeilingArgs {
    /// Limit of the memory of the run, e.g. 2GiB
    ///
    /// The stricter of this, `max_memory` of the safety files and `memory:` of the client holds:
    /// above 80 % of it idle connections and buffers are released, above 90 % no new users are
    /// admitted.
    #[arg(long, value_name = "SIZE", value_parser = size, hide_short_help = true,
        help_heading = "Safety")]
    max_memory: Option<u64>,
    /// Limit of the cores that generate load, e.g. 2
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = "Safety",
        value_parser = clap::value_parser!(u64).range(1..=4096))]
    max_cores: Option<u64>,
    /// Limit of what all outputs write to files, e.g. 500MB
    ///
    /// As it comes near, samples, log, rows of each second and record end, in this order; the
    /// report goes on, and says from when they are missing.
    #[arg(long, value_name = "SIZE", value_parser = size, hide_short_help = true,
        help_heading = "Safety")]
    max_disk: Option<u64>,
    /// Limit of the connections to targets that are open at once, e.g. 500
    ///
    /// If users could open more, they share these, and calls wait for one.
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = "Safety",
        value_parser = args::count)]
    max_connections: Option<u64>,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| format!("expected {error}"))
}

impl CeilingArgs {
    /// The limits, each with its option as origin.
    pub(super) fn ceilings(&self) -> Ceilings {
        let of = |most: Option<u64>, flag| most.map(|most| Ceiling::new(most, flag));
        Ceilings {
            memory: of(self.max_memory, "--max-memory"),
            cores: of(self.max_cores, "--max-cores"),
            disk: of(self.max_disk, "--max-disk"),
            connections: of(self.max_connections, "--max-connections"),
        }
    }
}
