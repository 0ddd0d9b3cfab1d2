//! Request bodies: `json`, `form`, `body`, `file` or `multipart`.
//!
//! `step` calls it.
//! Invariant: a body sets its content type, unless the step's headers do.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::files::FileRole;
use crate::plan::RequestBody;
use crate::scenario::flow::context::FlowContext;
use crate::scenario::flow::message;
use crate::scenario::nouns::plain_steps::PART;
use crate::scenario::nouns::steps::BODIES;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::header::Headers;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::{templates, values};
use crate::template::{Builder, Encoding, Template};

/// Maximum size of a file as a body, bytes, because each shard keeps it in memory.
const MAX_FILE: u64 = 64 << 20;

/// Reads bytes in base64.
pub(crate) fn base64(diagnostics: &mut Diagnostics, node: &Node) -> Option<Vec<u8>> {
    let text = values::plain_text(diagnostics, node, "bytes in base64")?;
    match STANDARD.decode(text) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            diagnostics
                .mistake(node.span, format!("`bytes` is not base64: {error}"))
                .expected("bytes in base64, such as `AAEC`");
            None
        }
    }
}

/// Compiles the body of a step, and adds its content type to `headers`; `stamp` are the members of
/// a JSON body that lead to its stamp, if it has one.
pub(crate) fn body(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    flow_context: &FlowContext<'_>,
    (headers, stamp): (&mut Headers, Option<&[String]>),
) -> Option<RequestBody> {
    let noun = fields.noun();
    let known = BODIES.into_iter().filter(|kind| noun.key(kind).is_some());
    let entries = known.map(|kind| fields.entry(kind).map(|(key, node)| (kind, key, node)));
    let given: Vec<(&str, &NodeKey, &Node)> = entries.flatten().collect();
    let (kind, node) = match given.as_slice() {
        [] => return Some(RequestBody::None),
        [(kind, _, node)] => (*kind, *node),
        [(first, ..), (_, second, _), ..] => {
            diagnostics
                .mistake(second.span, format!("a second body: the step has `{first}`"))
                .expected(format!("one of {}", values::list_names(&BODIES)));
            return None;
        }
    };
    let names = flow_context.names;
    let (body, content_type) = match kind {
        "json" => {
            let stamped = stamp.map(|members| message::with_stamp(diagnostics, node, members));
            let json = templates::json(diagnostics, stamped.as_ref().unwrap_or(node), names)?;
            (from_template(json), Some("application/json".to_owned()))
        }
        "body" if stamp.is_some() => {
            (from_template(message::stamped_text(diagnostics, node, names)?), None)
        }
        _ if stamp.is_some() => {
            diagnostics
                .mistake(node.span, format!("a stamp has no place in `{kind}`"))
                .expected("`json` or `body`");
            return None;
        }
        "form" => {
            let form = templates::form(diagnostics, node, names)?;
            (from_template(form), Some("application/x-www-form-urlencoded".to_owned()))
        }
        "file" => (RequestBody::Bytes(file(diagnostics, node)?.1), None),
        "multipart" => {
            let (template, boundary) = multipart(diagnostics, node, flow_context)?;
            (from_template(template), Some(format!("multipart/form-data; boundary={boundary}")))
        }
        "body" if message::misses_stamp(diagnostics, node, names) => return None,
        _ => {
            let text = "the text of the body";
            (
                from_template(templates::template(
                    diagnostics,
                    node,
                    Encoding::Plain,
                    names,
                    text,
                )?),
                None,
            )
        }
    };
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if named && kind == "multipart" {
        // The boundary is generated here, so a given content type could not match the body.
        let headers = fields.entry("headers").map_or(node.span, |(key, _)| key.span);
        diagnostics
            .mistake(
                headers,
                "`content-type` conflicts with `multipart`, which sets its own boundary",
            )
            .help("remove `content-type`");
    }
    if let (Some(content_type), false) = (content_type, named) {
        headers.push(("content-type".to_owned(), Template::literal(content_type)));
    }
    Some(body)
}

fn from_template(template: Template) -> RequestBody {
    match template.as_static() {
        Some(bytes) => RequestBody::Bytes(bytes.to_vec()),
        None => RequestBody::Template(template),
    }
}

