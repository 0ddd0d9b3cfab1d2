//! Texts with `{{ }}` slots: compiled once, rendered for each call.
//!
//! `scenario` compiles them, `engine` renders them into a reused buffer.
//! Invariant: rendering is pure and bounded: it reads its Scope, draws from its generator, no
//! more; the fast paths (a variable, `int(a, b)`, `user.number`) allocate nothing.

mod calendar;
mod calls;
mod codec;
mod encode;
pub mod exact_json;
mod expression;
mod filters;
mod functions;
mod operators;
mod parse;
mod people;
mod sign;
#[cfg(test)]
mod tests;
mod typed;
mod work;

use std::io::Write as _;

use rand::RngExt;

pub use encode::Encoding;
pub use functions::{FUNCTIONS, RESERVED};
pub use parse::{Builder, ParseError, ParseErrorKind};
pub use typed::Typed;
pub use work::{MAX_DEPTH, MAX_ITERATION_WORK, MAX_VALUE, MAX_WORK};

use crate::seed::Rng;
use expression::Expression;

/// A value a template can read: what a capture found, what a row held.
pub use minijinja::Value;

/// The most bytes one rendered text may have: 16 MiB.
pub const MAX_OUTPUT: usize = 16 << 20;

/// A compiled text.
#[derive(Clone, Debug)]
pub struct Template {
    segments: Vec<TemplatePart>,
    /// A request path: it has to begin with `/` once it is rendered.
    is_path: bool,
}

#[derive(Clone, Debug)]
enum TemplatePart {
    Literal(Vec<u8>),
    Slot(TemplateSlot, Encoding),
}

/// What stands between `{{` and `}}`.
#[derive(Clone, Debug)]
enum TemplateSlot {
    /// A variable by slot.
    Variable(usize),
    /// A part of a variable: `account.user`.
    Field(usize, String),
    /// A whole number from a closed range.
    Int(i64, i64),
    /// The number of the user or arrival.
    UserNumber,
    /// The id of the run.
    RunId,
    /// What the environment held when the text was compiled.
    Constant(Value),
    /// Everything else.
    Expression(Expression),
}

/// What a template may read while it is rendered.
#[derive(Debug)]
pub struct RenderScope<'a> {
    /// The user's variables by slot; `None` is unset.
    pub variables: &'a [Option<Value>],
    /// The names of the slots, for messages.
    pub names: &'a [String],
    /// The iteration's own generator.
    pub rng: &'a mut Rng,
    /// The number of the user (closed) or arrival (open).
    pub user: u64,
    /// The number of the iteration within its user.
    pub iteration: u64,
    /// The id of the run.
    pub run_id: &'a str,
    /// The request as far as it is rendered, for its own headers: a map of `method`, `path` and
    /// `body`.
    pub request: Option<Value>,
    /// When the call is intended, by the wall clock: ms since the epoch.
    pub now_ms: u64,
    /// The work that expressions may still do in this iteration; begins with
    /// [`MAX_ITERATION_WORK`].
    pub work: &'a mut u64,
    /// For each slot, whether its value comes from a response.
    pub from_responses: &'a [bool],
}

/// Why a template could not be rendered; the call is not made and counts as a generator error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A variable that nothing has set yet.
    #[error("variable `{0}` is not set")]
    Unset(String),
    /// An expression that failed, or a value that may not stand there.
    #[error("{0}")]
    Invalid(String),
    /// A value or an evaluation that ran into a limit.
    #[error("{0}")]
    Limit(String),
    /// A value from a response that cannot stand there: the target's failure, not ours.
    #[error("a value from a response cannot be used: {0}")]
    Response(String),
    /// A request that a safety limit forbids.
    #[error("{0}")]
    Denied(String),
}

impl RenderError {
    /// The same, blamed on the target if what was rendered reads a value from a response.
    fn blamed(self, from_responses: &[bool], reads: impl FnOnce(&mut dyn FnMut(usize))) -> Self {
        let (Self::Invalid(message) | Self::Limit(message)) = &self else { return self };
        let mut is_from_response = false;
        reads(&mut |slot| is_from_response |= from_responses.get(slot) == Some(&true));
        if is_from_response { Self::Response(message.clone()) } else { self }
    }
}

