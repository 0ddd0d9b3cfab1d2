//! A value that keeps its type: for `set`, `if`, `while` and `repeat`.
//!
//! `scenario` compiles it, `engine` evaluates it for each step.
//! Invariant: pure and bounded, as every template.

use super::compiled::Template;
use super::encode::Encoding;
use super::error::{ParseError, RenderError};
use super::exact_json::{self as exact, to_value};
use super::parse;
use super::scope::RenderScope;
use super::slot::TemplateSlot;
use super::work::{self, MAX_DEPTH};
use minijinja::Value;

/// Maximum bytes of a value in a message.
const SHOWN: usize = 100;

/// A constant, a single `{{ }}` with its own type, or a text.
#[derive(Clone, Debug)]
pub struct TypedTemplate(TypedForm);

#[derive(Clone, Debug)]
enum TypedForm {
    Fixed(Value),
    Slot(TemplateSlot),
    Text(Template),
    /// A JSON text with slots: a list or a map.
    Json(Template),
}

impl TypedTemplate {
    /// Creates a constant.
    pub fn fixed(value: impl Into<Value>) -> Self {
        Self(TypedForm::Fixed(value.into()))
    }

    /// Parses a text: a single `{{ }}` keeps the type of its value, any other text is a text.
    pub fn parse(text: &str, names: &[String]) -> Result<Self, ParseError> {
        if let Some(slot) = parse::whole_slot(text, names) {
            return slot.map(|slot| Self(TypedForm::Slot(slot)));
        }
        let template = Template::parse(text, Encoding::Plain, names)?;
        Ok(match template.as_static() {
            Some(bytes) => Self::fixed(String::from_utf8_lossy(bytes).into_owned()),
            None => Self(TypedForm::Text(template)),
        })
    }

    /// Wraps a list or map, given as a JSON text with slots.
    pub fn json(template: Template) -> Self {
        match template.as_static().and_then(|text| from_json(text).ok()) {
            Some(value) => Self(TypedForm::Fixed(value)),
            None => Self(TypedForm::Json(template)),
        }
    }

    /// Evaluates the template.
    ///
    /// # Errors
    /// If it reads an unset variable, or an expression fails.
    pub fn evaluate(&self, scope: &mut RenderScope<'_>) -> Result<Value, RenderError> {
        let value = self.value(scope);
        value.map_err(|error| self.error_of(scope, error))
    }

    /// Evaluates the template for a variable.
    ///
    /// # Errors
    /// As `evaluate`, and if the value is larger or deeper than a variable may be.
    pub fn evaluate_for_variable(&self, scope: &mut RenderScope<'_>) -> Result<Value, RenderError> {
        let value = self.evaluate(scope)?;
        if self.as_fixed().is_some() {
            return Ok(value);
        }
        let mut left = work::MAX_VALUE;
        let weighed = work::weigh(&value, MAX_DEPTH, &mut left);
        let weight = work::MAX_VALUE - left;
        // At most `MAX_VALUE`.
        *scope.work = scope.work.saturating_sub(weight as u32);
        match weighed {
            Ok(()) => Ok(value),
            Err(limit) => {
                Err(self.error_of(scope, RenderError::Limit(format!("a variable: {limit}"))))
            }
        }
    }

    fn error_of(&self, scope: &RenderScope<'_>, error: RenderError) -> RenderError {
        error.attributed(scope.from_responses, |each| self.reads(each))
    }

    fn value(&self, scope: &mut RenderScope<'_>) -> Result<Value, RenderError> {
        match &self.0 {
            TypedForm::Fixed(value) => Ok(value.clone()),
            TypedForm::Slot(slot) => slot.value(scope),
            TypedForm::Text(template) => {
                let text = render(template, scope)?;
                Ok(Value::from(String::from_utf8_lossy(&text).into_owned()))
            }
            TypedForm::Json(template) => from_json(&render(template, scope)?),
        }
    }

    /// Evaluates the template as a condition: everything holds except `false`, zero, `none` and the
    /// empty text, list or map. The text `false` does not hold either: captures of headers are
    /// texts.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn holds(&self, scope: &mut RenderScope<'_>) -> Result<bool, RenderError> {
        let value = self.evaluate(scope)?;
        Ok(value.is_true() && value.as_str() != Some("false"))
    }

    /// Evaluates the template as a count, at most `most`.
    ///
    /// # Errors
    /// As `evaluate`, and if it is not an integer in that range.
    pub fn count(&self, scope: &mut RenderScope<'_>, most: u64) -> Result<u64, RenderError> {
        let value = self.evaluate(scope)?;
        let number = match value.as_str() {
            Some(text) => text.trim().parse().ok(),
            None => u64::try_from(value.clone()).ok(),
        };
        number.filter(|number| *number <= most).ok_or_else(|| {
            let mut shown = value.to_string();
            shown.truncate(shown.floor_char_boundary(SHOWN));
            let message = format!("`{shown}` is not a whole number from 0 to {most}");
            self.error_of(scope, RenderError::Invalid(message))
        })
    }

    /// Returns the value if it is a constant.
    pub fn as_fixed(&self) -> Option<&Value> {
        match &self.0 {
            TypedForm::Fixed(value) => Some(value),
            _ => None,
        }
    }

    /// Calls `each` with the slot of every variable that it reads.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        match &self.0 {
            TypedForm::Fixed(_) => {}
            TypedForm::Slot(slot) => slot.reads(each),
            TypedForm::Text(template) | TypedForm::Json(template) => template.reads(each),
        }
    }
}

fn render(template: &Template, scope: &mut RenderScope<'_>) -> Result<Vec<u8>, RenderError> {
    let mut text = Vec::new();
    template.render(scope, &mut text)?;
    Ok(text)
}

fn from_json(text: &[u8]) -> Result<Value, RenderError> {
    exact::parse(text)
        .map(|json| to_value(&json))
        .map_err(|error| RenderError::Invalid(error.to_string()))
}
