//! What ends a run before its load is over.
//!
//! `run::dispatch` says it, the audience hears of it, a record keeps it.
//! Invariant: the first reason stays the reason; only somebody outside may still come before it.

use std::fmt;

use crate::exit::ExitStatus;
use crate::stats::delta::Halt;

/// What came from outside to end the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT: Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
    /// `stop`, by live control.
    Control,
    /// SIGHUP: the terminal or the connection to it is gone.
    Hup,
    /// SIGQUIT: at once.
    Quit,
}

impl Interrupt {
    /// How the program ends for it.
    pub const fn ending(self) -> ExitStatus {
        match self {
            Self::Int | Self::Control => ExitStatus::Interrupted,
            Self::Term => ExitStatus::Terminated,
            Self::Hup => ExitStatus::HungUp,
            Self::Quit => ExitStatus::Quit,
        }
    }
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "SIGINT",
            Self::Term => "SIGTERM",
            Self::Control => "live control",
            Self::Hup => "SIGHUP",
            Self::Quit => "SIGQUIT",
        })
    }
}

/// What ended a run before its load was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// Somebody outside.
    Signal(Interrupt),
    /// A check with `on_fail: abort`, or a feed with `at_end: stop run`.
    Flow(Halt),
    /// A rule with `abort`; the judgement says the rest.
    Rule(String),
    /// Errors without end.
    Storm(String),
    /// Nobody knows: its record has no end.
    Lost,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(interrupt) => interrupt.fmt(f),
            Self::Flow(halt) => f.write_str(&halt.reason()),
            Self::Rule(rule) => write!(f, "`{rule}` did not hold"),
            Self::Storm(why) => f.write_str(why),
            Self::Lost => f.write_str("its record has no end: it was killed, or goes on"),
        }
    }
}
