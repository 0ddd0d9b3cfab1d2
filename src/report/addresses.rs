//! The addresses that connections went to: for the summary and for `summary.json`.
//!
//! `summary` and `json` ask for them.
//! Invariant: the summary shows them only for a service that used more than one.

use std::fmt::Write;

use serde_json::{Value, json};

use super::text_lines::wrapped;
use crate::event::Report;
use crate::ids::ServiceId;
use crate::stats::AddressUse;
use crate::units::show_count;

/// Maximum addresses that the summary shows of a service.
const SHOWN: usize = 8;

/// A line for each service that used several addresses.
pub(crate) fn render(out: &mut String, report: &Report) {
    let mut title = "addresses";
    for (service, (name, _)) in ServiceId::number(&report.info.plan.services) {
        let all = || report.snapshot.addresses.list().filter(|(of, ..)| *of == service);
        let count = all().count();
        if count < 2 {
            continue;
        }
        let mut parts: Vec<String> = all()
            .take(SHOWN)
            .map(|(_, address, used)| format!("{address} {}", show(used)))
            .collect();
        if count > SHOWN {
            parts.push(format!("{} more in summary.json", count - SHOWN));
        }
        wrapped(out, title, &format!("{name}: {}", parts.join("; ")));
        title = "";
    }
}

fn show(used: &AddressUse) -> String {
    let mut text = format!("{} connected", show_count(used.connected));
    for (count, word) in [(used.failed, "failed"), (used.slower, "slower")] {
        if count > 0 {
            let _ = write!(text, ", {} {word}", show_count(count));
        }
    }
    text
}

/// All addresses; the entry without an address sums up those beyond the bound.
pub(crate) fn document(report: &Report) -> Value {
    let addresses = &report.snapshot.addresses;
    let services = &report.info.plan.services;
    let entry = |service: Option<ServiceId>, address: Option<String>, used: &AddressUse| {
        json!({
            "service": service.and_then(|at| services.get(at.index())).map(|(name, _)| name),
            "address": address,
            "connected": used.connected,
            "failed": used.failed,
            "slower": used.slower,
        })
    };
    let known = addresses
        .list()
        .map(|(service, address, used)| entry(Some(service), Some(address.to_string()), used));
    known.chain(addresses.others().map(|used| entry(None, None, used))).collect()
}
