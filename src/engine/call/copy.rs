//! Requests that copy rows into a table of PostgreSQL: the statement, its data and their end, in
//! one write.
//!
//! `operation` prepares and renders them. A server that refuses the statement passes the data by
//! (PostgreSQL 18, §54.2.6), so nothing is waited for.
//! Invariant: a value is one value of its row, whatever characters it has.

use crate::plan::operation::{CopiedRows, SqlStatement};
use crate::plan::{Call, RequestBody};
use crate::template::{RenderError, RenderScope, Template};
use crate::wire::sql_encode;

/// A request, as far as it is known beforehand.
#[derive(Debug)]
pub(crate) struct PreparedCopy {
    /// The statement as a message.
    statement: Vec<u8>,
    data: CopySource,
}

#[derive(Debug)]
enum CopySource {
    Fixed(Vec<u8>),
    Rows(CopiedRows),
    Text(Template),
}

impl PreparedCopy {
    /// Prepares a statement and its data.
    pub(crate) fn new(call: &Call, statement: &SqlStatement) -> Self {
        let mut bytes = Vec::new();
        // `scenario` has encoded it before.
        let _ = sql_encode::query(&mut bytes, statement.text.as_static().unwrap_or_default());
        let data = match (&statement.rows, &call.request.body) {
            (Some(rows), _) => CopySource::Rows((**rows).clone()),
            (None, RequestBody::Template(text)) => match text.as_static() {
                Some(fixed) => CopySource::Fixed(fixed.to_vec()),
                None => CopySource::Text(text.clone()),
            },
            (None, RequestBody::Bytes(fixed)) => CopySource::Fixed(fixed.clone()),
            (None, RequestBody::None) => CopySource::Fixed(Vec::new()),
        };
        Self { statement: bytes, data }
    }

    /// The bytes of a request that is the same for each call.
    pub(crate) fn fixed(&self) -> Option<Vec<u8>> {
        let CopySource::Fixed(data) = &self.data else { return None };
        let mut bytes = self.statement.clone();
        sql_encode::copy_data(&mut bytes, data);
        sql_encode::copy_done(&mut bytes);
        Some(bytes)
    }

    /// Renders the request of one call behind what `buffer` has.
    pub(crate) fn render(
        &self,
        scope: &mut RenderScope<'_>,
        buffer: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        buffer.extend_from_slice(&self.statement);
        let mut data = Vec::new();
        match &self.data {
            CopySource::Fixed(fixed) => data.extend_from_slice(fixed),
            CopySource::Text(text) => text.render(scope, &mut data)?,
            CopySource::Rows(rows) => {
                for _ in 0..rows.count {
                    row(rows, scope, &mut data, scratch)?;
                }
            }
        }
        sql_encode::copy_data(buffer, &data);
        sql_encode::copy_done(buffer);
        Ok(())
    }
}

/// Renders a value of SQL into `scratch`; `None` is NULL.
pub(super) fn sql_value<'s>(
    value: Option<&Template>,
    scope: &mut RenderScope<'_>,
    scratch: &'s mut Vec<u8>,
) -> Result<Option<&'s [u8]>, RenderError> {
    let Some(value) = value else { return Ok(None) };
    scratch.clear();
    value.render(scope, scratch)?;
    Ok(Some(scratch))
}

fn row(
    rows: &CopiedRows,
    scope: &mut RenderScope<'_>,
    data: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(), RenderError> {
    for (place, value) in rows.values.iter().enumerate() {
        if place > 0 {
            data.push(b'\t');
        }
        let value = sql_value(value.as_ref(), scope, scratch)?;
        sql_encode::copy_value(data, value);
    }
    data.push(b'\n');
    Ok(())
}
