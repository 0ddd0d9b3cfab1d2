//! Errors of the command line: suggestions beyond those of clap, and no credentials.
//!
//! `main` prints them, `job_args` gives them to the reader of a schedule.
//! Invariant: an error shows no credential that a word has.

use std::borrow::Cow;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::commands::Cli;
use super::spellings;
use crate::redact::{Redactor, SensitiveNames};
use crate::suggest::nearest;

/// Adds what was perhaps meant; `name` is the command's.
pub(super) fn add_suggestions(error: &mut clap::Error, name: &str) {
    suggest_word(error);
    suggest_flag(error, name);
}

/// Adds "a similar subcommand exists" or "a similar value exists" where clap has none: by its own
/// measure `rn` does not resemble `run`.
fn suggest_word(error: &mut clap::Error) {
    let (wrong, known, place) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = Cli::command();
            let names = command.get_subcommands().map(|one| one.get_name().to_owned());
            (ContextKind::InvalidSubcommand, names.collect(), ContextKind::SuggestedSubcommand)
        }
        ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(known)) => {
                (ContextKind::InvalidValue, known.clone(), ContextKind::SuggestedValue)
            }
            _ => return,
        },
        _ => return,
    };
    let (Some(ContextValue::String(word)), None) = (error.get(wrong), error.get(place)) else {
        return;
    };
    let near = nearest(word, known.iter().map(String::as_str)).map(str::to_owned);
    match (near, place) {
        (Some(near), ContextKind::SuggestedSubcommand) => {
            error.insert(place, ContextValue::Strings(vec![near]));
        }
        (Some(near), _) => {
            error.insert(place, ContextValue::String(near));
        }
        (None, _) => {}
    }
}

/// Replaces clap's suggestion by our flag for what a flag of another tool does; `name` is the
/// command's.
fn suggest_flag(error: &mut clap::Error, name: &str) {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return };
    let advice = match (error.kind(), error.get(ContextKind::InvalidValue)) {
        (ErrorKind::UnknownArgument, _) => spellings::flag_of_other_tool(name, flag),
        (ErrorKind::ValueValidation, Some(ContextValue::String(value))) => {
            spellings::misread_value(name, flag, value)
        }
        _ => None,
    };
    let Some(advice) = advice else { return };
    let mut root = Cli::command();
    root.build();
    // Its usage shows the argument that it suggests.
    if let Some(command) = root.find_subcommand_mut(name)
        && error.remove(ContextKind::SuggestedArg).is_some()
    {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
}

/// Redacts an error of clap, which quotes the wrong word; `None` if it contains no credential.
pub(super) fn redacted(text: &str) -> Option<String> {
    // The placeholder of `--user` is no element of XML whose content is a password.
    let text = text.replace("<USER:PASSWORD>", "USER:PASSWORD");
    match Redactor::new(&SensitiveNames::default()).text(&text) {
        Cow::Owned(hidden) => Some(hidden.replace("USER:PASSWORD", "<USER:PASSWORD>")),
        Cow::Borrowed(_) => None,
    }
}
