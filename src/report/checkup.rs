//! The findings of `doctor` about this machine, for the terminal.
//!
//! `cli doctor` prints it.
//! Invariant: each warning is shown with the command that removes its cause.

use std::fmt::Write;

use super::ansi::{DIM, GOOD, WARN, paint, plain};
use super::text_lines::label;
use crate::host::Finding;

/// A line for each finding, and one for its cure.
pub fn render(found: &[Finding]) -> String {
    let mut out = String::new();
    for one in found {
        let (word, style) = if one.ok { ("ok  ", GOOD) } else { ("warn", WARN) };
        let name = format!("{:<12}", one.name);
        let _ = writeln!(out, "{}  {name}  {}", paint(style, word), plain(&one.value));
        let _ = writeln!(out, "{:20}{}", "", paint(DIM, &plain(&one.means)));
        if let Some(cure) = &one.cure {
            let _ = writeln!(out, "{:20}{}", "", plain(cure));
        }
    }
    let bad = found.iter().filter(|one| !one.ok).count();
    let text = match bad {
        0 => "nothing to change".to_owned(),
        1 => "1 thing to change, if tests need it".to_owned(),
        _ => format!("{bad} things to change, if tests need it"),
    };
    label(&mut out, "total", &text);
    out
}
