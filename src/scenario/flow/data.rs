//! `data:` — rows for users, from a file or inline.
//!
//! `archetype` calls it; rows are read or indexed while the scenario is compiled.
//! Invariant: a compiled feed has at least one row.

use std::path::Path;
use std::sync::Arc;

use crate::files::{FileRole, Files};
use crate::plan::data::sanitize::ColumnRules;
use crate::plan::data::{AtEnd, Feed, Format, RowPick, Rows, RowsError};
use crate::plan::flow::DataDraw;
use crate::scenario::flow::{check, sanitize};
use crate::scenario::nouns::users::{FEED, TAKERS};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::template::Value;
use crate::template::exact_json::to_value;

const EXPECTED: &str = "a map of feeds, such as `account: { csv: accounts.csv, pick: unique }`";

/// Compiles the feeds of an archetype; `names` are its variables.
pub(crate) fn feeds(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Vec<DataDraw> {
    let Some(entries) = values::entries(diagnostics, node, EXPECTED) else { return Vec::new() };
    entries.iter().filter_map(|(key, node)| draw(diagnostics, key, node, names)).collect()
}

fn draw(
    diagnostics: &mut Diagnostics,
    key: &NodeKey,
    node: &Node,
    names: &[String],
) -> Option<DataDraw> {
    let mut fields = Fields::read(diagnostics, node, &FEED)?;
    let csv = fields.entry("csv");
    let json = fields.entry("json");
    let inline = fields.entry("inline");
    let pick = fields.word(diagnostics, "pick", &RowPick::NAMES);
    let per = fields.word(diagnostics, "per", &TAKERS);
    let at_end = fields.entry("at_end");
    let ends = fields.word(diagnostics, "at_end", &AtEnd::NAMES);
    let own = fields.take("sanitize");
    let before = diagnostics.count();
    fields.finish(diagnostics);
    let rules = sanitize::rules(diagnostics, own);
    let rows = match (csv, json, inline) {
        (Some((_, node)), None, None) => file(diagnostics, node, Format::Csv, rules),
        (None, Some((_, node)), None) => file(diagnostics, node, Format::Json, rules),
        (None, None, Some((_, node))) => inline_rows(diagnostics, node, &key.name, rules),
        _ if diagnostics.count() > before => None,
        _ => {
            diagnostics
                .mistake(node.span, "a feed has one source")
                .expected("one of `csv: FILE`, `json: FILE` or `inline: [ … ]`");
            None
        }
    };
    let pick = pick.unwrap_or(RowPick::Queue);
    if let Some((key, _)) = at_end
        && !pick.runs_out()
    {
        let name = RowPick::NAMES.iter().find(|(_, known)| *known == pick).map_or("", |(n, _)| n);
        diagnostics.warn(key.span, format!("`{name}` never ends"), "`at_end` has no effect");
    }
    let (rows, source) = rows?;
    sanitize::check(diagnostics, key, own, &rows);
    Some(DataDraw {
        variable: names.iter().position(|name| *name == key.name)?,
        feed: Feed {
            name: key.name.clone(),
            rows: Arc::new(rows),
            source,
            pick,
            at_end: ends.unwrap_or_default(),
        },
        per_iteration: per.unwrap_or(false),
    })
}

fn file(
    diagnostics: &mut Diagnostics,
    node: &Node,
    format: Format,
    rules: ColumnRules,
) -> Option<(Rows, String)> {
    let path = values::file(diagnostics, node)?;
    // Rows with rules do not travel as they are.
    let role = if rules.is_empty() { FileRole::Data } else { FileRole::SanitizedData };
    let file = diagnostics.files.open(&path, role);
    match file.map_err(RowsError::from).and_then(|file| Rows::read(file, format, rules)) {
        Ok(rows) => {
            warn_about_separator(diagnostics, node, format, &rows);
            Some((rows, identity(&diagnostics.files, &path)))
        }
        Err(problem) => {
            let message = format!("{}: {problem}", path.display());
            let mistake = diagnostics.mistake(node.span, message);
            match (&problem, format) {
                (RowsError::SameColumn(_), _) => {
                    mistake.expected("a unique name for each column");
                }
                (RowsError::TooLarge, _) => {
                    mistake
                        .help("write one object per line: such files are not loaded into memory");
                }
                (_, Format::Csv) => {
                    mistake.expected("column names in the first line, then one row per line");
                }
                (_, Format::Json) => {
                    mistake.expected("an array of objects, or one object per line");
                }
            }
            None
        }
    }
}

/// Warns about a file with one column whose name contains another separator than the comma.
fn warn_about_separator(diagnostics: &mut Diagnostics, node: &Node, format: Format, rows: &Rows) {
    let columns = rows.columns().filter(|_| format == Format::Csv);
    if let Some([only]) = columns.as_deref()
        && only.contains([';', '\t', '|'])
    {
        let message = format!("this file has one column, `{}`", truncate(only));
        diagnostics.warn(node.span, message, "columns are separated by commas (RFC 4180)");
    }
}

/// Returns the identity of a file, which is the same for all feeds that share its rows.
fn identity(files: &Files, path: &Path) -> String {
    files.real_path(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn inline_rows(
    diagnostics: &mut Diagnostics,
    node: &Node,
    name: &str,
    rules: ColumnRules,
) -> Option<(Rows, String)> {
    let expected = "a list of rows, such as `[ { name: Recife }, { name: Lisboa } ]`";
    let items = values::list(diagnostics, node, expected)?;
    let mut rows = Vec::new();
    for item in items {
        match item.kind {
            NodeKind::Map(_) => rows.push(to_value(&check::to_json(item))),
            _ => report_wrong(diagnostics, item, "a row: a map such as `{ name: Recife }`")?,
        }
    }
    let has_raw = |row: &Value| rules.apply(row.clone()) != *row;
    if rows.iter().any(has_raw) {
        diagnostics.hide_source(node.span);
    }
    match Rows::inline(rows, rules) {
        // Inline rows are a source of their own, identified by their place.
        Ok(rows) => Some((rows, format!("{name} at {}:{}", node.span.source, node.span.start))),
        Err(_) => report_wrong(diagnostics, node, expected),
    }
}
