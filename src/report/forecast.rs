//! The forecast of a plan for the terminal: loads as charts, calls, users, what the machine gives.
//!
//! `cli plan` prints it; `forecast_json` is the same for programs.
//! Invariant: a number that is not exact has a sign: `~` estimated or a mean, `≤` at most.

use std::fmt::Write;

use super::ansi::{BAD, BOLD, DIM, GOOD, WARN, paint, plain};
use super::text_lines::{WIDTH, heading, label, lines, painted, wrapped};
use super::text_table::{Align, TextTable};
use crate::event::GeneratorInfo;
use crate::forecast::needs::OWN_DESCRIPTORS;
use crate::forecast::{
    Basis, Forecast, MachineLimits, MachineNeeds, MachineShortage, WorkloadForecast,
};
use crate::plan::Plan;
use crate::units::{show_bytes, show_count, show_duration, show_rate, show_us};

/// A forecast, and what is shown beside it.
#[derive(Clone, Debug)]
pub struct ForecastContext<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The forecast of the plan.
    pub forecast: &'a Forecast,
    /// The limits of this machine.
    pub limits: MachineLimits,
    /// What the machine has too little of.
    pub refused: &'a [MachineShortage],
    /// The load generator.
    pub generator: GeneratorInfo,
}

/// The whole text, with ANSI colours.
pub fn render(outlook: &ForecastContext<'_>) -> String {
    let mut out = String::new();
    head(&mut out, outlook);
    loads(&mut out, outlook.forecast);
    steps(&mut out, outlook.forecast);
    feeds(&mut out, outlook.forecast);
    machine(&mut out, outlook);
    for said in &outlook.forecast.assumptions {
        painted(&mut out, "assumed", DIM, said);
    }
    for said in &outlook.forecast.warnings {
        painted(&mut out, "warning", WARN, said);
    }
    for refusal in outlook.refused {
        painted(&mut out, "refused", BAD, &refusal.to_string());
    }
    out
}

fn head(out: &mut String, outlook: &ForecastContext<'_>) {
    let (plan, forecast) = (outlook.plan, outlook.forecast);
    let (word, style) = if outlook.refused.is_empty() { ("PLAN", GOOD) } else { ("REFUSED", BAD) };
    let (iterations, calls) = forecast.totals();
    let _ = writeln!(
        out,
        "\n{}  {}  load for {}, ends after {} at the latest, seed {}",
        paint(style, word),
        paint(BOLD, &plain(&plan.scenario)),
        seconds(forecast.end_s),
        seconds(forecast.latest_s),
        plan.seed.value(),
    );
    if let Some(description) = &plan.description {
        for line in lines(&plain(description), WIDTH - 6) {
            let _ = writeln!(out, "      {}", paint(DIM, line.trim_start()));
        }
    }
    let rough = if forecast.workloads.iter().all(|one| one.exact) { "" } else { "~" };
    let sign = sign(forecast, None);
    let (iterations, calls) = (amount(iterations, "iteration"), amount(calls, "call"));
    label(out, "total", &format!("{rough}{iterations}, {sign}{calls}"));
    let parts = plan.policies.parts();
    let does =
        if parts.is_empty() { "no resilience policies".to_owned() } else { parts.join(", ") };
    wrapped(out, "client", &format!("{}: {does}", plan.policies.kind()));
}

fn loads(out: &mut String, forecast: &Forecast) {
    for one in &forecast.workloads {
        heading(out, &plain(&one.name));
        let unit = if one.model == "closed" { "users" } else { "starts/s" };
        let picture = picture(&one.levels, one.peak);
        let _ = writeln!(out, "  {picture}  peak {} {unit}", show_rate(one.peak));
        let end = seconds(forecast.end_s);
        let width = picture.chars().count().saturating_sub(end.chars().count() + 2);
        let axis = format!("0s{:width$}{end}", "");
        let _ = writeln!(out, "  {}", paint(DIM, &axis));
        label(out, "load", &load_line(one, sign(forecast, Some(&one.name))));
        let users = format!(
            "{}{} concurrent, at most {}; iteration {} with think times",
            if one.model == "closed" { "" } else { "~" },
            number(one.users.ceil().min(one.max_users as f64)),
            show_count(one.max_users),
            show_us((one.iteration_s * 1e6) as u64),
        );
        wrapped(out, "users", &users);
    }
}

