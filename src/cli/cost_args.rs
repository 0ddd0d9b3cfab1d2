//! `--cost PRICES`: the prices by which a finished run tells what it cost.
//!
//! `run`, `hit` and `report` share it; `plan` and `check` read the same file.
//! Invariant: a wrong file ends a command before anything is sent or written.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::{finish, print_remark};
use crate::exit::ExitStatus;
use crate::plan::prices::Prices;
use crate::scenario::prices::load_prices;

/// The option of commands that show the cost of a finished run.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct CostArgs {
    /// Show what the run cost, by the prices of a file
    ///
    /// `manada plan --cost` tells it before the run, and what would be cheaper.
    #[arg(long, value_name = "PRICES", hide_short_help = true, help_heading = "Results")]
    cost: Option<PathBuf>,
}

impl CostArgs {
    /// The prices, if a file of them was named.
    ///
    /// # Errors
    /// The status of a wrong file; its mistakes are printed.
    pub(super) fn prices(&self) -> Result<Option<Arc<Prices>>, ExitStatus> {
        self.cost.as_deref().map(load).transpose().map(|prices| prices.map(Arc::new))
    }
}

/// Loads a file of prices.
///
/// # Errors
/// The status of a wrong file; its mistakes are printed.
pub(super) fn load(path: &Path) -> Result<Prices, ExitStatus> {
    load_prices(path).map_err(|mistakes| {
        print_remark(&mistakes.render(true));
        ExitStatus::Scenario
    })
}

/// Reports all mistakes of a file of prices.
pub(super) fn check(path: &Path) -> ExitStatus {
    match load(path) {
        Ok(prices) => {
            let text = format!("{}: no mistakes; prices in {}\n", path.display(), prices.currency);
            finish(anstream::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
        }
        Err(status) => status,
    }
}
