//! Live-control commands as text: one grammar for keys, the control socket and dashboards.
//!
//! Clients parse commands, `run` executes them.
//! Invariant: a parsed command is well-formed; `run` checks whether the names in it exist.

use std::fmt;

use super::BreakerSwitch;
use crate::suggest::nearest;
use crate::units::{Rate, parse_rate, parse_share};

/// A command to a running run. Without a name it applies to every workload of the right model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlCommand {
    /// Stops scheduling new iterations until a resume.
    Pause(Option<String>),
    /// Ends a pause.
    Resume(Option<String>),
    /// Pauses, or resumes if paused.
    Toggle(Option<String>),
    /// Sets the load in thousandths of the plan, or of the last `rate` or `users`.
    Scale(Option<String>, u32),
    /// Changes the load by this many thousandths, up or down.
    Nudge(Option<String>, i32),
    /// Sets a constant rate of starts for the rest of the load.
    Rate(Option<String>, Rate),
    /// Sets a constant number of users for the rest of the load.
    Users(Option<String>, u64),
    /// Returns to the scenario's load.
    Plan(Option<String>),
    /// Switches a breaker by name.
    Breaker(String, BreakerSwitch),
    /// Mutes (`true`) or unmutes the calls of a step.
    Mute(String, bool),
    /// Adds a mark to the time axis.
    Mark(String),
    /// Returns the state of the run.
    Status,
    /// Lists the commands.
    Help,
    /// Lists the keys of the terminal.
    Keys,
    /// Stops the run: nothing new starts, iterations in progress may finish.
    Stop,
}

/// Why a text is not a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The text is empty.
    Empty,
    /// The command does not exist.
    Unknown {
        /// The word.
        verb: String,
        /// A similar command.
        suggestion: Option<String>,
    },
    /// An argument is missing, or there is one too many.
    Missing {
        /// The command.
        verb: String,
        /// The expected arguments.
        expected: &'static str,
    },
    /// An argument has the wrong form.
    Wrong {
        /// The command.
        verb: String,
        /// The expected form.
        expected: &'static str,
        /// The argument.
        value: String,
        /// The argument that was probably meant.
        suggestion: Option<String>,
    },
    /// `scale 0` means `pause`.
    ScaleToZero,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suggestion = match self {
            Self::Empty => return write!(f, "no command: expected {}", list_commands()),
            Self::ScaleToZero => return f.write_str("`scale`: 0 % is not a scale; use `pause`"),
            Self::Missing { verb, expected } => return write!(f, "`{verb}`: expected {expected}"),
            Self::Unknown { verb, suggestion } => {
                write!(f, "unknown command `{verb}`; expected {}", list_commands())?;
                suggestion
            }
            Self::Wrong { verb, expected, value, suggestion } => {
                write!(f, "`{verb}`: expected {expected}, found `{value}`")?;
                suggestion
            }
        };
        match suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CommandError {}

/// Maximum line of a command, bytes.
pub const MAX_LINE: usize = 4_096;

/// Maximum scale, a hundred times, in thousandths.
pub const MAX_PERMILLE: u32 = 100_000;

/// Maximum number of users to set.
pub const MAX_USERS: u64 = 10_000_000;

/// Each command: word, usage, meaning.
pub const GRAMMAR: [(&str, &str, &str); 14] = [
    ("pause", "pause [W]", "stop starting iterations"),
    ("resume", "resume [W]", "start iterations again"),
    ("toggle", "toggle [W]", "resume if all is paused, else pause"),
    ("scale", "scale [W] 150%", "scale the planned load; +10% changes the scale"),
    ("rate", "rate [W] 200/s", "set starts per second until the load ends"),
    ("users", "users [W] 300", "set the number of users until the load ends"),
    ("plan", "plan [W]", "return to the scenario's load"),
    (
        "breaker",
        "breaker NAME open|close|reset",
        "NAME: `service shop`, `endpoint GET /`, `system`",
    ),
    ("mute", "mute STEP", "stop sending the calls of a step"),
    ("unmute", "unmute STEP", "send them again"),
    ("mark", "mark TEXT", "add a mark to the report's time axis"),
    ("status", "status", "print the run's state as a line of JSON"),
    ("stop", "stop", "no new iterations, running ones finish"),
    ("help", "help", "list the commands"),
];

/// The keys of a terminal and their commands.
pub const KEYS: &str = "keys: p or space: pause/resume · + and -: scale by 10 % of the plan · \
                        m: mark · q: stop · ?: this help";

