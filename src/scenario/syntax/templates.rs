//! Templates in paths, header values and bodies.
//!
//! Compilers of steps call it; a mistake inside `{{ }}` is shown at its place in the file.
//! Invariant: a compiled template renders, and all its variables are declared.

use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::{report_wrong, scalar};
use crate::seed::{Seed, Stream};
use crate::template::{
    Builder, Encoding, FUNCTIONS, MAX_ITERATION_WORK, ParseError, ParseErrorKind, RenderScope,
    Template, TypedTemplate,
};

/// Maximum depth of a JSON body; the YAML limits are stricter.
const MAX_DEPTH: usize = 100;

/// Compiles a text with slots; `names` are the variables of its archetype.
pub(crate) fn template(
    diagnostics: &mut Diagnostics,
    node: &Node,
    encoding: Encoding,
    names: &[String],
    expected: &str,
) -> Option<Template> {
    let Some(text) = scalar(node) else { return report_wrong(diagnostics, node, expected) };
    match Template::parse(text, encoding, names) {
        Ok(template) => Some(template),
        Err(error) => {
            report(diagnostics, node, text, &error, names);
            None
        }
    }
}

/// Reads a text in which `{{ env() }}` and `{{ secret() }}` may stand.
pub(crate) fn constant(
    diagnostics: &mut Diagnostics,
    node: &Node,
    expected: &str,
) -> Option<String> {
    let template = template(diagnostics, node, Encoding::Plain, &[], expected)?;
    let mut rng = Seed::ZERO.rng(Stream::World, 0, 0);
    let mut work = MAX_ITERATION_WORK;
    let mut scope = RenderScope {
        variables: &[],
        names: &[],
        rng: &mut rng,
        user: 0,
        iteration: 0,
        run_id: "",
        request: None,
        now_ms: 0,
        work: &mut work,
        from_responses: &[],
    };
    let mut text = Vec::new();
    let rendered = template.render(&mut scope, &mut text).is_ok();
    let text = String::from_utf8(text).ok().filter(|text| rendered && !text.is_empty());
    text.or_else(|| report_wrong(diagnostics, node, expected))
}

