//! What a run costs, or cost, as text and JSON.
//!
//! `cli plan --cost` prints the forecast; the summary, `summary.json` and the page have the cost of
//! a run that knew prices.
//! Invariant: text and JSON have the same rows.

use std::time::Duration;

use serde_json::{Value, json};

use super::rows::usage;
use super::text_lines::{heading, wrapped};
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::forecast::cost::CostForecast;
use crate::forecast::cost_model::CpuParts;
use crate::plan::prices::{Cost, Prices, ResourceUse};
use crate::units::show_duration;

/// A row: what is used, how much of it in which unit, and its price.
struct CostRow {
    key: &'static str,
    name: &'static str,
    amount: f64,
    unit: String,
    cost: f64,
}

fn rows(used: &ResourceUse, prices: &Prices) -> Vec<CostRow> {
    let Cost { cpu, memory, storage, .. } = prices.cost(used);
    let row = |key, name, amount, unit: &str, cost| CostRow {
        key,
        name,
        amount,
        unit: unit.to_owned(),
        cost,
    };
    let keep = days(prices.keep);
    vec![
        row("cpu", "CPU", used.core_hours(), "core hours", cpu),
        row("memory", "memory", used.memory_gb_hours(), "GB hours", memory),
        row("sent", "sent", used.sent_gb(), "GB", used.sent_gb() * prices.sent_gb),
        row(
            "received",
            "received",
            used.received_gb(),
            "GB",
            used.received_gb() * prices.received_gb,
        ),
        row(
            "storage",
            "storage",
            used.storage_gb_hours(prices),
            &format!("GB hours (kept {keep})"),
            storage,
        ),
    ]
}

/// A duration in days, if it is a number of them.
fn days(duration: Duration) -> String {
    const DAY: u64 = 24 * 3_600;
    let is_whole = duration.as_secs() >= DAY && duration.as_secs().is_multiple_of(DAY);
    if is_whole { format!("{}d", duration.as_secs() / DAY) } else { show_duration(duration) }
}

/// An amount with four significant digits.
fn amount(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        one if one < 1_000.0 => (3 - one.log10().floor() as i64).clamp(0, 9) as usize,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// The table of a use, with a total.
fn table(out: &mut String, used: &ResourceUse, prices: &Prices) {
    let aligns = [Align::Left, Align::Right, Align::Left, Align::Right, Align::Right];
    let mut table = TextTable::new(&aligns);
    table.head(["", "amount", "", "per run", "per hour"]);
    let hourly = |cost: f64| used.per_hour(cost).map_or(String::new(), |cost| prices.show(cost));
    for row in rows(used, prices) {
        table.row([
            row.name.to_owned(),
            amount(row.amount),
            row.unit,
            prices.show(row.cost),
            hourly(row.cost),
        ]);
    }
    let total = prices.cost(used).total();
    let none = String::new;
    table.row(["total".to_owned(), none(), none(), prices.show(total), hourly(total)]);
    table.render(out, 2);
}

/// The cost of a forecast, as text.
pub fn render(cost: &CostForecast, prices: &Prices) -> String {
    let mut out = String::new();
    heading(&mut out, "Cost");
    table(&mut out, &cost.used, prices);
    for assumption in &cost.assumptions {
        wrapped(&mut out, "assumed", assumption);
    }
    if !cost.advice.is_empty() {
        heading(&mut out, "Cheaper");
        for one in &cost.advice {
            let text = format!("{}; lost: {}", one.what, one.loses);
            wrapped(&mut out, &prices.show(one.saves), &text);
        }
    }
    out
}

fn uses(used: &ResourceUse, prices: &Prices) -> Value {
    let row = |row: CostRow| {
        let value = json!({
            "amount": row.amount, "unit": row.unit, "cost": row.cost,
            "cost_per_hour": used.per_hour(row.cost),
        });
        (row.key.to_owned(), value)
    };
    let total = prices.cost(used).total();
    json!({
        "currency": prices.currency,
        "keep_s": prices.keep.as_secs_f64(),
        "rows": rows(used, prices).into_iter().map(row).collect::<serde_json::Map<_, _>>(),
        "total": total,
        "total_per_hour": used.per_hour(total),
    })
}

/// The cost of a forecast, as JSON.
pub fn document(cost: &CostForecast, prices: &Prices) -> Value {
    let mut document = uses(&cost.used, prices);
    let used = &cost.used;
    document["expected"] = json!({
        "length_s": used.length_s, "cpu_s": used.cpu_s,
        "cpu_s_range": [cost.cpu_range_s.0, cost.cpu_range_s.1],
        "memory_bytes_mean": used.memory.round(),
        "sent_bytes": used.sent.round(), "received_bytes": used.received.round(),
        "written_bytes": used.written.round(), "connections_opened": cost.opened.round(),
    });
    document["measured_cpu"] = cost.cpu_parts.iter().map(measured_cpu).collect();
    document["assumptions"] = json!(cost.assumptions);
    let advice = cost.advice.iter();
    document["cheaper"] = advice
        .map(|one| json!({ "what": one.what, "saves": one.saves, "loses": one.loses }))
        .collect();
    document
}

/// CPU time as it was measured at a rate.
fn measured_cpu(parts: &CpuParts) -> Value {
    let us = |seconds: f64| seconds * 1e6;
    json!({
        "calls_per_s": parts.rate, "rounds": parts.rounds,
        "us_per_call": us(parts.call_s),
        "us_per_call_range": [us(parts.call_range_s.0), us(parts.call_range_s.1)],
        "s_per_second": parts.second_s, "s_at_edges": parts.edges_s,
        "s_before_load": parts.before_s, "waited": parts.waited,
    })
}

/// What a finished run used, as far as it is known.
fn used(report: &Report) -> ResourceUse {
    let row = usage::usage(report);
    ResourceUse {
        length_s: report.snapshot.elapsed_ns as f64 / 1e9,
        cpu_s: row.cpu.map_or(0.0, |cpu| cpu.total_ns() as f64 / 1e9),
        memory: row.memory_mean.or(row.memory_peak).unwrap_or(0) as f64,
        sent: row.sent as f64,
        received: row.received as f64,
        written: row.written.unwrap_or(0) as f64,
    }
}

/// The cost of a finished run in one line; `None` without prices.
pub(crate) fn of_report(report: &Report) -> Option<String> {
    let prices = report.prices.as_deref().filter(|_| !report.is_running)?;
    let used = used(report);
    let cost = prices.cost(&used);
    let hourly = used
        .per_hour(cost.total())
        .map_or(String::new(), |per_hour| format!(", {} per hour", prices.show(per_hour)));
    let unknown = if report.usage.cpu.is_none() { "; its CPU time is not known" } else { "" };
    Some(format!(
        "{}{hourly}: CPU {}, memory {}, network {}, storage {}{unknown}",
        prices.show(cost.total()),
        prices.show(cost.cpu),
        prices.show(cost.memory),
        prices.show(cost.network),
        prices.show(cost.storage),
    ))
}

/// The cost of a finished run as JSON; null without prices.
pub(super) fn report_document(report: &Report) -> Value {
    let prices = report.prices.as_deref().filter(|_| !report.is_running);
    prices.map_or(Value::Null, |prices| uses(&used(report), prices))
}

/// Adds the cost of a finished run to its summary.
pub(super) fn render_report(out: &mut String, report: &Report) {
    if let Some(cost) = of_report(report) {
        wrapped(out, "cost", &cost);
    }
}
