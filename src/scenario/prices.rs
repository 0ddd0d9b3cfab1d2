//! Files of prices, for `manada plan --cost` and the cost of a report.
//!
//! `cli` calls [`load_prices`]; `manada check` asks [`is_prices`] first.
//! Invariant: a returned file has finite prices that are not negative.

use std::path::Path;

use crate::files::{FileRole, Files};
use crate::plan::prices::Prices;
use crate::scenario::library;
use crate::scenario::nouns::noun::ValueShape::Number;
use crate::scenario::nouns::prices::{NETWORK_PRICES, PRICES};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::field_value::FieldValue;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::Mistakes;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::{source, values};

/// The longest name of a currency, characters.
const MAX_CURRENCY: usize = 16;

/// Whether a file is meant as one of prices: a line starts with a key that only those have.
pub fn is_prices(path: &Path) -> bool {
    let text = source::contents(&Files::default(), path, FileRole::Scenario).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let key = |line: &str| line.split_once(':').map(|(key, _)| key.to_owned());
    text.lines().filter_map(key).any(|key| PRICES.key(&key).is_some())
}

/// Loads a file of prices.
///
/// # Errors
/// All mistakes at once, each with its place.
pub fn load_prices(path: &Path) -> Result<Prices, Mistakes> {
    let mut diagnostics = Diagnostics::default();
    // The file is named on the command line.
    diagnostics.readable.add(Path::new("/"));
    let document = library::read(&mut diagnostics, path, FileRole::Scenario, None);
    let prices = document.and_then(|document| read(&mut diagnostics, &document.node));
    diagnostics.finish(prices).map(|(prices, _)| prices)
}

fn read(diagnostics: &mut Diagnostics, node: &Node) -> Option<Prices> {
    let mut fields = Fields::read(diagnostics, node, &PRICES)?;
    let mut prices = Prices::default();
    let version: Option<u64> = fields.value(diagnostics, "prices");
    fields.read_into(diagnostics, "currency", &mut prices.currency, |diagnostics, node| {
        let text = values::plain_text(diagnostics, node, "a currency such as EUR")?;
        let is_short = !text.is_empty() && text.chars().count() <= MAX_CURRENCY;
        if !is_short || text.chars().any(char::is_control) {
            return values::report_wrong(diagnostics, node, "a currency such as EUR");
        }
        Some(text.to_owned())
    });
    fields.fill(diagnostics, "cpu_core_hour", &mut prices.cpu_core_hour);
    fields.fill(diagnostics, "memory_gb_hour", &mut prices.memory_gb_hour);
    if let Some(node) = fields.take("network_gb") {
        (prices.sent_gb, prices.received_gb) = network(diagnostics, node).unwrap_or_default();
    }
    fields.fill(diagnostics, "storage_gb_hour", &mut prices.storage_gb_hour);
    fields.fill(diagnostics, "keep", &mut prices.keep);
    fields.finish(diagnostics);
    version.map(|_| prices)
}

/// Reads the prices of both directions: a number, or a map.
fn network(diagnostics: &mut Diagnostics, node: &Node) -> Option<(f64, f64)> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        let each = f64::read(diagnostics, node, &Number(0.0, 1e9))?;
        return Some((each, each));
    }
    let mut fields = Fields::read(diagnostics, node, &NETWORK_PRICES)?;
    let (mut sent, mut received) = (0.0, 0.0);
    fields.fill(diagnostics, "sent", &mut sent);
    fields.fill(diagnostics, "received", &mut received);
    fields.finish(diagnostics);
    Some((sent, received))
}
