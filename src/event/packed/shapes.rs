//! The fields of all types in a record, each in one place.
//!
//! Invariant: a change of a type here, or of the order of its fields, changes `header::VERSION`.

use super::{listed, packed, variants};
use crate::event::{GeneratorInfo, Interrupt, RunInfo};
use crate::plan::manifest::{ClientInfo, WorkloadInfo};
use crate::plan::{BackendSeries, RunManifest, Series, SourceFile, TraceInfo};
use crate::sandbox::SandboxInfo;
use crate::stats::caches::{CacheUse, Caches, FirstLayerFailure, LayerUse};
use crate::stats::call_record::{AttemptPhases, EarlierAttempt, KeptBecause};
use crate::stats::contents::{ContentUse, Contents};
use crate::stats::delta::{BackendWindow, LoadWindow, StepWindow};
use crate::stats::exemplar::{Exemplar, FirstFailures};
use crate::stats::sample::IterationEnd;
use crate::stats::{
    AddressUse, Addresses, Attempts, Backlog, BlockCause, BreakerState, BreakerSwitch, BreakerUse,
    CallRecord, CallResult, Calls, Change, ChangeCause, ChangeKind, Connections, ControlOrigin,
    DegradationLevel, Delayed, Delta, Departures, FirstStart, GaugeSample, Gauges, HeldStreams,
    IterationId, IterationRecord, Iterations, KeptCalls, LoadOverride, MemoryRelief, MessageCounts,
    MessageWindow, Monitor, MonitorOwner, MonitorUnit, OwnDelay, PoolUse, Priority, Remedy,
    ResilienceSnapshot, StateChanges, StreamCounts, TraceSelection, TransitionCause, Window,
};
use crate::verdict::TrustContext;

listed! {
    CallResult: Ok, Failed, Timeout, Unfinished, Own, Suppressed, Muted;
    IterationEnd: Completed, Early, Interrupted;
    BreakerSwitch: Open, Close, Reset;
    Priority: Low, Medium, High, Critical;
    DegradationLevel: Normal, Light, Heavy, Emergency;
    MemoryRelief: Trim, PauseAdmission, ResumeAdmission;
    ControlOrigin: Key, Socket, Web;
    ChangeKind: Breaker, Pool, Connect, Degradation, Healing, Memory, Admission, Control, Worker,
        Backend, Shift;
    BreakerState: Closed, Open, HalfOpen;
    BlockCause: Breaker, Pool, Limit, Retry, Connect, Degradation, Admission, Muted, Pace, Parallel,
        Confirm;
    MonitorUnit: Percent, Bytes, Count, Micros, Plain;
    MonitorOwner: Generator, Target;
    Interrupt: Int, Term, Control, Hup, Quit;
}