impl Template {
    /// A text without slots, taken as it is.
    pub fn literal(text: impl Into<Vec<u8>>) -> Self {
        Self { segments: vec![TemplatePart::Literal(text.into())], is_path: false }
    }

    /// The text with `slot` in place of each slot.
    pub fn shape(&self, slot: char) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            TemplatePart::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            TemplatePart::Slot(..) => slot.to_string(),
        });
        segments.collect()
    }

    /// Compiles a text whose slots (and, in a URL, whose literals) are encoded as `encoding`
    /// says; `names` are the variables that exist, in the order of their slots.
    pub fn parse(text: &str, encoding: Encoding, names: &[String]) -> Result<Self, ParseError> {
        let mut builder = Builder::new(names);
        builder.text(text, encoding)?;
        let mut template = builder.build();
        template.is_path = encoding == Encoding::Url && template.as_static().is_none();
        Ok(template)
    }

    /// A text in which `{{ }}` means nothing, encoded for its place.
    pub fn encoded(text: &str, encoding: Encoding) -> Result<Self, RenderError> {
        let mut bytes = Vec::new();
        encode::text(text, encoding, &mut bytes)?;
        Ok(Self::literal(bytes))
    }

    /// The whole text when it has no slots.
    pub fn as_static(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [] => Some(&[]),
            [TemplatePart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Calls `each` with the slot of every variable that it reads.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        for segment in &self.segments {
            if let TemplatePart::Slot(slot, _) = segment {
                slot.reads(each);
            }
        }
    }

    /// Whether it reads the request whose header it is.
    pub fn reads_request(&self) -> bool {
        let reads = |slot: &TemplateSlot| matches!(slot, TemplateSlot::Expression(one) if one.reads_request());
        self.segments.iter().any(|one| matches!(one, TemplatePart::Slot(slot, _) if reads(slot)))
    }

    /// Calls `each` with the slot of every variable of which it reads a part, and the part's name,
    /// such as `id` in `row.id`.
    pub fn parts(&self, each: &mut dyn FnMut(usize, &str)) {
        for segment in &self.segments {
            match segment {
                TemplatePart::Slot(TemplateSlot::Field(slot, name), _) => each(*slot, name),
                TemplatePart::Slot(TemplateSlot::Expression(expression), _) => {
                    expression.parts(each)
                }
                _ => {}
            }
        }
    }

    /// Appends the rendered text to `out`; after an error `out` holds what came before it.
    pub fn render(
        &self,
        scope: &mut RenderScope<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let rendered = self.render_all(scope, out);
        rendered.map_err(|error| error.blamed(scope.from_responses, |each| self.reads(each)))
    }

    fn render_all(
        &self,
        scope: &mut RenderScope<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let start = out.len();
        for segment in &self.segments {
            match segment {
                TemplatePart::Literal(text) => out.extend_from_slice(text),
                TemplatePart::Slot(slot, encoding) => slot.render(*encoding, scope, out)?,
            }
            if out.len() - start > MAX_OUTPUT {
                return Err(RenderError::Limit("a text of more than 16 MiB".to_owned()));
            }
        }
        if self.is_path && out.get(start) != Some(&b'/') {
            return Err(RenderError::Invalid("a path that does not begin with `/`".to_owned()));
        }
        Ok(())
    }
}

impl TemplateSlot {
    fn render(
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
            // Digits and a sign need no encoding anywhere.
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

    /// Its value, with its type.
    fn value(&self, scope: &mut RenderScope<'_>) -> Result<Value, RenderError> {
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

    fn reads(&self, each: &mut dyn FnMut(usize)) {
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

/// That a value has no part of this name, and which it has.
fn no_part(whole: &str, name: &str, value: &Value) -> String {
    /// More names are no help.
    const SHOWN: usize = 12;
    let keys: Vec<String> = match value.kind() {
        minijinja::value::ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten().take(SHOWN);
            keys.map(|key| format!("`{key}`")).collect()
        }
        _ => Vec::new(),
    };
    let has = if keys.is_empty() { String::new() } else { format!("; it has {}", keys.join(", ")) };
    format!("`{whole}` has no `{name}`{has}")
}

fn unset(scope: &RenderScope<'_>, slot: usize) -> RenderError {
    RenderError::Unset(scope.names.get(slot).cloned().unwrap_or_default())
}