/// How exact the calls of a workload, or of all workloads, are.
fn sign(forecast: &Forecast, workload: Option<&str>) -> &'static str {
    let of = |name: &str| workload.is_none_or(|workload| workload == name);
    let any = |basis| forecast.steps.iter().any(|step| of(&step.workload) && step.basis == basis);
    let rough = || forecast.workloads.iter().any(|one| of(&one.name) && !one.exact);
    match (any(Basis::AtMost), any(Basis::Guess) || rough()) {
        (true, _) => "≤ ",
        (false, true) => "~",
        (false, false) => "",
    }
}

fn load_line(one: &WorkloadForecast, calls: &str) -> String {
    let sign = if one.exact { "" } else { "~" };
    let spread =
        if one.spread > 0.0 { format!(" ± {}", number(one.spread)) } else { String::new() };
    let mut text = format!(
        "{}: {sign}{}{spread}, {calls}{}",
        one.model,
        amount(one.iterations, "iteration"),
        amount(one.calls, "call")
    );
    if one.dropped > 0.0 {
        let dropped = format!(", ~{} dropped", number(one.dropped));
        text += &paint(WARN, &dropped);
    }
    if one.start_s > 0.0 {
        let _ = write!(text, ", from {} to {}", seconds(one.start_s), seconds(one.end_s));
    }
    text
}

/// Levels as bars of eighths; a level above zero is never blank.
fn picture(levels: &[f64], peak: f64) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |level: &f64| {
        if *level <= 0.0 {
            return BARS[0];
        }
        let eighths = (level / peak.max(f64::MIN_POSITIVE) * 8.0).round() as usize;
        BARS[eighths.clamp(1, 8)]
    };
    levels.iter().map(bar).collect()
}

fn steps(out: &mut String, forecast: &Forecast) {
    heading(out, "Calls");
    let mut table = TextTable::new(&[Align::Left, Align::Left, Align::Right, Align::Right]);
    table.head(["step", "workload, archetype", "calls", "per iteration"]);
    for step in &forecast.steps {
        let sign = match step.basis {
            Basis::Exact => "",
            Basis::Guess => "~",
            Basis::AtMost => "≤ ",
        };
        // The mean of a count that is only estimated itself.
        let mut loads = forecast.workloads.iter();
        let load = loads.find(|load| load.name == step.workload);
        let rough = sign.is_empty() && load.is_some_and(|load| !load.exact);
        let of = if step.workload == step.archetype {
            step.workload.clone()
        } else {
            format!("{}, {}", step.workload, step.archetype)
        };
        table.row([
            plain(&step.name),
            paint(DIM, &plain(&of)),
            format!("{}{}", if rough { "~" } else { sign }, number(step.calls)),
            format!("{sign}{:.2}", step.per_iteration),
        ]);
    }
    table.render(out, 2);
}

fn feeds(out: &mut String, forecast: &Forecast) {
    if forecast.feeds.is_empty() {
        return;
    }
    heading(out, "Data");
    let mut table =
        TextTable::new(&[Align::Left, Align::Left, Align::Right, Align::Right, Align::Left]);
    table.head(["feed", "workload, archetype", "rows", "needed", ""]);
    for feed in &forecast.feeds {
        let end = match feed.out_s {
            Some(out_s) => {
                let text = format!("used up after {}, then {}", seconds(out_s), feed.at_end);
                paint(WARN, &text)
            }
            None => feed.pick.to_owned(),
        };
        table.row([
            plain(&feed.name),
            paint(DIM, &plain(&format!("{}, {}", feed.workload, feed.archetype))),
            show_count(feed.rows),
            number(feed.needed),
            end,
        ]);
    }
    table.render(out, 2);
}

