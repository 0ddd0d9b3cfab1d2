//! Parses a text with `{{ }}` into segments.
//!
//! `scenario` calls it while it lowers a flow, and reports a `ParseError` with its place.
//! Invariant: a parsed template can be rendered; adjacent literals are one segment.

use std::ops::Range;

use rand_xoshiro::rand_core::SeedableRng;

use super::compiled::{Template, TemplatePart};
use super::encode::{self, Encoding};
use super::error::{ParseError, ParseErrorKind};
use super::slot::TemplateSlot;
use super::{calls, expression};
use crate::seed::Rng;

/// The longest expression, bytes; its parser takes stack for each operator.
const MAX_EXPRESSION: usize = 1_000;

impl Template {
    /// Compiles a text. Its slots (and, in a URL, its literals) are encoded as `encoding` says;
    /// `names` are the existing variables, in the order of their slots.
    pub fn parse(text: &str, encoding: Encoding, names: &[String]) -> Result<Self, ParseError> {
        let mut builder = Builder::new(names);
        builder.text(text, encoding)?;
        let mut template = builder.build();
        template.is_path = encoding == Encoding::Url && template.as_static().is_none();
        Ok(template)
    }
}

/// Builds a template from texts and literals; a JSON body consists of many.
#[derive(Debug)]
pub struct Builder<'a> {
    names: &'a [String],
    segments: Vec<TemplatePart>,
}

impl<'a> Builder<'a> {
    /// Creates an empty builder; `names` are the existing variables, in the order of their slots.
    pub fn new(names: &'a [String]) -> Self {
        Self { names, segments: Vec::new() }
    }

    /// Adds bytes unchanged.
    pub fn literal(&mut self, bytes: &[u8]) {
        if let Some(TemplatePart::Literal(last)) = self.segments.last_mut() {
            last.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            self.segments.push(TemplatePart::Literal(bytes.to_vec()));
        }
    }

