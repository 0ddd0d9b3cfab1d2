//! What somebody may ask of a run while it goes on, as text: one grammar for keys and the socket.
//!
//! Keys and the control socket parse it, `run` executes it.
//! Invariant: a command that parsed is well-formed; whether the run has what it names `run` knows.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use super::BreakerSwitch;
use crate::suggest::nearest;
use crate::units::{Rate, parse_rate, parse_share};

/// What somebody wants. A workload that is not named means all that it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlCommand {
    /// Nothing is asked until it is resumed.
    Pause(Option<String>),
    /// What was asked before is asked again.
    Resume(Option<String>),
    /// Pauses, or resumes when nothing is asked.
    Toggle(Option<String>),
    /// So many thousandths of what the plan, or the last `rate` or `users`, asks.
    Scale(Option<String>, u32),
    /// So many thousandths more or less than now.
    Nudge(Option<String>, i32),
    /// So many starts per second, to the end.
    Rate(Option<String>, Rate),
    /// So many users, to the end.
    Users(Option<String>, u64),
    /// What the scenario asks.
    Plan(Option<String>),
    /// A breaker, by its name.
    Breaker(String, BreakerSwitch),
    /// The calls of a step are not sent, or sent again.
    Mute(String, bool),
    /// A mark on the time axis.
    Mark(String),
    /// How it stands.
    Status,
    /// What may be received.
    Help,
    /// The keys of a terminal and their commands.
    Keys,
    /// It ends: nothing new begins, what is under way may finish.
    Stop,
}

/// What became of a command, in words.
pub type ControlReply = Result<String, String>;

/// A command on its way to the run.
#[derive(Debug)]
pub struct ControlRequest {
    /// What is wanted.
    pub command: ControlCommand,
    /// Who wants it: `key`, `control socket`.
    pub origin: &'static str,
    /// Where the answer goes, if anybody waits for it.
    pub reply: Option<oneshot::Sender<ControlReply>>,
}

/// A way to the run for who was there before it: a screen is seated before the load begins.
#[derive(Clone, Debug, Default)]
pub struct ControlClient(Arc<OnceLock<Sender<ControlRequest>>>);

impl ControlClient {
    /// The run begins, and hears commands.
    pub fn connect(&self, commands: Sender<ControlRequest>) {
        // It is connected once; a second run has a remote of its own.
        let _ = self.0.set(commands);
    }

    /// Asks for something; where the answer comes. None: the run has not begun, is over, or has
    /// no room for one more command.
    pub fn ask(
        &self,
        command: ControlCommand,
        by: &'static str,
    ) -> Option<oneshot::Receiver<ControlReply>> {
        let (reply, answer) = oneshot::channel();
        let asked = ControlRequest { command, origin: by, reply: Some(reply) };
        self.0.get()?.try_send(asked).ok()?;
        Some(answer)
    }
}

/// Commands waiting for the run: more than its clients may have under way.
pub const MAX_PENDING: usize = 16;

/// The longest line of a command, bytes.
pub const MAX_LINE: usize = 4_096;

/// The most that load may be scaled to: a hundred times.
pub const MAX_PERMILLE: u32 = 100_000;

/// The most users that may be asked for.
pub const MAX_USERS: u64 = 10_000_000;

/// Each word, how it is used, and what it does.
pub const GRAMMAR: [(&str, &str, &str); 14] = [
    ("pause", "pause [W]", "nothing begins any more; users stay where they are"),
    ("resume", "resume [W]", "they go on"),
    ("toggle", "toggle [W]", "resumes when all is paused, else pauses"),
    ("scale", "scale [W] 150%", "so much of the plan (0.5, 150%), or more or less (+10%, -10%)"),
    ("rate", "rate [W] 200/s", "so many starts per second, to the end of the load"),
    ("users", "users [W] 300", "so many users, to the end of the load"),
    ("plan", "plan [W]", "what the scenario says"),
    (
        "breaker",
        "breaker NAME open|close|reset",
        "NAME: `endpoint GET /cart`, `service shop`, `system`",
    ),
    ("mute", "mute STEP", "the calls of a step are not sent"),
    ("unmute", "unmute STEP", "they are sent again"),
    ("mark", "mark TEXT", "a mark on the time axis of the report"),
    ("status", "status", "how it stands, as a line of JSON"),
    ("stop", "stop", "nothing new begins, iterations may finish: as Ctrl-C"),
    ("help", "help", "these words"),
];

/// The command of each key of a terminal.
pub const KEYS: &str = "keys: p or space pauses and resumes · + and - scale by 10 % of the plan · \
                        m puts a mark · q stops · ? says this";

