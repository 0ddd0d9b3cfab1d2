//! A slot that is more than a name: an expression of minijinja's language.
//!
//! Invariant: it sees the variables it names, `user`, `run`, in a header `request`, and the
//! functions; nothing else.

use std::fmt;
use std::sync::Arc;

use minijinja::{Error, ErrorKind, Value};

use super::calls::{PREFIX, Rewritten};
use super::functions::{ENVIRONMENT, lending};
use super::{RESERVED, RenderError, RenderScope, operators, work};
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
    /// What the environment held.
    constants: Vec<(Value, Value)>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{ {} }}}}", self.0.source)
    }
}

/// Compiles `source`; the second part are the names it reads that are neither variables nor
/// functions, sorted.
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
    // The compiler overlooks what stands in a slice: `left[1:]`.
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
    /// Its value for this iteration.
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
            let message = "the expressions of this iteration did all the work that one may do";
            return Err(RenderError::Limit(message.to_owned()));
        }
        let value = lending(scope.rng, scope.now_ms, scope.work, || {
            work::charge(work::ITEM)?;
            self.0.code.eval(context)
        });
        match value {
            Ok(value) if !value.is_undefined() => Ok(value),
            Ok(_) => Err(self.blame(scope, "is not defined")),
            Err(error) if error.kind() == ErrorKind::OutOfFuel => {
                Err(RenderError::Limit(format!("{self:?}: {}", show(&error))))
            }
            Err(error) => Err(self.blame(scope, &show(&error))),
        }
    }

    /// Whether it reads the request whose header it is in.
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

    /// Most often a capture found nothing: then the variable's name says more than the error.
    fn blame(&self, scope: &RenderScope<'_>, otherwise: &str) -> RenderError {
        let unset = |slot: &usize| scope.variables.get(*slot).is_none_or(Option::is_none);
        match self.0.reads.iter().find(|(_, slot)| unset(slot)) {
            Some((_, slot)) => super::unset(scope, *slot),
            None => {
                let missing = self.0.parts.iter().find_map(|(slot, part)| {
                    let value = scope.variables.get(*slot)?.as_ref()?;
                    let is_there = value.get_attr(part).is_ok_and(|part| !part.is_undefined());
                    let name = scope.names.get(*slot).map_or("", String::as_str);
                    (!is_there).then(|| super::no_part(name, part, value))
                });
                let why = missing.unwrap_or_else(|| otherwise.to_owned());
                RenderError::Invalid(format!("{self:?}: {why}"))
            }
        }
    }

    /// What can be found wrong before the run: unknown filters, tests and functions, wrong
    /// arguments; with no variable to guess, anything.
    pub(super) fn rehearse(&self, rng: &mut Rng) -> Result<(), String> {
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
        let Err(error) = lending(rng, 0, work, || self.0.code.eval(context)) else {
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
        // A guess may cost more than what it stands for.
        if error.kind() == ErrorKind::OutOfFuel && !self.0.reads.is_empty() {
            return Ok(());
        }
        if certain || self.0.reads.is_empty() { Err(show(&error)) } else { Ok(()) }
    }
}

/// What is known of the run.
fn run_value(id: &str) -> Value {
    Value::from_pairs([("id", id)])
}

/// An error of the expression language without the name of its made-up template.
pub(super) fn show(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}
