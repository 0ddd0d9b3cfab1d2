//! A compiled template.
//!
//! `parse` builds it, `engine` renders it into a reused buffer.
//! Invariant: rendering appends at most [`MAX_OUTPUT`] bytes before it fails.

use super::encode::{self, Encoding, MAX_OUTPUT};
use super::error::RenderError;
use super::scope::RenderScope;
use super::slot::TemplateSlot;

/// A compiled text.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) segments: Vec<TemplatePart>,
    /// Whether the template is a request path: the rendered text must begin with `/`.
    pub(super) is_path: bool,
}

#[derive(Clone, Debug)]
pub(super) enum TemplatePart {
    Literal(Vec<u8>),
    Slot(TemplateSlot, Encoding),
}

impl Template {
    /// Wraps a text without slots.
    pub fn literal(text: impl Into<Vec<u8>>) -> Self {
        Self { segments: vec![TemplatePart::Literal(text.into())], is_path: false }
    }

    /// Returns the text with `slot` in place of each slot.
    pub fn shape(&self, slot: char) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            TemplatePart::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            TemplatePart::Slot(..) => slot.to_string(),
        });
        segments.collect()
    }

    /// Encodes a text in which `{{ }}` has no meaning.
    pub fn encoded(text: &str, encoding: Encoding) -> Result<Self, RenderError> {
        let mut bytes = Vec::new();
        encode::text(text, encoding, &mut bytes)?;
        Ok(Self::literal(bytes))
    }

    /// Returns the whole text if it has no slots.
    pub fn as_static(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [] => Some(&[]),
            [TemplatePart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns about how long the rendered text is, bytes: a slot counts as eight.
    pub fn likely_len(&self) -> usize {
        let len = |segment: &TemplatePart| match segment {
            TemplatePart::Literal(text) => text.len(),
            TemplatePart::Slot(..) => 8,
        };
        self.segments.iter().map(len).sum()
    }

    /// Calls `each` with the slot of every variable that it reads.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        for segment in &self.segments {
            if let TemplatePart::Slot(slot, _) = segment {
                slot.reads(each);
            }
        }
    }

    /// Whether the template reads the request that its header belongs to.
    pub fn reads_request(&self) -> bool {
        let reads = |slot: &TemplateSlot| match slot {
            TemplateSlot::Expression(one) => one.reads_request(),
            _ => false,
        };
        self.segments.iter().any(|one| matches!(one, TemplatePart::Slot(slot, _) if reads(slot)))
    }

    /// Calls `each` with the slot of every variable of which it reads a part, and the part's name,
    /// such as `id` in `row.id`.
    pub fn parts(&self, each: &mut dyn FnMut(usize, &str)) {
        for segment in &self.segments {
            match segment {
                TemplatePart::Slot(TemplateSlot::Field(slot, name), _) => each(*slot, name),
                TemplatePart::Slot(TemplateSlot::Expression(expression), _) => {
                    expression.parts(each);
                }
                _ => {}
            }
        }
    }

    /// Appends the rendered text to `out`; after an error `out` holds the text before it.
    pub fn render(
        &self,
        scope: &mut RenderScope<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let rendered = self.render_all(scope, out);
        rendered.map_err(|error| error.attributed(scope.from_responses, |each| self.reads(each)))
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
            return Err(RenderError::Invalid("a path that does not start with `/`".to_owned()));
        }
        Ok(())
    }
}
