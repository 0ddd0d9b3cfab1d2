//! A slot of a template: a variable, a drawn number or an expression.
//!
//! `parse` creates slots, templates and typed values evaluate them.
//! Invariant: the fast paths (a variable, `int(a, b)`, `user.number`) allocate nothing.

use std::io::Write as _;

use minijinja::Value;
use rand::RngExt;

use super::encode::{self, Encoding};
use super::error::RenderError;
use super::expression::Expression;
use super::scope::{RenderScope, no_part, unset};

/// The content between `{{` and `}}`.
#[derive(Clone, Debug)]
pub(super) enum TemplateSlot {
    /// A variable, by its slot.
    Variable(usize),
    /// A part of a variable: `account.user`.
    Field(usize, String),
    /// A random integer from a closed range.
    Int(i64, i64),
    /// The number of the user or arrival.
    UserNumber,
    /// The id of the run.
    RunId,
    /// A value of the environment, read when the text was compiled.
    Constant(Value),
    /// Any other expression.
    Expression(Expression),
}

impl TemplateSlot {
    pub(super) fn render(
        &self,
        encoding: Encoding,
        scope: &mut RenderScope<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        match self {
            Self::Variable(slot) => match scope.variables.get(*slot) {
                Some(Some(value)) => encode::value(value, encoding, out),
                _ => Err(unset(scope, *slot)),
            },
            Self::Field(..) => encode::value(&self.value(scope)?, encoding, out),
            // Digits and a sign need no encoding at any place.
            Self::Int(low, high) => digits(scope.rng.random_range(*low..=*high), out),
            Self::UserNumber => digits(scope.user, out),
            // Digits, letters and `-`.
            Self::RunId => {
                out.extend_from_slice(scope.run_id.as_bytes());
                Ok(())
            }
            Self::Constant(value) => encode::value(value, encoding, out),
            Self::Expression(expression) => {
                encode::value(&expression.evaluate(scope)?, encoding, out)
            }
        }
    }

    /// Returns the slot's value with its type.
    pub(super) fn value(&self, scope: &mut RenderScope<'_>) -> Result<Value, RenderError> {
        let variable = |slot: usize| scope.variables.get(slot).and_then(Option::as_ref);
        match self {
            Self::Variable(slot) => variable(*slot).cloned().ok_or_else(|| unset(scope, *slot)),
            Self::Field(slot, name) => {
                let value = variable(*slot).ok_or_else(|| unset(scope, *slot))?;
                match value.get_attr(name) {
                    Ok(part) if !part.is_undefined() => Ok(part),
                    _ => {
                        let whole = scope.names.get(*slot).map_or("", String::as_str);
                        Err(RenderError::Invalid(no_part(whole, name, value)))
                    }
                }
            }
            Self::Int(low, high) => Ok(Value::from(scope.rng.random_range(*low..=*high))),
            Self::UserNumber => Ok(Value::from(scope.user)),
            Self::RunId => Ok(Value::from(scope.run_id)),
            Self::Constant(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(scope),
        }
    }

    pub(super) fn reads(&self, each: &mut dyn FnMut(usize)) {
        match self {
            Self::Variable(slot) | Self::Field(slot, _) => each(*slot),
            Self::Expression(expression) => expression.reads(each),
            Self::Int(..) | Self::UserNumber | Self::RunId | Self::Constant(_) => {}
        }
    }
}

fn digits(number: impl std::fmt::Display, out: &mut Vec<u8>) -> Result<(), RenderError> {
    write!(out, "{number}").map_err(|error| RenderError::Invalid(error.to_string()))
}
