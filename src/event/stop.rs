//! Why a run stops before its load is over.
//!
//! `run::dispatch` decides it, sinks report it, a record stores it.
//! Invariant: the first cause is kept, except that an external interrupt may replace it.

use std::fmt;

use crate::exit::ExitStatus;
use crate::stats::delta::Halt;

/// An external request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT: Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
    /// `stop` by live control.
    Control,
    /// SIGHUP: the terminal or its connection is gone.
    Hup,
    /// SIGQUIT: stop at once.
    Quit,
}

impl Interrupt {
    /// Returns the exit status of the program.
    pub const fn exit_status(self) -> ExitStatus {
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

/// Why a run stopped before its load was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// An external request.
    Signal(Interrupt),
    /// A check with `on_fail: abort`, or a feed with `at_end: stop run`.
    Flow(Halt),
    /// A threshold with `abort`; its judgement has the details.
    Rule(String),
    /// A persistently high error rate, as text.
    ErrorRate(String),
    /// All workers were lost, or one of them whose loss ends the run; as text.
    Workers(String),
    /// A shift was rolled back, as text; its report has the details.
    Shift(String),
    /// Unknown: the record has no end.
    Lost,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(interrupt) => interrupt.fmt(f),
            Self::Flow(halt) => f.write_str(&halt.reason()),
            Self::Rule(rule) => write!(f, "threshold `{rule}` failed"),
            Self::ErrorRate(why) | Self::Workers(why) | Self::Shift(why) => f.write_str(why),
            Self::Lost => {
                f.write_str("its record has no end: the run was killed, or is still running")
            }
        }
    }
}
