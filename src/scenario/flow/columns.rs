//! Checks that the feeds have the columns that templates read.
//!
//! `archetype` calls it after its steps and feeds are read.
//! Invariant: only certain errors are reported: the columns are known, and only the feed sets its
//! variable.

use crate::plan::flow::DataDraw;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::templates;
use crate::suggest::nearest;
use crate::template::{Encoding, Template};

/// Maximum columns named in a message.
const MAX_NAMED: usize = 12;

/// A feed's variable with its columns.
struct KnownColumns<'d> {
    draw: &'d DataDraw,
    /// `None`: they are not known.
    columns: Option<Vec<String>>,
}

impl KnownColumns<'_> {
    /// Whether no row has the column.
    fn lacks(&self, name: &str) -> bool {
        match &self.columns {
            Some(columns) => !columns.iter().any(|own| own == name),
            None => self.draw.feed.rows.rules().drops(name),
        }
    }
}

/// Reports each column below `nodes` that its feed lacks. `names` are the variables; `is_set`
/// tells whether a step assigns a variable as well.
pub(crate) fn check(
    diagnostics: &mut Diagnostics,
    names: &[String],
    draws: &[DataDraw],
    nodes: &[&Node],
    is_set: impl Fn(&str) -> bool,
) {
    let known: Vec<KnownColumns<'_>> = draws
        .iter()
        .filter(|draw| !is_set(&names[draw.variable]))
        .map(|draw| KnownColumns { draw, columns: draw.feed.rows.columns() })
        .collect();
    if !known.is_empty() {
        nodes.iter().for_each(|node| check_node(diagnostics, names, &known, node));
    }
}

fn check_node(
    diagnostics: &mut Diagnostics,
    names: &[String],
    known: &[KnownColumns<'_>],
    node: &Node,
) {
    match &node.kind {
        NodeKind::Text(text) if text.contains("{{") => {
            check_text(diagnostics, names, known, node, text);
        }
        NodeKind::List(items) => {
            items.iter().for_each(|item| check_node(diagnostics, names, known, item));
        }
        NodeKind::Map(entries) => {
            entries.iter().for_each(|(_, value)| check_node(diagnostics, names, known, value));
        }
        _ => {}
    }
}

fn check_text(
    diagnostics: &mut Diagnostics,
    names: &[String],
    known: &[KnownColumns<'_>],
    node: &Node,
    text: &str,
) {
    // The step's reader has reported syntax errors already.
    let Ok(template) = Template::parse(text, Encoding::Plain, names) else { return };
    let mut missing = Vec::new();
    template.parts(&mut |slot, name| {
        let feed = known.iter().find(|known| known.draw.variable == slot);
        if let Some(feed) = feed.filter(|feed| feed.lacks(name)) {
            missing.push((feed, name.to_owned()));
        }
    });
    for (feed, name) in missing {
        let variable = &feed.draw.feed.name;
        let span = templates::place(diagnostics, node.span, text, &format!("{variable}.{name}"));
        let columns = feed.columns.as_deref().unwrap_or_default();
        let shown: Vec<String> =
            columns.iter().take(MAX_NAMED).map(|column| format!("`{column}`")).collect();
        let more = if columns.len() > MAX_NAMED { ", …" } else { "" };
        if feed.draw.feed.rows.rules().drops(&name) {
            diagnostics
                .mistake(span, format!("`{variable}.{name}` is not there: `sanitize` drops it"))
                .help("give the column another rule, such as `hash`, or leave it out here");
            continue;
        }
        let mistake = diagnostics.mistake(span, format!("`{variable}` has no column `{name}`"));
        mistake.expected(format!("one of {}{more}", shown.join(", ")));
        if let Some(suggestion) = nearest(&name, columns.iter().map(String::as_str)) {
            mistake.help(format!("did you mean `{variable}.{suggestion}`?"));
        }
        if let [only] = columns
            && only.contains([';', '\t', '|'])
        {
            mistake.help("separate columns with commas (RFC 4180)");
        }
    }
}