impl ControlCommand {
    /// Parses a command.
    ///
    /// # Errors
    /// If the command is unknown, or its arguments are not as expected.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((verb, rest)) = words.split_first() else {
            return Err(CommandError::Empty);
        };
        // A name may contain spaces: all remaining words form the name.
        let name = |words: &[&str]| (!words.is_empty()).then(|| words.join(" "));
        let last = || rest.split_last().map(|(last, before)| (*last, name(before)));
        let expected =
            |expected: &'static str| CommandError::Missing { verb: verb.to_string(), expected };
        let wrong = |expected: &'static str, value: &str, suggestion| CommandError::Wrong {
            verb: verb.to_string(),
            expected,
            value: value.to_owned(),
            suggestion,
        };
        let needed = |what: &'static str| name(rest).ok_or_else(|| expected(what));
        match *verb {
            "pause" => Ok(Self::Pause(name(rest))),
            "resume" => Ok(Self::Resume(name(rest))),
            "toggle" => Ok(Self::Toggle(name(rest))),
            "plan" => Ok(Self::Plan(name(rest))),
            "scale" => {
                let share = "a share from 0.1% to 10000%, such as 0.5, 150% or +10%";
                let (value, workload) = last().ok_or_else(|| expected(share))?;
                parse_scale(value, workload).ok_or_else(|| match parse_share(value) {
                    Ok(0.0) => CommandError::ScaleToZero,
                    _ => {
                        // A plain number above one nearly always means a percentage.
                        let percent = format!("{value}%");
                        let is_percentage =
                            !value.ends_with('%') && parse_scale(&percent, None).is_some();
                        wrong(share, value, is_percentage.then_some(percent))
                    }
                })
            }
            "rate" => {
                let what = "a rate above zero with its unit, such as 200/s, 90/m or 1000/h";
                let (value, workload) = last().ok_or_else(|| expected(what))?;
                let rate = parse_rate(value).ok().filter(|rate| rate.units() > 0);
                let rate = rate.ok_or_else(|| wrong(what, value, None))?;
                Ok(Self::Rate(workload, rate))
            }
            "users" => {
                let what = "a whole number from 1 to 10000000";
                let (value, workload) = last().ok_or_else(|| expected(what))?;
                let users = value.parse().ok().filter(|users| (1..=MAX_USERS).contains(users));
                let users = users.ok_or_else(|| wrong(what, value, None))?;
                Ok(Self::Users(workload, users))
            }
            "breaker" => parse_breaker(last()).ok_or_else(|| {
                let what =
                    "the name of a breaker and open, close or reset: `breaker service shop open`";
                let word = last().filter(|(_, name)| name.is_some()).map_or("", |(word, _)| word);
                match nearest(word, ["open", "close", "reset"]) {
                    Some(near) if near != word => wrong(what, word, Some(near.to_owned())),
                    _ => expected(what),
                }
            }),
            "mute" => Ok(Self::Mute(needed("the name of a step")?, true)),
            "unmute" => Ok(Self::Mute(needed("the name of a step")?, false)),
            "mark" => Ok(Self::Mark(needed("a text: `mark cache is off now`")?)),
            "status" | "help" | "stop" if !rest.is_empty() => Err(expected("no arguments")),
            "status" => Ok(Self::Status),
            "help" => Ok(Self::Help),
            "stop" => Ok(Self::Stop),
            _ => {
                let suggestion = nearest(verb, GRAMMAR.map(|(word, ..)| word)).map(str::to_owned);
                Err(CommandError::Unknown { verb: verb.to_string(), suggestion })
            }
        }
    }

    /// Lists all commands, one per line.
    pub fn help() -> String {
        let line = |(_, form, what): &(&str, &str, &str)| format!("{form:<31}{what}");
        GRAMMAR.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn list_commands() -> String {
    format!("one of {}", GRAMMAR.map(|(word, ..)| word).join(", "))
}

/// Parses `0.5`, `150%`, `+10%`, `-0.1` into thousandths.
fn parse_scale(value: &str, workload: Option<String>) -> Option<ControlCommand> {
    let sign = value.chars().next().filter(|first| "+-".contains(*first));
    let share = parse_share(value.strip_prefix(['+', '-']).unwrap_or(value)).ok()?;
    let permille = (share * 1_000.0).round();
    let is_exact = (share * 1_000.0 - permille).abs() < 1e-6;
    if !is_exact || !(1.0..=f64::from(MAX_PERMILLE)).contains(&permille) {
        return None;
    }
    let permille = permille as u32;
    Some(match sign {
        None => ControlCommand::Scale(workload, permille),
        // `-5` means a percentage without its sign: a scale reduced by 500 % makes no sense.
        Some('-') if permille >= 1_000 && !value.ends_with('%') => return None,
        Some('-') => ControlCommand::Nudge(workload, -permille.cast_signed()),
        Some(_) => ControlCommand::Nudge(workload, permille.cast_signed()),
    })
}

fn parse_breaker(last: Option<(&str, Option<String>)>) -> Option<ControlCommand> {
    let (word, name) = last?;
    let switch = match word {
        "open" => BreakerSwitch::Open,
        "close" => BreakerSwitch::Close,
        "reset" => BreakerSwitch::Reset,
        _ => return None,
    };
    Some(ControlCommand::Breaker(name?, switch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_parse_as_commands() {
        let some = |name: &str| Some(name.to_owned());
        for (text, command) in [
            ("pause", ControlCommand::Pause(None)),
            ("  pause   my  shop ", ControlCommand::Pause(some("my shop"))),
            ("resume shop", ControlCommand::Resume(some("shop"))),
            ("toggle shop", ControlCommand::Toggle(some("shop"))),
            ("plan", ControlCommand::Plan(None)),
            ("scale 0.5", ControlCommand::Scale(None, 500)),
            ("scale shop 150%", ControlCommand::Scale(some("shop"), 1_500)),
            ("scale 12.5%", ControlCommand::Scale(None, 125)),
            ("scale +10%", ControlCommand::Nudge(None, 100)),
            ("scale shop -0.1", ControlCommand::Nudge(some("shop"), -100)),
            ("rate 90/m", ControlCommand::Rate(None, Rate::from_units(Rate::UNITS_PER_S * 3 / 2))),
            ("rate api 200/s", ControlCommand::Rate(some("api"), Rate::per_s(200))),
            ("users 300", ControlCommand::Users(None, 300)),
            ("breaker system open", ControlCommand::Breaker("system".into(), BreakerSwitch::Open)),
            (
                "breaker endpoint GET /cart reset",
                ControlCommand::Breaker("endpoint GET /cart".into(), BreakerSwitch::Reset),
            ),
            ("mute product page", ControlCommand::Mute("product page".into(), true)),
            ("unmute home", ControlCommand::Mute("home".into(), false)),
            ("mark cache is off", ControlCommand::Mark("cache is off".into())),
            ("status", ControlCommand::Status),
            ("stop", ControlCommand::Stop),
            ("help", ControlCommand::Help),
        ] {
            assert_eq!(ControlCommand::parse(text), Ok(command), "{text}");
        }
    }

    #[test]
    fn invalid_command_error_names_what_was_expected() {
        for (text, expected) in [
            ("", "expected one of pause, resume"),
            ("puase", "did you mean `pause`?"),
            ("PAUSE", "did you mean `pause`?"),
            ("explode", "unknown command `explode`; expected one of pause"),
            ("scale", "`scale`: expected a share from"),
            ("scale 0", "`scale`: 0 % is not a scale; use `pause`"),
            ("scale much", "such as 0.5, 150% or +10%, found `much`"),
            ("scale 0.0001", "found `0.0001`"),
            ("scale 101", "found `101`; did you mean `101%`?"),
            ("scale shop -5", "found `-5`; did you mean `-5%`?"),
            ("scale NaN", "found `NaN`"),
            (
                "rate 200",
                "`rate`: expected a rate above zero with its unit, such as 200/s, 90/m or 1000/h",
            ),
            ("rate 0/s", "found `0/s`"),
            ("users", "`users`: expected a whole number"),
            ("users 0", "found `0`"),
            ("users -3", "found `-3`"),
            ("users 10000001", "found `10000001`"),
            ("breaker", "the name of a breaker and open, close or reset"),
            ("breaker open", "the name of a breaker and open"),
            ("breaker system shut", "open, close or reset"),
            ("breaker system opne", "found `opne`; did you mean `open`?"),
            ("mute", "`mute`: expected the name of a step"),
            ("mark", "`mark`: expected a text"),
            ("status now", "`status`: expected no arguments"),
        ] {
            let error = ControlCommand::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn every_command_of_the_grammar_parses() {
        for (word, form, _) in GRAMMAR {
            let form = form.replace("[W] ", "").replace(" [W]", "").replace("open|close|", "");
            assert!(form.starts_with(word));
            assert!(ControlCommand::parse(&form).is_ok(), "{form}");
        }
    }
}
