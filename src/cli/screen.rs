//! The screen of a run, and the keys that control the run.
//!
//! `execute` chooses it, adds it to the sinks and opens it when the load starts.
//! Invariant: a screen that needs a terminal is only shown on one, in the foreground.

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;

use super::args::{CommonArgs, UiKind};
use super::output::{print_error, print_remark};
use crate::control::{ControlHandles, keys};
use crate::event::control_request::ControlClient;
use crate::run::ControlGuards;
use crate::sinks::progress::{ProgressBars, ProgressLines};
#[cfg(feature = "tui")]
use crate::sinks::tui::{Tui, TuiHandle, terminal};
use crate::sinks::{SinkSet, WhenFull};

/// A screen that was added to the sinks.
pub(super) struct ScreenHandle {
    ui: UiKind,
    #[cfg(feature = "tui")]
    dashboard: Option<TuiHandle>,
}

impl ScreenHandle {
    /// Adds the requested screen, or the one that suits the terminal.
    ///
    /// # Errors
    /// If no thread can be started, or the requested screen needs a terminal.
    pub(super) fn add(
        sinks: &mut SinkSet,
        common: &CommonArgs,
        client: Option<&ControlClient>,
    ) -> io::Result<Self> {
        let ui = choose(common);
        if common.calls.log.takes_stderr() && !matches!(common.ui, UiKind::Auto | UiKind::None) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, SHARED_STDERR));
        }
        #[cfg(feature = "tui")]
        if ui == UiKind::Tui && !terminal::there_is() {
            return Err(io::Error::other(NO_TERMINAL));
        }
        match ui {
            UiKind::Bar => sinks.add("bar", WhenFull::DropNewest, ProgressBars::new())?,
            UiKind::Plain => sinks.add(
                "plain",
                WhenFull::DropNewest,
                ProgressLines::new(common.output.verbose),
            )?,
            #[cfg(feature = "tui")]
            UiKind::Tui => {
                let tui = Tui::new(client.cloned(), common.stay);
                let handle = tui.curtain();
                sinks.add("tui", WhenFull::DropNewest, tui)?;
                return Ok(Self { ui, dashboard: Some(handle) });
            }
            UiKind::None | UiKind::Auto => {}
        }
        #[cfg(not(feature = "tui"))]
        let _ = client;
        Ok(Self {
            ui,
            #[cfg(feature = "tui")]
            dashboard: None,
        })
    }

    /// Shows the screen and enables its keys. The load starts now, and signals are handled.
    pub(super) fn open(
        &self,
        handles: ControlHandles,
        common: &CommonArgs,
        guards: &mut ControlGuards,
    ) {
        #[cfg(feature = "tui")]
        if let Some(handle) = &self.dashboard {
            return self.raise(handle, guards);
        }
        if self.ui == UiKind::Bar && !common.no_control && keys::are_available() {
            match keys::listen(handles) {
                Ok(keys) => guards.push(Box::new(keys)),
                Err(error) => self.print_error(&format!("hotkeys are not available: {error}")),
            }
        }
    }

    /// Waits until a key closes a dashboard that stays after the run (`--stay`), or `hurry` is set.
    #[cfg_attr(not(feature = "tui"), expect(clippy::unused_self, reason = "the dashboard stays"))]
    pub(super) fn wait_until_left(&self, hurry: &AtomicBool) {
        #[cfg(feature = "tui")]
        if let Some(handle) = &self.dashboard {
            handle.wait_until_left(hurry);
        }
        #[cfg(not(feature = "tui"))]
        let _ = hurry;
    }

    #[cfg(feature = "tui")]
    fn raise(&self, handle: &TuiHandle, guards: &mut ControlGuards) {
        let (down, up) = (handle.clone(), handle.clone());
        guards.push(Box::new(keys::watch_suspend(move || down.suspend(), move || up.resume())));
        if let Err(error) = handle.open() {
            self.print_error(&format!("cannot open the dashboard: {error}"));
        }
    }

    /// Prints an error where it does not disturb the screen.
    #[cfg_attr(
        not(feature = "tui"),
        expect(clippy::unused_self, reason = "nothing but the dashboard could take harm")
    )]
    pub(super) fn print_error(&self, what: &str) {
        #[cfg(feature = "tui")]
        if let Some(handle) = &self.dashboard {
            return handle.tell(what);
        }
        print_error(&what);
    }

    /// Prints a remark where it does not disturb the screen.
    #[cfg_attr(
        not(feature = "tui"),
        expect(clippy::unused_self, reason = "nothing but the dashboard could take harm")
    )]
    pub(super) fn print_remark(&self, what: &str) {
        #[cfg(feature = "tui")]
        if let Some(handle) = &self.dashboard {
            return handle.tell(what);
        }
        print_remark(&what);
    }
}

/// Why there is no dashboard, and what to do.
#[cfg(feature = "tui")]
const NO_TERMINAL: &str = "`--ui tui` needs a terminal on standard input and standard error, in \
                           the foreground; otherwise use `--ui plain`";

/// Why there is no screen beside a log on standard error, and what to do.
const SHARED_STDERR: &str = "`--log` without a file and `--ui` both write to standard error; write \
                             the log to a file, such as `--log json:run.log`, or leave `--ui` out";

/// Chooses the screen.
fn choose(common: &CommonArgs) -> UiKind {
    match common.ui {
        _ if common.output.quiet > 0 || common.calls.log.takes_stderr() => UiKind::None,
        UiKind::Auto if common.output.verbose => UiKind::Plain,
        #[cfg(feature = "tui")]
        UiKind::Auto if terminal::there_is() && is_able() => UiKind::Tui,
        UiKind::Auto if io::stderr().is_terminal() => UiKind::Bar,
        UiKind::Auto => UiKind::Plain,
        requested => requested,
    }
}

/// Whether the terminal can place the cursor anywhere.
#[cfg(feature = "tui")]
fn is_able() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}
