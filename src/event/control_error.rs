//! Why a command of live control is not carried out.
//!
//! `run` and the control socket make it, clients show it.
//! Invariant: its text says what to do instead, as far as something can be done.

use std::fmt;

use super::control::{CommandError, MAX_LINE};
use crate::plan::safety::{TRIAL_RATE, TRIAL_USERS};
use crate::units::Rate;

/// Maximum names that an error lists.
const SHOWN: usize = 20;

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// The text is not a command.
    Command(CommandError),
    /// The line of a command is too long.
    LongLine,
    /// The line of a command is not UTF-8.
    NotUtf8,
    /// The run is over.
    Over,
    /// The run is ending: nothing can be changed any more.
    Ending,
    /// A shard has not taken earlier commands.
    Busy,
    /// There is nothing of this name.
    Unknown {
        /// `workload`, `breaker` or `step`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
        /// A similar one of them.
        suggestion: Option<String>,
    },
    /// No workload is of the model that the command is for.
    NoSuchModel {
        /// The model: `open` or `closed`.
        model: &'static str,
    },
    /// The workload is of the other model than the command is for.
    OtherModel {
        /// The name of the workload.
        name: String,
        /// The model that the command is for.
        model: &'static str,
    },
    /// The load of a workload is over.
    LoadOver {
        /// The name of the workload.
        name: String,
    },
    /// The load of a workload was changed too often.
    TooManyChanges {
        /// The name of the workload.
        name: String,
        /// Maximum changes.
        most: u32,
    },
    /// A reduction would leave no load.
    NoLoadLeft {
        /// The name of the workload.
        name: String,
        /// The load of the workload, in thousandths of the plan.
        permille: u32,
        /// The reduction in thousandths.
        less: u32,
    },
    /// The scenario sets no breaker at this place.
    NoBreaker {
        /// The name of the breaker.
        name: String,
        /// The level of the breaker.
        level: &'static str,
    },
    /// More users than share the allowed connections.
    TooManyConnections {
        /// The connections that the users could open.
        connections: u64,
        /// The limit.
        most: u64,
        /// The file or option that sets it.
        by: String,
    },
    /// More users than are allowed.
    TooManyUsers {
        /// The users.
        users: u64,
        /// Maximum users.
        most: u64,
        /// The safety limit that is exceeded; `None`: the built-in limit of every run.
        by: Option<String>,
    },
    /// A higher rate than is allowed.
    TooHighRate {
        /// The rate.
        rate: Rate,
        /// The highest rate.
        most: Rate,
        /// The safety limit that is exceeded; `None`: the built-in limit of every run.
        by: Option<String>,
    },
    /// More load than a host may get that is only tried.
    Trial {
        /// The host.
        host: String,
    },
    /// The unique rows of a feed were dealt to fewer users or starts.
    TooFewRows {
        /// The name of the workload.
        workload: String,
        /// The name of the feed.
        feed: String,
    },
}

/// The command that sets the load of the other model than `model`.
fn other_command(model: &str) -> &'static str {
    if model == "open" { "users" } else { "rate" }
}

impl From<CommandError> for ControlError {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl std::error::Error for ControlError {}

/// What stands before a limit.
fn allowed_by(origin: Option<&str>) -> String {
    origin.map_or_else(|| "expected at most".to_owned(), |by| format!("{by} allows"))
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |permille: u32| f64::from(permille) / 10.0;
        match self {
            Self::Command(error) => error.fmt(f),
            Self::LongLine => write!(f, "command too long: at most {MAX_LINE} bytes"),
            Self::NotUtf8 => f.write_str("command is not UTF-8"),
            Self::Over => f.write_str("run has ended"),
            Self::Ending => f.write_str("run is stopping: load can no longer be changed"),
            Self::Busy => f.write_str("earlier commands are still being applied; try again"),
            Self::Unknown { what, name, known, suggestion } => {
                let shown = known[..known.len().min(SHOWN)].join(", ");
                let more = if known.len() > SHOWN { ", …" } else { "" };
                write!(f, "unknown {what} `{name}`; expected one of {shown}{more}")?;
                suggestion.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean `{near}`?"))
            }
            Self::NoSuchModel { model } => {
                let command = other_command(model);
                write!(f, "this run has no {model}-model workload; use `{command}`")
            }
            Self::OtherModel { name, model } => {
                let own = if *model == "open" { "closed" } else { "open" };
                let command = other_command(model);
                write!(f, "workload `{name}` is {own}-model; use `{command} {name}`")
            }
            Self::LoadOver { name } => write!(f, "workload `{name}`: its load has ended"),
            Self::TooManyChanges { name, most } => {
                write!(f, "workload `{name}`: limit of {most} load changes per run reached")
            }
            Self::NoLoadLeft { name, permille, less } => {
                let (now, less) = (percent(*permille), percent(*less));
                let left = "leaves no load; use a smaller step, or `pause`";
                write!(f, "workload `{name}`: {now} % minus {less} % {left}")
            }
            Self::NoBreaker { name, level } => write!(
                f,
                "`{name}` has no breaker; add `breakers: {{ {level}: {{}} }}` to the scenario"
            ),
            Self::TooManyConnections { connections, most, by } => write!(
                f,
                "{connections} connections could be open: {by} allows {most}; a run that begins \
                 with more users shares them"
            ),
            Self::TooManyUsers { users, most, by } => {
                write!(f, "{users} users: {} {most}", allowed_by(by.as_deref()))
            }
            Self::TooHighRate { rate, most, by: Some(by) } => {
                write!(f, "{}/s: {by} allows {}/s", rate.as_f64(), most.as_f64())
            }
            Self::TooHighRate { rate, most, by: None } => {
                write!(f, "{}/s: expected at most {}/s", rate.as_f64(), most.as_f64())
            }
            Self::Trial { host } => {
                write!(
                    f,
                    "{host} is not authorised: at most {TRIAL_USERS} users and {TRIAL_RATE} "
                )?;
                write!(f, "starts per second; if you may load it, start the run with ")?;
                write!(f, "`--authorised {host}`")
            }
            Self::TooFewRows { workload, feed } => {
                write!(
                    f,
                    "workload `{workload}` cannot exceed its planned load: each row of `{feed}` "
                )?;
                f.write_str(
                    "is used once, and the rows were assigned to the planned users; plan more ",
                )?;
                f.write_str("users or starts, or let rows repeat (`pick: circular`)")
            }
        }
    }
}
