//! State changes in a record: of this version, and of version 7.

use super::header::VERSION;
use crate::clock::RunOffset;
use crate::event::packed::{Packed, PackedBytes};
use crate::stats::{
    AttemptOutcome, BlockCause, BreakerState, BreakerSwitch, Change, ChangeCause, ChangeKind,
    ChangeSubject, ControlOrigin, DegradationLevel, GeneratorError, HealthFigure, LoadOverride,
    MemoryRelief, OverrideBase, Priority, Remedy, StateChange, TransitionCause,
};
use crate::units::Rate;

fn subjects() -> Vec<ChangeSubject> {
    let name = || "a".to_owned();
    vec![
        ChangeSubject::Endpoint(name()),
        ChangeSubject::Service(name()),
        ChangeSubject::System,
        ChangeSubject::Pool(name()),
        ChangeSubject::Workload(name()),
        ChangeSubject::Step { workload: name(), archetype: "b".to_owned(), step: "c".to_owned() },
        ChangeSubject::Client,
        ChangeSubject::Generator,
        ChangeSubject::Memory,
        ChangeSubject::Mark,
        ChangeSubject::Former(name()),
        ChangeSubject::Worker(3),
        ChangeSubject::Agent(0),
        ChangeSubject::Backend { service: name(), backend: "b".to_owned() },
    ]
}

fn changes() -> Vec<Change> {
    let (from, base) = (LoadOverride::PLANNED, OverrideBase::Rate(Rate::per_s(7)));
    let users = LoadOverride { base: OverrideBase::Users(3), permille: 50, paused: true };
    let text = || "said".to_owned();
    vec![
        Change::Breaker { from: BreakerState::HalfOpen, to: BreakerState::Open },
        Change::PoolSize { from: 1, to: 2 },
        Change::Connect { accepts: true },
        Change::Degradation { from: DegradationLevel::Heavy, to: DegradationLevel::Light },
        Change::Admission { from: Priority::Low, to: Priority::High },
        Change::Memory { relief: MemoryRelief::PauseAdmission },
        Change::Healing { remedy: Remedy::TrimMemory },
        Change::Healing { remedy: Remedy::GrowPool { from: 3, to: 4 } },
        Change::Healing { remedy: Remedy::RefreshService },
        Change::Healing { remedy: Remedy::None { pool: Some(text()) } },
        Change::Healed { from: HealthFigure::P95(1.5), to: HealthFigure::Failed(0.5) },
        Change::Load { from, to: LoadOverride { base, ..from } },
        Change::LateLoad { to: users, late_ms: 9, shard: 1 },
        Change::SwitchedBreaker { to: BreakerSwitch::Reset },
        Change::Mute { muted: true },
        Change::Mark { text: text() },
        Change::Former { kind: ChangeKind::Healing, text: text() },
        Change::WorkerLost { reported_until: RunOffset::from_ns(9) },
        Change::Redistributed { shards: 3, from: RunOffset::from_ns(10) },
        Change::NoLease { since: RunOffset::from_ns(11) },
        Change::Unmerged { since: RunOffset::ZERO, until: RunOffset::from_ns(12) },
        Change::BackendHealth { healthy: true },
        Change::BackendEjected { lasts: std::time::Duration::from_secs(30) },
        Change::BackendReturned,
        Change::Shift { target: text(), from: 10, to: 25 },
    ]
}

fn causes() -> Vec<ChangeCause> {
    let breaker = |why| ChangeCause::Breaker { why, last: None };
    let text = || "status 503".to_owned();
    let lasted = std::time::Duration::from_millis(1_500);
    vec![
        ChangeCause::Breaker {
            why: TransitionCause::InARow { failures: 5 },
            last: Some(AttemptOutcome::Responded(503)),
        },
        breaker(TransitionCause::Share { failures: 6, attempts: 9 }),
        breaker(TransitionCause::OpenTimeOver),
        breaker(TransitionCause::ProbesSucceeded { probes: 2 }),
        breaker(TransitionCause::ProbeFailed),
        breaker(TransitionCause::Forced),
        ChangeCause::Attempt { outcome: AttemptOutcome::Own(GeneratorError::NoPort) },
        ChangeCause::Attempt { outcome: AttemptOutcome::Suppressed(BlockCause::Limit) },
        ChangeCause::Connected,
        ChangeCause::PoolErrors { share: 0.5 },
        ChangeCause::PoolWait { p95_us: 7 },
        ChangeCause::PoolInUse { share: 0.9 },
        ChangeCause::PoolPredicted { share: 0.9 },
        ChangeCause::CallErrors { share: 0.1, calls: 30 },
        ChangeCause::SlowCalls { p95_us: 8, calls: 31 },
        ChangeCause::NotNeeded { lasted },
        ChangeCause::Overload { lag_us: 9, cpu: 0.99 },
        ChangeCause::Well { lasted },
        ChangeCause::MemoryInUse { share: 0.8, full_in_s: Some(12.0) },
        ChangeCause::IdleMemoryInUse { share: 0.95 },
        ChangeCause::Health { figure: HealthFigure::MemoryInUse(0.9) },
        ChangeCause::Control { origin: ControlOrigin::Web },
        ChangeCause::BusyShard,
        ChangeCause::ProcessEnded { how: "killed".to_owned() },
        ChangeCause::NoHeartbeat,
        ChangeCause::HealthChecks { checks: 3, last: text() },
        ChangeCause::EjectionOver,
        ChangeCause::Decision { text: text() },
        ChangeCause::Former { text: "said".to_owned() },
    ]
}

#[test]
fn every_change_reads_back_as_written() {
    let (subjects, changes, causes) = (subjects(), changes(), causes());
    let most = subjects.len().max(changes.len()).max(causes.len());
    for at in 0..most {
        let change = StateChange {
            at: RunOffset::from_ns(at as u64),
            subject: subjects[at % subjects.len()].clone(),
            change: changes[at % changes.len()].clone(),
            cause: causes[at % causes.len()].clone(),
        };
        let mut bytes = Vec::new();
        change.pack(&mut bytes);
        let mut from = PackedBytes { left: &bytes, version: VERSION };
        assert_eq!(StateChange::unpack(&mut from).as_ref(), Some(&change));
        assert!(from.left.is_empty(), "{change}");
    }
}

#[test]
fn change_of_version_7_keeps_its_sentence() {
    let mut bytes = Vec::new();
    (5u64, ChangeKind::Pool).pack(&mut bytes);
    for text in ["pool a", "50 → 60 connections", "90 % in use"] {
        text.to_owned().pack(&mut bytes);
    }
    let change = StateChange::unpack(&mut PackedBytes { left: &bytes, version: 7 }).unwrap();
    assert_eq!((change.at.ns(), change.kind()), (5, ChangeKind::Pool));
    assert_eq!(change.to_string(), "pool a: 50 → 60 connections (90 % in use)");
}