packed! {
    LoadOverride { base, permille, paused }
    Iterations {
        due, started, completed, ended_early, interrupted, dropped, suppressed, not_reached,
        unserved since 10,
    }
    Calls {
        made, ok, failed, timeout, suppressed, muted, cancelled, generator_errors, unfinished
    }
    Departures { start_failed, out_of_rows }
    Attempts {
        started, sent, first, retries, hedges, redirects, stale_resends, cancelled, denied,
    }
    AddressUse { connected, failed, slower }
    Addresses { known, others }
    Connections {
        opened, reused, failed, prewarmed since 10, prewarmed_used since 10, bytes_sent,
        bytes_received
    }
    FirstStart { intended, lag_ns }
    Gauges {
        assigned, running_iterations, running_calls, users, users_peak, connections,
        streams since 9, streams_wanted since 9, cpu_ns,
        run_queue_ns, run_queue_waits, stalled_ns, longest_stall_ns, elapsed_ns,
        first_start since 10, last_done_ns, in_flight_integral, call_time, running_call_time,
    }
    LoadWindow {
        due, on_time, started, lost, suppressed, lost_to_us, target_user_ns, present_user_ns,
        late_user_ns, lag, start_lag, blocked, stall, iteration, iteration_delayed,
    }
    StepWindow {
        calls, in_drain, response, service, unwanted, own_delay, checks, statuses,
        messages since 9,
    }
    MessageCounts {
        sent, expected, received, due, delivered, lost, missed, unsent, open, duplicated, reordered,
        late, replayed, foreign, unexpected, unstamped, unmatched, dropped, coalesced, ahead,
        tokens, by_chunks, judged, good, confirmed since 10, refused since 10,
        unconfirmed since 10, resent since 10, rebalances since 10, redelivered since 10,
        acknowledged since 10, rejected since 10,
    }
    MessageWindow {
        counts, delivery, transit, gap, first, first_text, tpot, life, streams since 10,
        confirm since 10, linger since 10, rebalance since 10, behind since 10,
    }
    HeldStreams { wanted, held }
    Backlog { messages, listeners }
    StreamCounts { opened, reconnects, ended, closed, untracked_pairs }
    Delayed { measured, less }
    OwnDelay { response, service }
    Window {
        second, measured, workloads, steps, backends since 10, groups, begun, phases,
        login since 10, waits, receive_lag since 9,
    }
    BackendWindow { calls, attempts, failed }
    ContentUse { responses, encoded, undecodable, wire_bytes, decoded_bytes }
    Contents { types }
    LayerUse {
        hits, misses, expired, unreadable, promotions, writes, failed, timeouts, skipped,
        first_failure,
    }
    FirstLayerFailure { at_ns, why }
    CacheUse {
        lookups, hits, fills, failed_fills, waits, wait_ns, longest_wait_ns, forgotten, layers,
    }
    Caches { by_name }
    Exemplar {
        step, failing, intended, user, curl, cut, status, error, error_text, failed, head, body,
    }
    FirstFailures { counts, first }
    StateChanges { list, lost }
    PoolUse {
        size, in_use, idle, waiting, leases, gave_up, failed, waits, busy, room,
    }
    BreakerUse { state, opened, refused }
    ResilienceSnapshot { timeouts_ns, breakers }
    GaugeSample {
        second, target, users, running, connections, streams since 9,
        streams_wanted since 9, monitors,
    }
    IterationId { workload, item, iteration }
    AttemptPhases { dns_ns, connect_ns, tls_ns, first_byte_ns }
    KeptBecause { sampled, failed, slowest }
    EarlierAttempt { begun, service_ns, phases, outcome }
    CallRecord {
        iteration, key, step, user, intended, lag_ns, blocked_ns, service_ns, response_ns, phases,
        attempts, earlier, bytes_sent, bytes_received, outcome, result, because,
    }
    IterationRecord { iteration, key, user, intended, done, end }
    KeptCalls { calls, iterations, sampled_left_out, failed_left_out }
    Monitor { name, unit, owner }
    GeneratorInfo {
        tier, shards, processes since 10, is_fleet since 10, reason, remarks, sandbox since 10,
    }
    SandboxInfo { has_ports, has_scopes, connect }
    RunInfo { plan, started_at, generator, command, machine, monitors }
    RunManifest {
        scenario, description, run_id, seed, services, archetypes, workloads, steps, groups, checks,
        thresholds, warmup, grace, kind, client, sources,
        has_streams since 9, traces since 10, backends since 10, caches since 10,
    }
    TraceInfo { selection, url }
    TraceSelection { below, exports_spans }
    WorkloadInfo { name, open, start, end, archetypes, max_users }
    Series { name, archetype, workload, tags }
    BackendSeries { step, service, name }
    ClientInfo { kind, parts, pools, breakers, endpoints, timeouts_from, degrades }
    SourceFile { name, text }
    TrustContext { scheduled, workload_of, has_unpaced, unthrottled }
    Delta {
        shard, workloads, departures, attempts, connections, streams since 9, addresses,
        contents since 10, caches since 10, statuses, named_statuses since 10, errors, unset,
        ran_out, failed_expressions, lines, lines_lost, halt, failures, changes, pools, resilience,
        windows, kept since 10, gauges, last,
    }
}

variants! {
    Change {
        0 Breaker { from, to }
        1 PoolSize { from, to }
        2 Connect { accepts }
        3 Degradation { from, to }
        4 Admission { from, to }
        5 Memory { relief }
        6 Healing { remedy }
        7 Healed { from, to }
        8 Load { from, to }
        9 LateLoad { to, late_ms, shard }
        10 SwitchedBreaker { to }
        11 Mute { muted }
        12 Mark { text }
        13 Former { kind, text }
        14 WorkerLost { reported_until }
        15 Redistributed { shards, from }
        16 NoLease { since }
        17 Unmerged { since, until }
        18 BackendHealth { healthy }
        19 BackendEjected { lasts }
        20 BackendReturned {}
        21 Shift { target, from, to }
    }
    Remedy {
        0 TrimMemory {}
        1 GrowPool { from, to }
        2 RefreshService {}
        3 None { pool }
    }
    ChangeCause {
        0 Breaker { why, last }
        1 Attempt { outcome }
        2 Connected {}
        3 PoolErrors { share }
        4 PoolWait { p95_us }
        5 PoolInUse { share }
        6 CallErrors { share, calls }
        7 SlowCalls { p95_us, calls }
        8 NotNeeded { lasted }
        9 Overload { lag_us, cpu }
        10 Well { lasted }
        11 MemoryInUse { share, full_in_s }
        12 IdleMemoryInUse { share }
        13 Health { figure }
        14 Control { origin }
        15 BusyShard {}
        16 Former { text }
        17 ProcessEnded { how }
        18 NoHeartbeat {}
        19 HealthChecks { checks, last }
        20 EjectionOver {}
        21 Decision { text }
        22 PoolPredicted { share }
    }
    TransitionCause {
        0 InARow { failures }
        1 Share { failures, attempts }
        2 OpenTimeOver {}
        3 ProbesSucceeded { probes }
        4 ProbeFailed {}
        5 Forced {}
    }
}
