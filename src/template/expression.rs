//! A slot with an expression in minijinja's language.
//!
//! `parse` compiles it, templates evaluate it.
//! Invariant: it can read only the variables that it names, `user`, `run`, in a header `request`,
//! and the functions.

use std::fmt;
use std::sync::Arc;

use minijinja::{Error, ErrorKind, Value};

use super::calls::Rewritten;
use super::environment::ENVIRONMENT;
use super::error::RenderError;
use super::functions::with_generator;
use super::names::{PREFIX, RESERVED};
use super::scope::{RenderScope, no_part, unset};
use super::{operators, work};
use crate::seed::Rng;

/// A compiled expression and the variables it reads.
#[derive(Clone)]
pub(super) struct Expression(Arc<Inner>);

struct Inner {
    source: String,
    code: minijinja::Expression<'static, 'static>,
    /// Name and slot of each variable.
    reads: Vec<(Value, usize)>,
    /// The parts of variables that it reads: a slot and a name, such as `id` in `row.id`.
    parts: Vec<(usize, String)>,
    reads_user: bool,
    reads_run: bool,
    reads_request: bool,
    /// Evaluated `env` and `secret` calls.
    constants: Vec<(Value, Value)>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{ {} }}}}", self.0.source)
    }
}

/// Compiles `source`; also returns the names it reads that are neither variables nor functions,
/// sorted.
pub(super) fn compile(
    source: &str,
    rewritten: Rewritten,
    names: &[String],
    knows_request: bool,
) -> Result<(Expression, Vec<String>), minijinja::Error> {
    let Rewritten { source: code, words, constants } = rewritten;
    let code = operators::counted(&code)?.unwrap_or(code);
    let code = ENVIRONMENT.compile_expression_owned(code)?;
    let mut reads = Vec::new();
    let mut unknown = Vec::new();
    let (mut reads_user, mut reads_run, mut reads_request) = (false, false, false);
    for name in code.undeclared_variables(false) {
        if let Some(slot) = names.iter().position(|known| *known == name) {
            reads.push((Value::from(name), slot));
        } else if name == "user" {
            reads_user = true;
        } else if name == "run" {
            reads_run = true;
        } else if name == "request" && knows_request {
            reads_request = true;
        } else if !name.starts_with(PREFIX) && !RESERVED.contains(&name.as_str()) {
            unknown.push(name);
        }
    }
    // The compiler does not report variables in a slice: `left[1:]`.
    for word in words {
        let known = names.iter().position(|known| *known == word);
        if let Some(slot) = known.filter(|slot| !reads.iter().any(|(_, read)| read == slot)) {
            reads.push((Value::from(word), slot));
        } else {
            reads_user |= word == "user";
            reads_run |= word == "run" && known.is_none();
            reads_request |= word == "request" && known.is_none() && knows_request;
        }
    }
    unknown.sort();
    let mut parts: Vec<(usize, String)> = code
        .undeclared_variables(true)
        .iter()
        .filter_map(|path| path.split_once('.'))
        .filter_map(|(name, rest)| {
            let slot = names.iter().position(|known| known == name)?;
            Some((slot, rest.split('.').next().unwrap_or(rest).to_owned()))
        })
        .collect();
    parts.sort();
    let constants = constants.into_iter().map(|(name, value)| (Value::from(name), value)).collect();
    let inner = Inner {
        source: source.to_owned(),
        code,
        reads,
        parts,
        reads_user,
        reads_run,
        reads_request,
        constants,
    };
    Ok((Expression(Arc::new(inner)), unknown))
}

