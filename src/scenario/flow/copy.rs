//! Steps that copy rows into a table of a PostgreSQL server.
//!
//! `operation` compiles them here.
//! Invariant: as of `sql`: what a step copies is data, and no part of the statement.

use crate::plan::RequestBody;
use crate::plan::operation::{CopiedRows, Operation, SqlMode, SqlStatement};
use crate::scenario::flow::body;
use crate::scenario::flow::compiled_operation::CompiledOperation;
use crate::scenario::flow::context::FlowContext;
use crate::scenario::flow::sql;
use crate::scenario::nouns::copy::{COPY, FORMATS};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;
use crate::template::Template;

/// Compiles a step that copies.
pub(super) fn compile(
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    flow_context: &FlowContext<'_>,
) -> Option<CompiledOperation> {
    let table = values::plain_text(diagnostics, value, "a table such as \"products (id, name)\"");
    let given = fields.take("row");
    let row = given.map(|node| sql::params(diagnostics, node, flow_context.names));
    let count: Option<u64> =
        if given.is_some() { fields.value(diagnostics, "count") } else { None };
    let format = if given.is_some() { None } else { fields.word(diagnostics, "format", &FORMATS) };
    let body = body::body(diagnostics, fields, flow_context, (&mut Vec::new(), None));
    let (table, body) = (table?, body?);
    if given.is_some() == !matches!(body, RequestBody::None) {
        diagnostics
            .mistake(value.span, "rows come from `row`, from `body` or from `file`")
            .expected(COPY.form);
        return None;
    }
    let rows = match row {
        Some(values) => {
            let count = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
            Some(Box::new(CopiedRows { values: values?, count }))
        }
        None => None,
    };
    let text = format!("copy {table} from stdin with (format {})", format.unwrap_or("text"));
    let text = Template::literal(text);
    sql::report_unsendable(diagnostics, value, &text)?;
    let statement =
        SqlStatement { rows, copies: true, ..SqlStatement::new(text, Vec::new(), SqlMode::Simple) };
    let name = table.split(|c: char| c == '(' || c.is_whitespace()).next().unwrap_or_default();
    Some(CompiledOperation {
        operation: Operation::Sql(statement),
        name: format!("copy {name}"),
        method: "COPY".to_owned(),
        body,
    })
}