impl ControlCommand {
    /// Reads a command.
    ///
    /// # Errors
    /// What is wrong, what was expected, and what may have been meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((verb, rest)) = words.split_first() else {
            return Err(format!("expected {}", all_words()));
        };
        // A name may have spaces: what is left of the words is the name.
        let name = |words: &[&str]| (!words.is_empty()).then(|| words.join(" "));
        let last = || rest.split_last().map(|(last, before)| (*last, name(before)));
        let expected = |what: &str| format!("`{verb}`: expected {what}");
        let needed = |what: &str| name(rest).ok_or_else(|| expected(what));
        match *verb {
            "pause" => Ok(Self::Pause(name(rest))),
            "resume" => Ok(Self::Resume(name(rest))),
            "toggle" => Ok(Self::Toggle(name(rest))),
            "plan" => Ok(Self::Plan(name(rest))),
            "scale" => {
                let share = "a share from 0.1% to 10000%, such as 0.5, 150% or +10%";
                let (value, of) = last().ok_or_else(|| expected(share))?;
                scale(value, of).ok_or_else(|| match parse_share(value) {
                    Ok(0.0) => "`scale`: nothing at all is `pause`".to_owned(),
                    _ => {
                        // A plain number above one is nearly always a percentage.
                        let percent = format!("{value}%");
                        let near = scale(&percent, None).filter(|_| !value.ends_with('%'));
                        let near =
                            near.map_or(String::new(), |_| format!("; did you mean `{percent}`?"));
                        format!("{}, not `{value}`{near}", expected(share))
                    }
                })
            }
            "rate" => {
                let what = "a rate above zero, such as 200/s, 90/m or 1000/h";
                let (value, of) = last().ok_or_else(|| expected(what))?;
                let rate = parse_rate(value).ok().filter(|rate| rate.units() > 0);
                let rate = rate.ok_or_else(|| format!("{}, not `{value}`", expected(what)))?;
                Ok(Self::Rate(of, rate))
            }
            "users" => {
                let what = "a whole number from 1 to 10000000";
                let (value, of) = last().ok_or_else(|| expected(what))?;
                let users = value.parse().ok().filter(|users| (1..=MAX_USERS).contains(users));
                let users = users.ok_or_else(|| format!("{}, not `{value}`", expected(what)))?;
                Ok(Self::Users(of, users))
            }
            "breaker" => breaker(last()).ok_or_else(|| {
                expected("the name of one and open, close or reset: `breaker service shop open`")
            }),
            "mute" => Ok(Self::Mute(needed("the name of a step")?, true)),
            "unmute" => Ok(Self::Mute(needed("the name of a step")?, false)),
            "mark" => Ok(Self::Mark(needed("a text: `mark cache is off now`")?)),
            "status" | "help" | "stop" if !rest.is_empty() => Err(expected("nothing after it")),
            "status" => Ok(Self::Status),
            "help" => Ok(Self::Help),
            "stop" => Ok(Self::Stop),
            _ => {
                let near = nearest(verb, GRAMMAR.map(|(word, ..)| word));
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                Err(format!("unknown command `{verb}`; expected {}{near}", all_words()))
            }
        }
    }

    /// All that may be received, a line each.
    pub fn help() -> String {
        let line = |(_, form, what): &(&str, &str, &str)| format!("{form:<31}{what}");
        GRAMMAR.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn all_words() -> String {
    format!("one of {}", GRAMMAR.map(|(word, ..)| word).join(", "))
}

/// `0.5`, `150%`, `+10%`, `-0.1`, in whole thousandths.
fn scale(value: &str, of: Option<String>) -> Option<ControlCommand> {
    let sign = value.chars().next().filter(|first| "+-".contains(*first));
    let share = parse_share(value.strip_prefix(['+', '-']).unwrap_or(value)).ok()?;
    let permille = (share * 1_000.0).round();
    let is_exact = (share * 1_000.0 - permille).abs() < 1e-6;
    if !is_exact || !(1.0..=f64::from(MAX_PERMILLE)).contains(&permille) {
        return None;
    }
    let permille = permille as u32;
    Some(match sign {
        None => ControlCommand::Scale(of, permille),
        // `-5` is a percentage without its sign: five times the plan less is never meant.
        Some('-') if permille >= 1_000 && !value.ends_with('%') => return None,
        Some('-') => ControlCommand::Nudge(of, -permille.cast_signed()),
        Some(_) => ControlCommand::Nudge(of, permille.cast_signed()),
    })
}

fn breaker(last: Option<(&str, Option<String>)>) -> Option<ControlCommand> {
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
    fn unknown_command_says_what_was_expected() {
        for (text, says) in [
            ("", "expected one of pause, resume"),
            ("puase", "did you mean `pause`?"),
            ("PAUSE", "did you mean `pause`?"),
            ("explode", "unknown command `explode`; expected one of pause"),
            ("scale", "`scale`: expected a share from"),
            ("scale 0", "`scale`: nothing at all is `pause`"),
            ("scale much", "such as 0.5, 150% or +10%, not `much`"),
            ("scale 0.0001", "not `0.0001`"),
            ("scale 101", "not `101`; did you mean `101%`?"),
            ("scale shop -5", "not `-5`; did you mean `-5%`?"),
            ("scale NaN", "not `NaN`"),
            ("rate 200", "`rate`: expected a rate above zero, such as 200/s, 90/m or 1000/h"),
            ("rate 0/s", "not `0/s`"),
            ("users", "`users`: expected a whole number"),
            ("users 0", "not `0`"),
            ("users -3", "not `-3`"),
            ("users 10000001", "not `10000001`"),
            ("breaker", "the name of one and open, close or reset"),
            ("breaker open", "the name of one and open"),
            ("breaker system shut", "open, close or reset"),
            ("mute", "`mute`: expected the name of a step"),
            ("mark", "`mark`: expected a text"),
            ("status now", "`status`: expected nothing after it"),
        ] {
            let error = ControlCommand::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn every_word_of_the_grammar_is_one() {
        for (word, form, _) in GRAMMAR {
            let form = form.replace("[W] ", "").replace(" [W]", "").replace("open|close|", "");
            assert!(form.starts_with(word));
            assert!(ControlCommand::parse(&form).is_ok(), "{form}");
        }
    }
}