impl Expression {
    /// Evaluates the expression for this iteration.
    pub(super) fn evaluate(&self, scope: &mut RenderScope<'_>) -> Result<Value, RenderError> {
        let variables =
            self.0.reads.iter().filter_map(|(name, slot)| {
                Some((name.clone(), scope.variables.get(*slot)?.clone()?))
            });
        let user = self.0.reads_user.then(|| {
            let user = [("number", scope.user), ("iteration", scope.iteration)];
            (Value::from("user"), Value::from_pairs(user))
        });
        let constants = self.0.constants.iter().cloned();
        let run = self.0.reads_run.then(|| (Value::from("run"), run_value(scope.run_id)));
        let request = self.0.reads_request.then(|| scope.request.clone()).flatten();
        let request = request.map(|request| (Value::from("request"), request));
        let known = user.into_iter().chain(run).chain(request);
        let context = Value::from_pairs(variables.chain(known).chain(constants));
        if *scope.work == 0 {
            let message = "the expressions of this iteration exceed their work limit";
            return Err(RenderError::Limit(message.to_owned()));
        }
        let value = with_generator(scope.rng, scope.now_ms, scope.work, || {
            work::charge(work::ITEM)?;
            self.0.code.eval(context)
        });
        match value {
            Ok(value) if !value.is_undefined() => Ok(value),
            Ok(_) => Err(self.error_of(scope, "is not defined")),
            Err(error) if error.kind() == ErrorKind::OutOfFuel => {
                Err(RenderError::Limit(format!("{self:?}: {}", show(&error))))
            }
            Err(error) => Err(self.error_of(scope, &show(&error))),
        }
    }

    /// Whether the expression reads the request that its header belongs to.
    pub(super) fn reads_request(&self) -> bool {
        self.0.reads_request
    }

    /// Calls `each` with the slot of every variable that it reads.
    pub(super) fn reads(&self, each: &mut dyn FnMut(usize)) {
        self.0.reads.iter().for_each(|(_, slot)| each(*slot));
    }

    /// Calls `each` with the slot of every variable of which it reads a part, and the part's name.
    pub(super) fn parts(&self, each: &mut dyn FnMut(usize, &str)) {
        self.0.parts.iter().for_each(|(slot, name)| each(*slot, name));
    }

    /// Returns the error of a failed evaluation. In most cases a capture found nothing: then the
    /// variable's name says more than the error.
    fn error_of(&self, scope: &RenderScope<'_>, otherwise: &str) -> RenderError {
        let is_unset = |slot: &usize| scope.variables.get(*slot).is_none_or(Option::is_none);
        match self.0.reads.iter().find(|(_, slot)| is_unset(slot)) {
            Some((_, slot)) => unset(scope, *slot),
            None => {
                let missing = self.0.parts.iter().find_map(|(slot, part)| {
                    let value = scope.variables.get(*slot)?.as_ref()?;
                    let is_there = value.get_attr(part).is_ok_and(|part| !part.is_undefined());
                    let name = scope.names.get(*slot).map_or("", String::as_str);
                    (!is_there).then(|| no_part(name, part, value))
                });
                let why = missing.unwrap_or_else(|| otherwise.to_owned());
                RenderError::Invalid(format!("{self:?}: {why}"))
            }
        }
    }

    /// Finds errors before the run: unknown filters, tests and functions, wrong arguments; any
    /// error if no variable's value has to be guessed.
    pub(super) fn find_errors(&self, rng: &mut Rng) -> Result<(), Error> {
        let guesses = self.0.reads.iter().map(|(name, _)| (name.clone(), Value::from(1)));
        let user = Value::from_pairs([("number", 1u64), ("iteration", 0)]);
        let constants = self.0.constants.iter().cloned();
        let request = ["method", "path", "body"].map(|part| (part, "/"));
        let known = constants.chain([
            (Value::from("user"), user),
            (Value::from("run"), run_value("1-1")),
            (Value::from("request"), Value::from_pairs(request)),
        ]);
        let context = Value::from_pairs(guesses.chain(known));
        let work = &mut work::MAX_WORK.clone();
        let Err(error) = with_generator(rng, 0, work, || self.0.code.eval(context)) else {
            return Ok(());
        };
        let certain = matches!(
            error.kind(),
            ErrorKind::UnknownFilter
                | ErrorKind::UnknownTest
                | ErrorKind::UnknownFunction
                | ErrorKind::TooManyArguments
                | ErrorKind::MissingArgument
        );
        // A guessed value may cost more than the real one.
        if error.kind() == ErrorKind::OutOfFuel && !self.0.reads.is_empty() {
            return Ok(());
        }
        if certain || self.0.reads.is_empty() { Err(error) } else { Ok(()) }
    }
}

/// Returns the value of `run`.
fn run_value(id: &str) -> Value {
    Value::from_pairs([("id", Value::from(id)), ("is_simulation", Value::from(true))])
}

/// Returns the text of an expression error without the name of its internal template.
pub(super) fn show(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}
