//! Steps that call a PostgreSQL server.
//!
//! `operation` compiles them here.
//! Invariant: the text of a statement is fixed, unless it is sent as a text alone; values are
//! parameters, so that no value of a load changes what a statement does.

use crate::plan::RequestBody;
use crate::plan::operation::{Operation, SqlMode, SqlStatement, first_word};
use crate::scenario::flow::compiled_operation::CompiledOperation;
use crate::scenario::nouns::sql::MAX_PARAMS;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::{templates, values};
use crate::template::{Encoding, Template};
use crate::wire::sql_encode;

const EXPECTED: &str = "a statement such as \"select price from products where id = $1\"";

/// Compiles a statement.
pub(super) fn compile(
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    names: &[String],
) -> Option<CompiledOperation> {
    let text = templates::template(diagnostics, value, Encoding::Plain, names, EXPECTED);
    let given = fields.take("params");
    let params = given.map(|node| params(diagnostics, node, names));
    let mode = fields.word(diagnostics, "mode", &SqlMode::NAMES).unwrap_or_default();
    let (text, params) = (text?, params.unwrap_or_else(|| Some(Vec::new()))?);
    if let (SqlMode::Simple, Some(node)) = (mode, given) {
        diagnostics
            .mistake(node.span, "`params` do not go with `mode: simple`")
            .help("remove `mode: simple`, or write the values into the statement");
        return None;
    }
    if mode != SqlMode::Simple && text.as_static().is_none() {
        diagnostics
            .mistake(value.span, "the statement has a template")
            .expected("a fixed text, with `$1` and so on in the places of its values")
            .help("write the values as `params: [ … ]`, so that none of them is read as SQL");
        return None;
    }
    // The first word is what a safety limit on methods looks at.
    let written = values::scalar(value).unwrap_or_default();
    let Some(method) = first_word(written) else {
        diagnostics
            .mistake(value.span, "the statement does not begin with a word")
            .expected(EXPECTED);
        return None;
    };
    report_copy(diagnostics, value, (&method, written));
    report_unsendable(diagnostics, value, &text)?;
    let statement = SqlStatement::new(text, params, mode);
    Some(CompiledOperation {
        operation: Operation::Sql(statement),
        name: format!("sql {method}"),
        method,
        body: RequestBody::None,
    })
}

pub(super) fn params(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Option<Vec<Option<Template>>> {
    let expected = "a list of values, such as `[ \"{{ id }}\", 7, null ]`";
    let items = values::list(diagnostics, node, expected)?;
    if items.is_empty() || items.len() > MAX_PARAMS {
        return values::report_wrong(diagnostics, node, expected);
    }
    let one = |item: &Node| match item.kind {
        NodeKind::Null => Some(None),
        _ => {
            templates::template(diagnostics, item, Encoding::Plain, names, "a parameter").map(Some)
        }
    };
    let params: Vec<_> = items.iter().map(one).collect();
    params.into_iter().collect()
}

/// Reports a statement that waits for data.
fn report_copy(diagnostics: &mut Diagnostics, node: &Node, (method, text): (&str, &str)) {
    let is_stdin = |word: &str| word.eq_ignore_ascii_case("stdin");
    if method == "COPY" && text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_stdin) {
        diagnostics
            .mistake(node.span, "`COPY … FROM STDIN` waits for data, which no step sends")
            .expected("a step such as `{ copy: products (id, name), row: [ 7, cup ] }`");
    }
}

/// Reports a fixed text that no message can hold.
pub(super) fn report_unsendable(
    diagnostics: &mut Diagnostics,
    node: &Node,
    text: &Template,
) -> Option<()> {
    let encoded = sql_encode::query(&mut Vec::new(), text.as_static().unwrap_or_default());
    let report = |why| {
        diagnostics.mistake(node.span, format!("the statement {why}")).expected(EXPECTED);
    };
    encoded.map_err(report).ok()
}
