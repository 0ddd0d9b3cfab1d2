//! What is shown while a run goes on, and how whoever looks at it may change the run.
//!
//! `launch` chooses it, seats it and opens it beside the run.
//! Invariant: a screen that needs a terminal is only shown on one, in the foreground.

use std::io::{self, IsTerminal};

use super::args::{CommonArgs, UiKind};
use super::output::{complain, remark};
use crate::control::{ControlHandles, keys};
use crate::event::control::ControlClient;
use crate::run::ControlGuards;
use crate::sinks::progress::{ProgressBars, ProgressLines};
#[cfg(feature = "tui")]
use crate::sinks::tui::{Tui, TuiHandle, terminal};
use crate::sinks::{SinkSet, WhenFull};

/// A screen that is seated.
pub(super) struct ScreenHandle {
    ui: UiKind,
    #[cfg(feature = "tui")]
    dashboard: Option<TuiHandle>,
}

impl ScreenHandle {
    /// Seats what was asked for, or what suits the place.
    ///
    /// # Errors
    /// When the system gives no thread, or what was asked for needs a terminal.
    pub(super) fn add(
        audience: &mut SinkSet,
        common: &CommonArgs,
        remote: Option<&ControlClient>,
    ) -> io::Result<Self> {
        let ui = choose(common);
        #[cfg(feature = "tui")]
        if ui == UiKind::Tui && !terminal::there_is() {
            return Err(io::Error::other(NO_TERMINAL));
        }
        match ui {
            UiKind::Bar => audience.add("bar", WhenFull::DropNewest, ProgressBars::new())?,
            UiKind::Plain => audience.add(
                "plain",
                WhenFull::DropNewest,
                ProgressLines::new(common.output.verbose),
            )?,
            #[cfg(feature = "tui")]
            UiKind::Tui => {
                let tui = Tui::new(remote.cloned());
                let curtain = tui.curtain();
                audience.add("tui", WhenFull::DropNewest, tui)?;
                return Ok(Self { ui, dashboard: Some(curtain) });
            }
            UiKind::None | UiKind::Auto => {}
        }
        #[cfg(not(feature = "tui"))]
        let _ = remote;
        Ok(Self {
            ui,
            #[cfg(feature = "tui")]
            dashboard: None,
        })
    }

    /// The load begins, and signals are heard: whoever looks at it may change it by keys.
    pub(super) fn open(
        &self,
        levers: ControlHandles,
        common: &CommonArgs,
        kept: &mut ControlGuards,
    ) {
        #[cfg(feature = "tui")]
        if let Some(curtain) = &self.dashboard {
            return self.raise(curtain, kept);
        }
        if self.ui == UiKind::Bar && !common.no_control && keys::there_are() {
            match keys::listen(levers) {
                Ok(keys) => kept.push(Box::new(keys)),
                Err(error) => self.complain(&format!("no keys: {error}")),
            }
        }
    }

    #[cfg(feature = "tui")]
    fn raise(&self, curtain: &TuiHandle, kept: &mut ControlGuards) {
        let (down, up) = (curtain.clone(), curtain.clone());
        kept.push(Box::new(keys::mind(move || down.suspend(), move || up.resume())));
        if let Err(error) = curtain.open() {
            self.complain(&format!("no dashboard: {error}"));
        }
    }

    /// Something that a person should know, where it does no harm to what is shown.
    #[cfg_attr(
        not(feature = "tui"),
        expect(clippy::unused_self, reason = "nothing but the dashboard could take harm")
    )]
    pub(super) fn complain(&self, what: &str) {
        #[cfg(feature = "tui")]
        if let Some(curtain) = &self.dashboard {
            return curtain.tell(what);
        }
        complain(&what);
    }

    /// The same by the way.
    #[cfg_attr(
        not(feature = "tui"),
        expect(clippy::unused_self, reason = "nothing but the dashboard could take harm")
    )]
    pub(super) fn say(&self, what: &str) {
        #[cfg(feature = "tui")]
        if let Some(curtain) = &self.dashboard {
            return curtain.tell(what);
        }
        remark(&what);
    }
}

/// Why there is no dashboard, and what to do.
#[cfg(feature = "tui")]
const NO_TERMINAL: &str = "`--ui tui` needs a terminal: standard input and standard error have to \
                           be one, in the foreground; elsewhere say `--ui plain`";

/// What is shown.
fn choose(common: &CommonArgs) -> UiKind {
    match common.ui {
        _ if common.output.quiet > 0 => UiKind::None,
        UiKind::Auto if common.output.verbose => UiKind::Plain,
        #[cfg(feature = "tui")]
        UiKind::Auto if terminal::there_is() && is_able() => UiKind::Tui,
        UiKind::Auto if io::stderr().is_terminal() => UiKind::Bar,
        UiKind::Auto => UiKind::Plain,
        asked => asked,
    }
}

/// Whether the terminal can be drawn on at any place.
#[cfg(feature = "tui")]
fn is_able() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}
