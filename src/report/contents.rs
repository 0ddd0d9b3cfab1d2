//! Bodies by content type: on the terminal and in `summary.json`.
//!
//! `summary` and `json` render it.
//! Invariant: it is shown only if a service counts contents.

use serde_json::{Value, json};

use super::ansi::plain;
use super::text_lines::heading;
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::units::{show_bytes, show_count};

/// A row per content type.
pub(crate) fn render(out: &mut String, report: &Report) {
    let types = &report.snapshot.contents.types;
    if types.is_empty() {
        return;
    }
    heading(out, "Bodies by content type");
    let mut aligns = [Align::Right; 6];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["", "responses", "encoded", "on the wire", "decoded", "ratio"]);
    for (name, body) in types {
        table.row([
            format!("  {}", plain(name)),
            show_count(body.responses),
            show_count(body.encoded),
            show_bytes(body.wire_bytes),
            show_bytes(body.decoded_bytes),
            body.ratio().map_or(String::new(), |ratio| format!("{:.1} %", ratio * 100.0)),
        ]);
    }
    table.render(out, 2);
}

/// An entry per content type.
pub(crate) fn document(report: &Report) -> Value {
    let types = report.snapshot.contents.types.iter();
    types
        .map(|(name, body)| {
            json!({
                "type": name,
                "responses": body.responses,
                "encoded": body.encoded,
                "undecodable": body.undecodable,
                "wire_bytes": body.wire_bytes,
                "decoded_bytes": body.decoded_bytes,
            })
        })
        .collect()
}
