//! The output of `check --once`: each iteration, call by call, and a verdict.
//!
//! `cli` prints it, as text or as JSON.
//! Invariant: texts of targets and files are shown without control characters and secrets.

use std::fmt::Write;

use serde_json::{Value, json};

use super::ansi::{BAD, BOLD, DIM, GOOD, paint, plain};
use crate::event::{DryRunTrace, TraceEvent, TracedCall};
use crate::exit::ExitStatus;
use crate::protocol::status::ShownStatus;
use crate::stats::outcome;
use crate::units::{counted, show_bytes, show_us};

/// All traces as text, with ANSI colours.
pub fn render(scenario: &str, walks: &[DryRunTrace], ending: ExitStatus) -> String {
    let mut out = String::new();
    for walk in walks {
        let number =
            if walk.number > 1 { format!(" (pass {})", walk.number) } else { String::new() };
        let _ = writeln!(out, "{}", paint(BOLD, &plain(&format!("{}{number}", walk.kind))));
        for seen in &walk.events {
            match seen {
                TraceEvent::Call(one) => call(&mut out, one),
                TraceEvent::Logged(line) => drop(writeln!(out, "  log: {}", plain(line))),
                TraceEvent::Fault(call, why) => {
                    let name = call.as_ref().map_or(String::new(), |name| format!("{name}: "));
                    let text = plain(&format!("{name}not sent: {why}"));
                    let _ = writeln!(out, "  {} {text}", paint(BAD, "✗"));
                }
            }
        }
        if walk.more > 0 {
            let _ = writeln!(out, "  and {} more", walk.more);
        }
        if let Some(why) = &walk.failure {
            let _ = writeln!(out, "  {} {}", paint(BAD, "failed:"), plain(why));
        }
        for (step, why) in &walk.unreached {
            let text = plain(&format!("{step}: {why}"));
            let _ = writeln!(out, "  {} {text}", paint(DIM, "not reached:"));
        }
        out.push('\n');
    }
    let word = match ending {
        ExitStatus::Pass => paint(GOOD, "PASS"),
        ExitStatus::Aborted => paint(BAD, "ABORTED"),
        ExitStatus::Broken => paint(BAD, "UNREACHABLE"),
        _ => paint(BAD, "FAIL"),
    };
    let calls = walks.iter().flat_map(|walk| &walk.events);
    let calls = calls.filter(|seen| matches!(seen, TraceEvent::Call(_))).count();
    let mut names: Vec<&str> = walks.iter().map(|walk| walk.kind.as_str()).collect();
    names.dedup();
    let names = plain(&names.join(", "));
    let code = ending.code();
    let (name, calls) = (plain(scenario), counted(calls as u64, "call"));
    let _ = writeln!(out, "{word}  {name}  {calls}, {names}, exit code {code}");
    out
}

fn call(out: &mut String, call: &TracedCall) {
    let line = call.request.first().map_or("", String::as_str);
    let line = line.strip_suffix(" HTTP/1.1").unwrap_or(line);
    let name = if line == call.step { String::new() } else { format!("  ({})", call.step) };
    let _ = writeln!(out, "  {}{}", plain(line), paint(DIM, &plain(&name)));
    for header in call.request.iter().skip(1) {
        let _ = writeln!(out, "      {}", paint(DIM, &plain(header)));
    }
    if let Some((length, begin)) = &call.body {
        let length = show_bytes(*length as u64);
        let _ = writeln!(out, "      {}", paint(DIM, &plain(&format!("{length}: {begin}"))));
    }
    for (status, to) in &call.redirects {
        let _ = writeln!(out, "    → {status} to {}", plain(to));
    }
    let answer = match call.status {
        Ok(0) => "done".to_owned(),
        Ok(status) => ShownStatus(status).to_string(),
        Err(index) => {
            let (phase, kind, hint) = outcome::error_at(index);
            format!("{phase}: {kind} ({hint})")
        }
    };
    let answer = paint(if call.is_ok { GOOD } else { BAD }, &answer);
    let (took, bytes) = (show_us(call.service_ns / 1_000), show_bytes(call.bytes));
    let _ = writeln!(out, "    → {answer}  {took}  {bytes}");
    for header in &call.response {
        let _ = writeln!(out, "      {}", paint(DIM, &plain(header)));
    }
    if let Some((length, begin)) = &call.response_body {
        let length = show_bytes(*length as u64);
        let _ = writeln!(out, "      {}", paint(DIM, &plain(&format!("{length}: {begin}"))));
    }
    for (name, held, found) in &call.checks {
        let mark = if *held { paint(GOOD, "✓") } else { paint(BAD, "✗") };
        let found = found.as_ref().map_or(String::new(), |found| format!(": found {found}"));
        let _ = writeln!(out, "      {mark} {}", plain(&format!("{name}{found}")));
    }
    for (name, value) in &call.captures {
        let value = value.as_deref().map_or_else(|| paint(BAD, "nothing"), plain);
        let _ = writeln!(out, "      {} = {value}", plain(name));
    }
}

/// The same as JSON.
pub fn document(scenario: &str, walks: &[DryRunTrace], ending: ExitStatus) -> Value {
    let mut document = json!({
        "version": 1,
        "scenario": scenario,
        "verdict": ending.verdict(),
        "exit_code": ending.code(),
        "walks": walks.iter().map(|walk| json!({
            "name": walk.kind,
            "walk": walk.number,
            "failure": walk.failure,
            "seen": walk.events.iter().map(seen).collect::<Vec<_>>(),
            "more": walk.more,
            "unreached": walk.unreached.iter()
                .map(|(step, why)| json!({ "step": step, "reason": why }))
                .collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    super::json_parts::hide(&mut document);
    document
}

fn seen(seen: &TraceEvent) -> Value {
    match seen {
        TraceEvent::Logged(line) => json!({ "log": line }),
        TraceEvent::Fault(step, why) => json!({ "fault": why, "step": step }),
        TraceEvent::Call(call) => json!({
            "step": call.step,
            "request": call.request,
            "body": call.body.as_ref().map(|(length, begin)| {
                json!({ "bytes": length, "begins": begin })
            }),
            "redirects": call.redirects.iter()
                .map(|(status, to)| json!({ "status": status, "to": to }))
                .collect::<Vec<_>>(),
            "status": call.status.ok().filter(|status| *status > 0).map(ShownStatus),
            "error": call.status.err().map(|index| {
                let (phase, kind, hint) = outcome::error_at(index);
                json!({ "phase": phase, "kind": kind, "hint": hint })
            }),
            "response": call.response,
            "response_body": call.response_body.as_ref().map(|(length, begin)| {
                json!({ "bytes": length, "begins": begin })
            }),
            "service_us": call.service_ns / 1_000,
            "bytes": call.bytes,
            "checks": call.checks.iter()
                .map(|(name, held, found)| {
                    json!({ "name": name, "passed": held, "found": found })
                })
                .collect::<Vec<_>>(),
            "captures": call.captures.iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect::<Vec<_>>(),
            "ok": call.is_ok,
        }),
    }
}