    /// Adds a text; its literals and slots are encoded as `encoding` says.
    pub fn text(&mut self, text: &str, encoding: Encoding) -> Result<(), ParseError> {
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|found| at + found) {
            self.encoded(text, at..open, encoding)?;
            let inner = open + 2;
            let close = inner
                + end_of_slot(&text[inner..]).ok_or_else(|| ParseError {
                    kind: ParseErrorKind::Syntax("`{{` has no closing `}}`".to_owned()),
                    range: open..inner,
                })?;
            // A header is rendered last, and may sign the rest of the request.
            let knows_request = encoding == Encoding::Header;
            let slot = self.slot(text, inner..close, knows_request)?;
            self.segments.push(TemplatePart::Slot(slot, encoding));
            at = close + 2;
        }
        self.encoded(text, at..text.len(), encoding)
    }

    /// Adds a JSON value given as a text: a single `{{ }}` keeps the type of its value, any other
    /// text is a string.
    pub fn json(&mut self, text: &str) -> Result<(), ParseError> {
        if let Some(slot) = whole_slot(text, self.names) {
            self.segments.push(TemplatePart::Slot(slot?, Encoding::JsonValue));
            return Ok(());
        }
        self.literal(b"\"");
        self.text(text, Encoding::JsonText)?;
        self.literal(b"\"");
        Ok(())
    }

    /// Returns the template.
    pub fn build(self) -> Template {
        Template { segments: self.segments, is_path: false }
    }

    fn encoded(
        &mut self,
        text: &str,
        range: Range<usize>,
        encoding: Encoding,
    ) -> Result<(), ParseError> {
        let literal = &text[range.clone()];
        if let Some(open) = literal.find("{%")
            && literal[open..].contains("%}")
        {
            return Err(ParseError {
                kind: ParseErrorKind::Syntax(
                    "`{% %}` statements are not supported, only `{{ }}`".into(),
                ),
                range: range.start + open..range.start + open + 2,
            });
        }
        let mut bytes = Vec::with_capacity(literal.len());
        encode::text(literal, encoding, &mut bytes).map_err(|error| ParseError {
            kind: ParseErrorKind::Misplaced(error.to_string()),
            range,
        })?;
        self.literal(&bytes);
        Ok(())
    }

    fn slot(
        &self,
        text: &str,
        range: Range<usize>,
        knows_request: bool,
    ) -> Result<TemplateSlot, ParseError> {
        let padded = &text[range.clone()];
        let source = padded.trim();
        let start = range.start + (padded.len() - padded.trim_start().len());
        let error = |kind, range: Range<usize>| ParseError { kind, range };
        let here = start..start + source.len();
        if source.is_empty() {
            let message = "`{{ }}` is empty".to_owned();
            let around = range.start - 2..range.end + 2;
            return Err(error(ParseErrorKind::Syntax(message), around));
        }
        if let Some(slot) = self.names.iter().position(|name| name == source) {
            return Ok(TemplateSlot::Variable(slot));
        }
        if let Some((whole, part)) = source.split_once('.')
            && let Some(slot) = self.names.iter().position(|name| name == whole)
            && !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !part.starts_with(|first: char| first.is_ascii_digit())
        {
            return Ok(TemplateSlot::Field(slot, part.to_owned()));
        }
        if source == "user.number" {
            return Ok(TemplateSlot::UserNumber);
        }
        if source == "run.id" {
            return Ok(TemplateSlot::RunId);
        }
        if let Some((low, high)) = int_range(source)
            && low <= high
        {
            return Ok(TemplateSlot::Int(low, high));
        }
        if source.len() > MAX_EXPRESSION {
            let message = format!("an expression of more than {MAX_EXPRESSION} bytes");
            return Err(error(ParseErrorKind::Syntax(message), here.start..here.start + 1));
        }
        let rewritten = calls::rewrite(source, self.names)
            .map_err(|(kind, range)| error(kind, start + range.start..start + range.end))?;
        if let [(name, value)] = rewritten.constants.as_slice()
            && *name == rewritten.source
        {
            return Ok(TemplateSlot::Constant(value.clone()));
        }
        let compiled = expression::compile(source, rewritten, self.names, knows_request);
        let (expression, unknown) = compiled.map_err(|problem| {
            error(ParseErrorKind::Syntax(expression::show(&problem)), here.clone())
        })?;
        if let Some(name) = unknown.into_iter().next() {
            let (at, is_call) = find_mention(source, &name);
            let range = start + at..start + at + name.len();
            return Err(error(
                if is_call {
                    ParseErrorKind::UnknownFunction(name)
                } else {
                    ParseErrorKind::UnknownVariable(name)
                },
                range,
            ));
        }
        expression
            .find_errors(&mut Rng::seed_from_u64(0))
            .map_err(|problem| error(ParseErrorKind::Syntax(expression::show(&problem)), here))?;
        Ok(TemplateSlot::Expression(expression))
    }
}

/// Parses a text that is a single slot, `{{ n + 1 }}`, possibly with white space around it; `None`
/// if it is not.
pub(super) fn whole_slot(text: &str, names: &[String]) -> Option<Result<TemplateSlot, ParseError>> {
    let whole = text.trim();
    let inner = whole.strip_prefix("{{")?;
    if end_of_slot(inner)? + 2 != inner.len() {
        return None;
    }
    let start = text.len() - text.trim_start().len();
    Some(Builder::new(names).slot(text, start + 2..start + whole.len() - 2, false))
}

/// Parses `int(1, 20)` with two integers.
fn int_range(source: &str) -> Option<(i64, i64)> {
    let arguments =
        source.strip_prefix("int")?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    let (low, high) = arguments.split_once(',')?;
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

/// Returns where `name` stands as a whole word, and whether it is called there.
fn find_mention(source: &str, name: &str) -> (usize, bool) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in source.match_indices(name) {
        let after = &source[at + name.len()..];
        if !source[..at].ends_with(is_word) && !after.starts_with(is_word) {
            return (at, after.trim_start().starts_with('('));
        }
    }
    (0, false)
}

/// Returns the position of the `}}` that closes a slot; braces and quotes inside the slot are
/// skipped.
fn end_of_slot(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut at) = (0u32, None, 0);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}
