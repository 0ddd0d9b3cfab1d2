//! The metrics that dashboards and rules read, by their names in Prometheus.
//!
//! `promql` makes selectors of them.
//! Invariant: each is a metric of `sinks::metrics`; a test compares the two lists.

/// A metric, by its name in Prometheus; of a histogram without `_bucket`, `_sum` and `_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetricName(&'static str);

macro_rules! names {
    ($($constant:ident = $name:literal;)+) => {
        impl MetricName {
            $(pub(super) const $constant: Self = Self($name);)+

            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$constant),+];
        }
    };
}

names! {
    RUN_INFO = "manada_run_info";
    RUN_ACTIVE = "manada_run_active";
    RUN_TRUSTED = "manada_run_trusted";
    USERS = "manada_users";
    LOAD_TARGET = "manada_load_target";
    ITERATIONS_RUNNING = "manada_iterations_running";
    CALLS_RUNNING = "manada_calls_running";
    ITERATIONS_STARTED = "manada_iterations_started_total";
    STARTS_DUE = "manada_starts_due_total";
    STARTS_LOST = "manada_starts_lost_total";
    ITERATION_DURATION = "manada_iteration_duration_seconds";
    CALLS = "manada_calls_total";
    RESPONSES = "manada_responses_total";
    RESPONSE_DURATION = "manada_response_duration_seconds";
    SERVICE_DURATION = "manada_service_duration_seconds";
    CHECKS = "manada_checks_total";
    STREAMS = "manada_streams";
    MESSAGES = "manada_messages_total";
    MESSAGE_DELIVERY = "manada_message_delivery_duration_seconds";
    MESSAGE_FIRST = "manada_message_first_duration_seconds";
    MESSAGE_GAP = "manada_message_gap_duration_seconds";
    ATTEMPTS = "manada_attempts_total";
    ERRORS = "manada_errors_total";
    CONNECTIONS_OPEN = "manada_connections_open";
    CONNECTIONS = "manada_connections_total";
    BYTES_SENT = "manada_network_sent_bytes_total";
    BYTES_RECEIVED = "manada_network_received_bytes_total";
    BACKEND_CALLS = "manada_backend_calls_total";
    BACKEND_ATTEMPTS_FAILED = "manada_backend_attempts_failed_total";
    BACKEND_RESPONSE_DURATION = "manada_backend_response_duration_seconds";
    BREAKER_OPEN = "manada_breaker_open";
    BREAKER_REFUSED = "manada_breaker_refused_total";
    BLOCKED_DURATION = "manada_blocked_duration_seconds";
    GENERATOR_LAG = "manada_generator_lag_seconds";
    GENERATOR_CPU = "manada_generator_cpu_peak_ratio";
    GENERATOR_STALL = "manada_generator_stall_longest_seconds";
    MEMORY = "manada_process_memory_bytes";
    MONITOR = "manada_monitor";
    THRESHOLD_PASSED = "manada_threshold_passed";
    THRESHOLD_OBSERVED = "manada_threshold_observed";
}

impl MetricName {
    /// The name.
    pub(super) const fn text(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::MetricName;
    use crate::event::RunInfo;
    use crate::plan::RunManifest;
    use std::sync::Arc;

    use crate::report::page::tests::made_up;
    use crate::sinks::metrics::metric_names;

    #[test]
    fn names_are_those_of_the_metrics() {
        let mut report = made_up(3, "x");
        let plan = RunManifest { has_streams: true, ..(*report.info.plan).clone() };
        report.info = Arc::new(RunInfo { plan: Arc::new(plan), ..(*report.info).clone() });
        let known = metric_names(&report);
        for name in MetricName::ALL {
            assert!(known.iter().any(|one| one == name.text()), "{name:?} is not in {known:#?}");
        }
    }
}