fn machine(out: &mut String, outlook: &ForecastContext<'_>) {
    heading(out, "This machine");
    let limits = outlook.limits;
    let needs = |needs: &MachineNeeds| needs.in_processes(limits.processes);
    let (expected, most) = (needs(&outlook.forecast.expected), needs(&outlook.forecast.most));
    let generator = &outlook.generator;
    let (size, why) = (generator.size(), &generator.reason);
    wrapped(out, "tier", &format!("{}, {size} ({why})", generator.tier));
    let up_to = |expected: u64, most: u64, show: &dyn Fn(u64) -> String| {
        if expected == most {
            show(most)
        } else {
            format!("~{}, at most {}", show(expected), show(most))
        }
    };
    let of = |limit: Option<u64>, most: u64, show: &dyn Fn(u64) -> String| match limit {
        Some(u64::MAX) => ", no limit".to_owned(),
        Some(limit) if most > limit => paint(WARN, &format!(" of {}", show(limit))),
        Some(limit) => format!(" of {}", show(limit)),
        None => String::new(),
    };
    label(out, "connections", &up_to(expected.connections, most.connections, &show_count));
    streams(out, outlook.forecast);
    let files = up_to(expected.descriptors, most.descriptors, &show_count);
    let limit = of(limits.descriptors, most.descriptors, &show_count);
    let each = if limits.processes > 1 { " in each process" } else { "" };
    let own = format!("{each}, {OWN_DESCRIPTORS} of them for Manada itself");
    label(out, "descriptors", &format!("{files}{limit}{own}"));
    for (port, most) in expected.ports.iter().filter_map(|port| {
        let most = most.ports.iter().find(|most| most.address == port.address)?;
        Some((port, most))
    }) {
        let ports = up_to(port.connections, most.connections, &show_count);
        let limit = of(limits.ports, most.connections, &show_count);
        label(out, "local ports", &format!("{ports}{limit} to {}", plain(&port.address)));
    }
    let memory = up_to(expected.memory, most.memory, &show_bytes);
    let limit = of(limits.memory, most.memory, &show_bytes);
    label(out, "memory", &format!("{memory}{limit}"));
    label(out, "report", &format!("~{}", show_bytes(outlook.forecast.report_bytes)));
}

/// Streams held at once, by step, and messages per second.
fn streams(out: &mut String, forecast: &Forecast) {
    let show = |expected: f64, most: u64| {
        let expected = expected.ceil() as u64;
        if expected == most {
            show_count(most)
        } else {
            format!("~{}, at most {}", show_count(expected), show_count(most))
        }
    };
    let held = &forecast.streams;
    if !held.is_empty() {
        let (expected, most) =
            (held.iter().map(|one| one.expected).sum(), held.iter().map(|one| one.most).sum());
        let mut text = format!("{} held at once", show(expected, most));
        if held.len() > 1 {
            let steps = held
                .iter()
                .map(|one| format!("{} by {}", show(one.expected, one.most), plain(&one.step)));
            let _ = write!(text, ": {}", steps.collect::<Vec<_>>().join("; "));
        }
        wrapped(out, "streams", &text);
    }
    let Some(messages) = forecast.messages else { return };
    let mut parts = Vec::new();
    for (rate, what) in [
        (messages.sent_per_s, "sent"),
        (messages.awaited_per_s, "awaited"),
        (messages.delivered_per_s.unwrap_or(0.0), "delivered to listeners"),
    ] {
        if rate > 0.0 {
            parts.push(format!("~{}/s {what}", show_rate(rate)));
        }
    }
    if !parts.is_empty() {
        let unknown = if messages.has_computed_channels {
            "; deliveries are not known, since names of channels are computed"
        } else {
            "; the target may send more by itself"
        };
        wrapped(out, "messages", &format!("{} at full load{unknown}", parts.join(", ")));
    }
}

fn seconds(seconds: f64) -> String {
    show_duration(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A count and its noun; see [`number`].
fn amount(value: f64, noun: &str) -> String {
    let shown = number(value);
    if shown == "1" { format!("1 {noun}") } else { format!("{shown} {noun}s") }
}

/// A count that may be a mean: without decimals from ten on.
fn number(value: f64) -> String {
    let whole = (value - value.round()).abs() < 1e-6;
    if whole || value >= 10.0 { show_count(value.round() as u64) } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_every_level() {
        assert_eq!(picture(&[0.0, 0.01, 4.0, 8.0], 8.0), " ▁▄█");
        assert_eq!(picture(&[0.0, 0.0], 0.0), "  ");
    }

    #[test]
    fn small_means_keep_a_digit() {
        assert_eq!([0.45, 3.0, 9.94, 12.3, 12_345.6].map(number).join(" "), "0.5 3 9.9 12 12 346");
    }
}
