//! Metrics of the client: attempts, connections, bytes, breakers.
//!
//! Invariant: they are over the whole run, warm-up included.

use super::samples::{count, counter, family, gauge, label, level, with_label};
use super::view::ReportView;
use crate::report::rows;
use crate::sinks::metrics::family::{MetricFamily, MetricKind, MetricUnit};
use crate::stats::BreakerState;

/// Attempts, errors, connections and bytes.
pub(super) fn network(view: ReportView<'_>) -> [MetricFamily<'_>; 7] {
    let snapshot = &view.report.snapshot;
    let (attempts, connections) = (&snapshot.attempts, &snapshot.connections);
    let reasons = [
        ("first", attempts.first),
        ("retry", attempts.retries),
        ("hedge", attempts.hedges),
        ("redirect", attempts.redirects),
        ("stale_resend", attempts.stale_resends),
    ];
    let results = [
        ("opened", connections.opened),
        ("failed", connections.failed),
        ("reused", connections.reused),
    ];
    let bytes = |name, help, n| {
        family(name, help, MetricKind::Counter, MetricUnit::Bytes, [count(Vec::new(), n)])
    };
    let open = view.report.timeline.gauges.last().map_or(0, |gauges| gauges.connections);
    [
        counter(
            "manada.attempts",
            "Exchanges that were begun, by reason; a call may have several.",
            with_label("reason", &[], reasons),
        ),
        counter(
            "manada.attempts.sent",
            "Exchanges whose last byte was sent.",
            [count(Vec::new(), attempts.sent)],
        ),
        counter(
            "manada.errors",
            "Attempts without a response, by phase and kind.",
            rows::errors(view.report).map(|row| {
                count(vec![label("phase", row.phase), label("kind", row.kind)], row.count)
            }),
        ),
        gauge(
            "manada.connections.open",
            "Connections that are open.",
            [level(Vec::new(), open as f64)],
        ),
        counter(
            "manada.connections",
            "Connections by what became of the attempt to open one, and reuses.",
            with_label("result", &[], results),
        ),
        bytes(
            "manada.network.sent",
            "Bytes sent, without the framing of TLS.",
            connections.bytes_sent,
        ),
        bytes(
            "manada.network.received",
            "Bytes received, without the framing of TLS.",
            connections.bytes_received,
        ),
    ]
}

/// Circuit breakers that are configured.
pub(super) fn breakers(view: ReportView<'_>) -> [MetricFamily<'_>; 2] {
    let breakers = view.report.info.plan.client.breakers.iter();
    let breakers = breakers.zip(&view.report.snapshot.resilience.breakers);
    let used: Vec<_> = breakers.filter(|(name, _)| name.is_configured).collect();
    [
        gauge(
            "manada.breaker.open",
            "Whether a circuit breaker is open.",
            used.iter().map(|(name, one)| {
                let is_open = matches!(one.state, Some(BreakerState::Open));
                level(vec![label("breaker", &name.name)], f64::from(u8::from(is_open)))
            }),
        ),
        counter(
            "manada.breaker.refused",
            "Attempts that a circuit breaker refused.",
            used.iter().map(|(name, one)| count(vec![label("breaker", &name.name)], one.refused)),
        ),
    ]
}
