//! Steps that close a stream, or end what is sent on it.
//!
//! `stream` calls it.
//! Invariant: only a call of gRPC is ended by half, and only its end has a response to look at.

use crate::extract::{CaptureSource, CheckCondition};
use crate::plan::stream::{StreamAct, StreamPlan};
use crate::plan::{Call, OnFail};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::{capture, check};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;

/// The longest reason of a close, bytes (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

/// Compiles what closes a stream.
pub(super) fn close(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    (stream, call): (usize, &Call),
) -> StreamAct {
    let half = fields.value(diagnostics, "half").unwrap_or(false);
    report_close(diagnostics, value, (&flow.streams[stream], call), half);
    flow.streams[stream].is_kept |= half && call.needs_body();
    let code: Option<u64> = fields.value(diagnostics, "code");
    let reason = fields.take("reason").and_then(|node| {
        let text = values::plain_text(diagnostics, node, "a text")?;
        if text.len() > MAX_REASON {
            let message = format!("the reason has {} bytes", text.len());
            diagnostics
                .mistake(node.span, message)
                .expected(format!("at most {MAX_REASON} bytes (RFC 6455)"));
        }
        Some(text.to_owned())
    });
    let code = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(1_000);
    StreamAct::Close { code, reason: reason.unwrap_or_default(), half }
}

/// Reads the rules of a step that ends a stream.
pub(super) fn rules(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
    call: &mut Call,
) {
    let captures = fields.take("capture");
    call.captures = captures
        .map_or_else(Vec::new, |node| capture::of_reply(diagnostics, node, names, Protocol::Grpc));
    [call.checks, call.expects] = ["check", "expect"].map(|key| {
        let node = fields.take(key);
        node.map_or_else(Vec::new, |node| check::of_reply(diagnostics, node, Protocol::Grpc))
    });
    let on_fail = fields.word(diagnostics, "on_fail", &OnFail::NAMES);
    call.on_fail = on_fail.unwrap_or_default();
}

/// Reports what a step that ends a stream cannot do.
fn report_close(
    diagnostics: &mut Diagnostics,
    value: &Node,
    (stream, call): (&StreamPlan, &Call),
    half: bool,
) {
    let mut all = call.checks.iter().chain(&call.expects);
    if !half {
        if all.next().is_some() || !call.captures.is_empty() {
            diagnostics
                .mistake(value.span, "a stream that is closed has no response")
                .help("`half: true` ends what is sent on a call of gRPC, and waits for its status");
        }
        return;
    }
    if stream.grpc.is_none() {
        diagnostics
            .mistake(
                value.span,
                format!("`{}` is no stream of gRPC: it has no `half`", stream.name),
            )
            .help("`close` without `half` closes it");
    }
    let is_foreign = |what: &CheckCondition| {
        matches!(
            what,
            CheckCondition::Header(..)
                | CheckCondition::Messages(..)
                | CheckCondition::FirstContent(..)
        )
    };
    let reads_header =
        call.captures.iter().any(|one| matches!(one.source, CaptureSource::Header(_)));
    if reads_header || all.any(|check| is_foreign(&check.what)) {
        diagnostics
            .mistake(value.span, "the end of a stream has a status and a last message, no more")
            .expected("rules with `status`, `json`, `body`, `size` and `service`");
    }
}