/// Reads a file; returns its name and content.
fn file(diagnostics: &mut Diagnostics, node: &Node) -> Option<(String, Vec<u8>)> {
    let path = values::file(diagnostics, node)?;
    let shown = path.display();
    let mut bytes = Vec::new();
    let file = diagnostics.files.open(&path, FileRole::Body);
    match file.and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > MAX_FILE => {
            diagnostics
                .mistake(node.span, format!("{shown} is too large for a body"))
                .expected("a file of at most 64 MiB, since each shard holds it in memory");
            None
        }
        Ok(_) => {
            let name = Path::new(&path).file_name().unwrap_or_default();
            Some((name.to_string_lossy().into_owned(), bytes))
        }
        Err(error) => {
            diagnostics.mistake(node.span, format!("{shown} cannot be read: {error}"));
            None
        }
    }
}

/// Compiles a multipart form (RFC 7578); returns it with its boundary.
fn multipart(
    diagnostics: &mut Diagnostics,
    node: &Node,
    flow_context: &FlowContext<'_>,
) -> Option<(Template, String)> {
    let expected = "a map of parts, such as `{ doc: { file: a.pdf }, note: hello }`";
    let entries = values::entries(diagnostics, node, expected)?;
    let before = diagnostics.count();
    let mut parts = Vec::new();
    for (key, node) in entries {
        parts.extend(part(diagnostics, key, node, flow_context));
    }
    if diagnostics.count() > before {
        return None;
    }
    let boundary = boundary(&parts);
    let mut builder = Builder::new(flow_context.names);
    for part in &parts {
        builder.literal(format!("--{boundary}\r\n{}\r\n\r\n", part.head).as_bytes());
        match &part.content {
            Content::Bytes(bytes) => builder.literal(bytes),
            // The text has been parsed successfully before.
            Content::Text(text) => builder.text(text, Encoding::Plain).ok()?,
        }
        builder.literal(b"\r\n");
    }
    builder.literal(format!("--{boundary}--\r\n").as_bytes());
    Some((builder.build(), boundary))
}

struct MultipartPart {
    head: String,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    Text(String),
}

fn part(
    diagnostics: &mut Diagnostics,
    key: &NodeKey,
    node: &Node,
    flow_context: &FlowContext<'_>,
) -> Option<MultipartPart> {
    let name = quoted(&key.name);
    let text = |diagnostics: &mut Diagnostics, node: &Node| {
        let expected = "the text of this part, or `{ file: NAME }`";
        templates::template(diagnostics, node, Encoding::Plain, flow_context.names, expected)?;
        values::scalar(node).map(|text| Content::Text(text.to_owned()))
    };
    if !matches!(node.kind, NodeKind::Map(_)) {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        return text(diagnostics, node).map(|content| MultipartPart { head, content });
    }
    let mut fields = Fields::read(diagnostics, node, &PART)?;
    let named = fields
        .take("filename")
        .and_then(|node| values::plain_text(diagnostics, node, "the file name to send"));
    let kind = fields
        .take("type")
        .and_then(|node| values::plain_text(diagnostics, node, "a content type such as image/png"));
    let file = fields.take("file").map(|node| self::file(diagnostics, node));
    let value = fields.take("value").map(|node| text(diagnostics, node));
    fields.finish(diagnostics);
    let (content, default_name) = match (file, value) {
        (Some(file), None) => file.map(|(name, bytes)| (Content::Bytes(bytes), Some(name)))?,
        (None, Some(value)) => (value?, None),
        _ => {
            diagnostics
                .mistake(node.span, "a part has either `file` or `value`")
                .expected("one of the two");
            return None;
        }
    };
    let is_file = default_name.is_some();
    let mut head = format!("Content-Disposition: form-data; name=\"{name}\"");
    if let Some(file) = named.map(str::to_owned).or(default_name) {
        let _ = write!(head, "; filename=\"{}\"", quoted(&file));
    }
    if let Some(kind) = kind.or(is_file.then_some("application/octet-stream")) {
        let kind: String = kind.chars().filter(|c| !c.is_control()).collect();
        let _ = write!(head, "\r\nContent-Type: {kind}");
    }
    Some(MultipartPart { head, content })
}

/// Escapes a name for quotes as browsers do (WHATWG HTML, multipart/form-data encoding).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns a boundary that occurs in none of the parts; the same parts give the same boundary.
fn boundary(parts: &[MultipartPart]) -> String {
    let is_used = |boundary: &str| {
        parts.iter().any(|part| {
            let bytes = match &part.content {
                Content::Bytes(bytes) => bytes.as_slice(),
                Content::Text(text) => text.as_bytes(),
            };
            memchr::memmem::find(bytes, boundary.as_bytes()).is_some()
        })
    };
    let mut number = 0u64;
    loop {
        let boundary = format!("manada-part-{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if !is_used(&boundary) {
            return boundary;
        }
        number += 1;
    }
}
