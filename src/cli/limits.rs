//! The user's limits: their own safety file, and the hosts that they authorise.
//!
//! `run`, `hit` and `check` share it; `scenario` reads the file.
//! Invariant: a file named explicitly has to exist; the default file may be missing.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::files::Files;

/// The safety options.
#[derive(Debug, clap::Args)]
pub(super) struct UserLimits {
    /// Public host that you may load, e.g. 203.0.113.7; repeatable
    ///
    /// A name may contain `*`, e.g. '*.shop.example'. Without it the load on a public host is
    /// limited to a trial. Local and private addresses need no authorisation.
    #[arg(long, value_name = "HOST", hide_short_help = true, help_heading = "Safety")]
    pub(super) authorised: Vec<String>,
}

/// Returns the user's safety file: `$MANADA_SAFETY`, else `manada/safety.yaml` in the
/// configuration folder, if it exists; of a bundle, that of the coordinator.
pub(super) fn safety_file(files: &Files) -> Option<PathBuf> {
    files.limits(find)
}

fn find() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(named) = set("MANADA_SAFETY") {
        return Some(named.into());
    }
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let file = folder.or_else(home)?.join(OsStr::new("manada/safety.yaml"));
    file.exists().then_some(file)
}
