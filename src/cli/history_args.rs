//! Options of a run for the history, and where it is.
//!
//! `args` and `history` have them, `history_writer` obeys them.
//! Invariant: a parsed place is valid; no message has the password of a URL.

use clap::Args;

use super::output::print_remark;
use crate::history;
use crate::store::StorePlace;

/// The variable with the place of the history.
const VARIABLE: &str = "MANADA_HISTORY";

/// Maximum length of a tag's name or value, bytes.
const MAX_TAG: usize = 256;

/// Options of a run for the history.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Where the run history is: a file, or postgres://…
    ///
    /// Default: the variable MANADA_HISTORY (`none` for no history), else manada/history.db in your
    /// data folder. `hit` writes to a history only with this option. Put a URL with a password
    /// into the variable: other users of the machine see command lines.
    #[arg(long, value_name = "PATH|URL", value_parser = place, hide_short_help = true,
        help_heading = "Results")]
    pub(super) history: Option<StorePlace>,
    /// Do not write the run to the history
    #[arg(long, conflicts_with = "history", hide_short_help = true, help_heading = "Results")]
    pub(super) no_history: bool,
    /// Tag of the run in the history, e.g. release=1.4; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag, hide_short_help = true,
        help_heading = "Results")]
    pub(super) tag: Vec<(String, String)>,
}

impl HistoryArgs {
    /// Whether the run is written to a history; `is_default`: without an option, too.
    pub(super) fn is_wanted(&self, is_default: bool) -> bool {
        !self.no_history && (self.history.is_some() || is_default)
    }
}

/// Returns the place of the history: of the option, the variable, or by default; `None`: none is
/// wanted.
///
/// # Errors
/// If the variable has no such place, or there is no data folder.
pub(super) fn find_place(option: Option<&StorePlace>) -> Result<Option<StorePlace>, String> {
    if let Some(place) = option {
        return Ok(Some(place.clone()));
    }
    match std::env::var_os(VARIABLE).map(std::ffi::OsString::into_string) {
        Some(Ok(text)) if text == "none" => return Ok(None),
        Some(Ok(text)) if !text.is_empty() => {
            let place = StorePlace::parse(&text).map_err(|error| format!("{VARIABLE}: {error}"))?;
            return Ok(Some(place));
        }
        Some(Err(_)) => return Err(format!("{VARIABLE} is not valid UTF-8")),
        _ => {}
    }
    history::default_place().map(Some).ok_or_else(|| {
        "neither XDG_DATA_HOME nor HOME is set; name a file with --history, or use --no-history"
            .to_owned()
    })
}

/// Parses `--history`.
pub(super) fn place(text: &str) -> Result<StorePlace, String> {
    StorePlace::parse(text).map_err(|error| error.to_string())
}

/// Parses `--tag`.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && text.len() <= MAX_TAG => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("expected NAME=VALUE of at most {MAX_TAG} bytes, such as release=1.4")),
    }
}

/// Says that there is no history, for commands that read it.
pub(super) fn print_none() {
    print_remark(&format_args!("there is no history: {VARIABLE} is `none`"));
}