/// Compiles a value that keeps its type: a scalar, a single `{{ }}`, a text, a list or a map.
pub(crate) fn typed(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Option<TypedTemplate> {
    match &node.kind {
        NodeKind::Null => Some(TypedTemplate::fixed(())),
        NodeKind::Bool(truth) => Some(TypedTemplate::fixed(*truth)),
        NodeKind::Number(..) | NodeKind::List(_) | NodeKind::Map(_) => {
            json(diagnostics, node, names).map(TypedTemplate::json)
        }
        NodeKind::Text(text) => match TypedTemplate::parse(text, names) {
            Ok(typed) => Some(typed),
            Err(error) => {
                report(diagnostics, node, text, &error, names);
                None
            }
        },
    }
}

/// Compiles a YAML tree to a JSON text with slots.
pub(crate) fn json(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Option<Template> {
    let mut builder = Builder::new(names);
    let before = diagnostics.count();
    json_value(diagnostics, node, names, &mut builder, MAX_DEPTH);
    (diagnostics.count() == before).then(|| builder.build())
}

fn json_value(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
    builder: &mut Builder<'_>,
    depth: usize,
) {
    if depth == 0 {
        diagnostics.mistake(node.span, "this body is nested too deeply");
        return;
    }
    match &node.kind {
        NodeKind::Null => builder.literal(b"null"),
        NodeKind::Bool(truth) => builder.literal(if *truth { b"true" } else { b"false" }),
        NodeKind::Number(written, value) => {
            builder.literal(json_number(written, *value).as_bytes());
        }
        NodeKind::Text(text) => {
            if let Err(error) = builder.json(text) {
                report(diagnostics, node, text, &error, names);
            }
        }
        NodeKind::List(items) => {
            builder.literal(b"[");
            for (index, item) in items.iter().enumerate() {
                builder.literal(if index > 0 { b"," } else { b"" });
                json_value(diagnostics, item, names, builder, depth - 1);
            }
            builder.literal(b"]");
        }
        NodeKind::Map(entries) => {
            builder.literal(b"{");
            for (index, (key, item)) in entries.iter().enumerate() {
                builder.literal(if index > 0 { b"," } else { b"" });
                builder.literal(serde_json::Value::from(key.name.as_str()).to_string().as_bytes());
                builder.literal(b":");
                json_value(diagnostics, item, names, builder, depth - 1);
            }
            builder.literal(b"}");
        }
    }
}

/// Formats a YAML number as JSON, as written if JSON allows it.
fn json_number(written: &str, value: f64) -> String {
    match serde_json::from_str::<serde_json::Number>(written) {
        Ok(_) => written.to_owned(),
        Err(_) => serde_json::Value::from(value).to_string(),
    }
}

/// Compiles a map to `application/x-www-form-urlencoded` text with slots.
pub(crate) fn form(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Option<Template> {
    let expected = "a map of form fields, such as `{ city: Recife }`";
    let entries = values::entries(diagnostics, node, expected)?;
    let mut builder = Builder::new(names);
    let before = diagnostics.count();
    for (index, (key, value)) in entries.iter().enumerate() {
        builder.literal(if index > 0 { b"&" } else { b"" });
        let key = Template::parse(&key.name, Encoding::FormValue, &[]);
        builder.literal(key.ok().as_ref().and_then(Template::as_static).unwrap_or_default());
        builder.literal(b"=");
        let Some(text) = scalar(value) else {
            report_wrong::<()>(
                diagnostics,
                value,
                "a text, number or truth value for this form field",
            );
            continue;
        };
        if let Err(error) = builder.text(text, Encoding::FormValue) {
            report(diagnostics, value, text, &error, names);
        }
    }
    (diagnostics.count() == before).then(|| builder.build())
}

/// Reports a template's mistake at its place.
fn report(
    diagnostics: &mut Diagnostics,
    node: &Node,
    text: &str,
    error: &ParseError,
    names: &[String],
) {
    let span = locate(diagnostics, node.span, text, error);
    match &error.kind {
        ParseErrorKind::UnknownVariable(name) if name == "request" => {
            diagnostics
                .mistake(span, "`request` is available in headers only")
                .expected(
                    "a header's value, such as `x-signature: \"{{ request.body | hmac(key) }}\"`",
                )
                .help("headers are rendered last, after path and body");
        }
        ParseErrorKind::UnknownVariable(name) => {
            let declared: Vec<&str> =
                names.iter().map(String::as_str).chain(["user.number", "run.id"]).collect();
            diagnostics
                .mistake(span, format!("unknown variable `{name}`"))
                .expected(format!("one of {}", declared.join(", ")))
                .did_you_mean(name, declared.iter().copied())
                .help(format!(
                    "capture it from an earlier response: \
                     `capture: {{ {name}: {{ json: \"$.{name}\" }} }}`"
                ));
        }
        ParseErrorKind::UnknownFunction(name) => {
            diagnostics
                .mistake(span, format!("unknown function `{name}`"))
                .expected(format!("one of {}", FUNCTIONS.join(", ")))
                .did_you_mean(name, FUNCTIONS.iter().copied());
        }
        ParseErrorKind::Syntax(message) => {
            diagnostics
                .mistake(span, format!("invalid template: {message}"))
                .expected("an expression such as `{{ product }}` or `{{ int(1, 20) }}`");
        }
        ParseErrorKind::Environment(name) => {
            let name = truncate(name);
            diagnostics
                .mistake(span, format!("environment variable `{name}` is not set, or not UTF-8"))
                .expected("a variable of the environment that Manada is started in")
                .help(format!(
                    "set it with `export {name}=…`, or give a default: `env(\"{name}\", \"…\")`"
                ));
        }
        ParseErrorKind::Misplaced(message) => {
            diagnostics.mistake(span, format!("this text is not allowed here: {message}"));
        }
    }
}

/// Returns the place of a part of a template; the whole span if the part does not occur in it.
pub(crate) fn place(
    diagnostics: &Diagnostics,
    span: SourceSpan,
    text: &str,
    part: &str,
) -> SourceSpan {
    let error = |start: usize| ParseError {
        kind: ParseErrorKind::Misplaced(String::new()),
        range: start..start + part.len(),
    };
    text.find(part).map_or(span, |start| locate(diagnostics, span, text, &error(start)))
}

/// Returns the place of a mistake: exact if the file has the text without escapes, else the first
/// occurrence of the same part, else the whole value.
fn locate(
    diagnostics: &Diagnostics,
    span: SourceSpan,
    text: &str,
    error: &ParseError,
) -> SourceSpan {
    let source = diagnostics.text(span);
    let at = |offset: usize, length: usize| {
        let start = span.start + offset;
        SourceSpan { source: span.source, start, end: start + length }
    };
    if let Some(offset) = source.find(text) {
        return at(offset + error.range.start, error.range.len());
    }
    match text.get(error.range.clone()).filter(|part| !part.is_empty()) {
        Some(part) => source.find(part).map_or(span, |offset| at(offset, part.len())),
        None => span,
    }
}
