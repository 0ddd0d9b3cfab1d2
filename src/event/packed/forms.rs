//! Types of a record that are packed in a form of their own.
//!
//! Invariant: a change of a form, or of its description, changes `header::VERSION`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::outcomes::error_of;
use super::{Packed, PackedBytes, Shape};
use crate::clock::RunOffset;
use crate::event::{Interrupt, StopCause};
use crate::ids::{ArchetypeId, BreakerId, PoolId, ServiceId, StepId, WorkloadId};
use crate::plan::TraceUrl;
use crate::plan::policy::BreakerName;
use crate::seed::Seed;
use crate::stats::delta::Halt;
use crate::stats::exemplar::FailureMode;
use crate::stats::outcome::ERRORS;
use crate::stats::{
    Change, ChangeCause, ChangeKind, ChangeSubject, HealthFigure, Histogram, OverrideBase,
    StateChange,
};
use crate::units::Rate;
use crate::verdict::Threshold;

/// Packs a numbered id as its number.
macro_rules! numbered {
    ($($type:ty),+) => {$(
        impl Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                self.index().pack(out);
            }

            fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
                usize::unpack(from).map(Self::new)
            }

            fn describe(shape: &mut Shape) {
                shape.text(stringify!($type));
            }
        }
    )+};
}

numbered!(ServiceId, ArchetypeId, WorkloadId, StepId, BreakerId, PoolId);

/// An offset is its ns.
impl Packed for RunOffset {
    fn pack(&self, out: &mut Vec<u8>) {
        self.ns().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        u64::unpack(from).map(Self::from_ns)
    }

    fn describe(shape: &mut Shape) {
        shape.text("ns after the start of the run");
    }
}

impl Packed for Histogram {
    fn pack(&self, out: &mut Vec<u8>) {
        let buckets: Vec<(u64, u64)> = self.buckets().collect();
        (self.sum_us(), self.min_us()).pack(out);
        (self.max_us(), buckets).pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let (sum_us, min_us) = Packed::unpack(from)?;
        let (max_us, buckets): (u64, Vec<(u64, u64)>) = Packed::unpack(from)?;
        // No real run counts that far, and sums stay within range.
        let is_plausible =
            buckets.len() < 1 << 16 && buckets.iter().all(|(_, count)| *count < 1 << 30);
        is_plausible.then(|| Self::restored(&buckets, sum_us, min_us, max_us))
    }

    fn describe(shape: &mut Shape) {
        <((u64, u64), (u64, Vec<(u64, u64)>))>::describe(shape);
    }
}

impl Packed for SocketAddr {
    fn pack(&self, out: &mut Vec<u8>) {
        self.to_string().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        String::unpack(from)?.parse().ok()
    }

    fn describe(shape: &mut Shape) {
        shape.text("socket address as text");
    }
}

impl Packed for Seed {
    fn pack(&self, out: &mut Vec<u8>) {
        self.value().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Self::new(u64::unpack(from)?)
    }

    fn describe(shape: &mut Shape) {
        shape.text("seed");
    }
}

impl Packed for SystemTime {
    fn pack(&self, out: &mut Vec<u8>) {
        self.duration_since(UNIX_EPOCH).unwrap_or_default().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        UNIX_EPOCH.checked_add(Duration::unpack(from)?)
    }

    fn describe(shape: &mut Shape) {
        shape.text("time since the epoch");
    }
}

impl Packed for TraceUrl {
    fn pack(&self, out: &mut Vec<u8>) {
        self.text().to_owned().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Self::parse(&String::unpack(from)?).ok()
    }

    fn describe(shape: &mut Shape) {
        shape.text("URL of traces");
    }
}

impl Packed for Threshold {
    fn pack(&self, out: &mut Vec<u8>) {
        self.rule.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Self::parse(&String::unpack(from)?).ok()
    }

    fn describe(shape: &mut Shape) {
        shape.text("threshold as text");
    }
}

impl Packed for BreakerName {
    fn pack(&self, out: &mut Vec<u8>) {
        (self.name.clone(), self.is_configured).pack(out);
        self.level.to_owned().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let (name, is_configured) = Packed::unpack(from)?;
        let level = String::unpack(from)?;
        let level = ["endpoint", "service", "system"].into_iter().find(|one| *one == level)?;
        Some(Self { name, level, is_configured })
    }

    fn describe(shape: &mut Shape) {
        <((String, bool), String)>::describe(shape);
    }
}

impl Packed for FailureMode {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Error(index) => (0u8, *index),
            Self::Status(status) => (1, usize::from(*status)),
            Self::Check(check) => (2, *check),
        }
        .pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match <(u8, usize)>::unpack(from)? {
            (0, index) => error_of(index, from.version).map(Self::Error),
            (1, status) => Some(Self::Status(status.try_into().ok()?)),
            (2, check) => Some(Self::Check(check)),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text(&format!("0 error of {ERRORS}, 1 status, 2 check; "));
        <(u8, usize)>::describe(shape);
    }
}

impl Packed for Halt {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Check(what) => (0u8, what.clone()),
            Self::DataEnd(what) => (1, what.clone()),
            Self::Safety(what) => (2, what.clone()),
        }
        .pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match <(u8, String)>::unpack(from)? {
            (0, what) => Some(Self::Check(what)),
            (1, what) => Some(Self::DataEnd(what)),
            (2, what) => Some(Self::Safety(what)),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text("0 check, 1 data end, 2 safety; ");
        <(u8, String)>::describe(shape);
    }
}

impl Packed for StopCause {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Signal(interrupt) => (0u8, *interrupt).pack(out),
            Self::Flow(halt) => (1u8, halt.clone()).pack(out),
            Self::Rule(rule) => (2u8, rule.clone()).pack(out),
            Self::ErrorRate(why) => (3u8, why.clone()).pack(out),
            Self::Lost => 4u8.pack(out),
            Self::Workers(why) => (5u8, why.clone()).pack(out),
            Self::Shift(why) => (6u8, why.clone()).pack(out),
        }
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match u8::unpack(from)? {
            0 => Packed::unpack(from).map(Self::Signal),
            1 => Packed::unpack(from).map(Self::Flow),
            2 => Packed::unpack(from).map(Self::Rule),
            3 => Packed::unpack(from).map(Self::ErrorRate),
            4 => Some(Self::Lost),
            5 => Packed::unpack(from).map(Self::Workers),
            6 => Packed::unpack(from).map(Self::Shift),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text("0 signal ");
        Interrupt::describe(shape);
        shape.text(", 1 flow ");
        Halt::describe(shape);
        shape.text(", 2 rule, 3 error rate, 5 workers, 6 shift; text, 4 lost");
    }
}

/// Records before version 8 have sentences in place of states and figures.
impl Packed for StateChange {
    fn pack(&self, out: &mut Vec<u8>) {
        self.at.pack(out);
        self.subject.pack(out);
        self.change.pack(out);
        self.cause.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let at = Packed::unpack(from)?;
        if from.version < 8 {
            let kind: ChangeKind = Packed::unpack(from)?;
            return Some(Self {
                at,
                subject: ChangeSubject::Former(Packed::unpack(from)?),
                change: Change::former(kind, Packed::unpack(from)?),
                cause: ChangeCause::Former { text: Packed::unpack(from)? },
            });
        }
        Some(Self {
            at,
            subject: Packed::unpack(from)?,
            change: Packed::unpack(from)?,
            cause: Packed::unpack(from)?,
        })
    }

    fn describe(shape: &mut Shape) {
        RunOffset::describe(shape);
        ChangeSubject::describe(shape);
        Change::describe(shape);
        ChangeCause::describe(shape);
    }
}

/// The number of the kind of subject, and its names.
impl Packed for ChangeSubject {
    fn pack(&self, out: &mut Vec<u8>) {
        let (kind, names): (u8, Vec<&String>) = match self {
            Self::Endpoint(name) => (0, vec![name]),
            Self::Service(name) => (1, vec![name]),
            Self::System => (2, Vec::new()),
            Self::Pool(name) => (3, vec![name]),
            Self::Workload(name) => (4, vec![name]),
            Self::Step { workload, archetype, step } => (5, vec![workload, archetype, step]),
            Self::Client => (6, Vec::new()),
            Self::Generator => (7, Vec::new()),
            Self::Memory => (8, Vec::new()),
            Self::Mark => (9, Vec::new()),
            Self::Former(name) => (10, vec![name]),
            Self::Worker(number) => return (11u8, *number).pack(out),
            Self::Agent(ordinal) => return (12u8, *ordinal).pack(out),
            Self::Backend { service, backend } => (13, vec![service, backend]),
        };
        kind.pack(out);
        names.into_iter().for_each(|name| name.pack(out));
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(match u8::unpack(from)? {
            0 => Self::Endpoint(Packed::unpack(from)?),
            1 => Self::Service(Packed::unpack(from)?),
            2 => Self::System,
            3 => Self::Pool(Packed::unpack(from)?),
            4 => Self::Workload(Packed::unpack(from)?),
            5 => {
                let (workload, (archetype, step)) = Packed::unpack(from)?;
                Self::Step { workload, archetype, step }
            }
            6 => Self::Client,
            7 => Self::Generator,
            8 => Self::Memory,
            9 => Self::Mark,
            10 => Self::Former(Packed::unpack(from)?),
            11 => Self::Worker(Packed::unpack(from)?),
            12 => Self::Agent(Packed::unpack(from)?),
            13 => {
                let (service, backend) = Packed::unpack(from)?;
                Self::Backend { service, backend }
            }
            _ => return None,
        })
    }

    fn describe(shape: &mut Shape) {
        shape.text("0 endpoint, 1 service, 2 system, 3 pool, 4 workload, ");
        shape.text("5 step of workload, archetype, 6 client, 7 generator, 8 memory, 9 mark, ");
        shape.text("10 former, 11 worker of u64, 12 agent of u64, 13 backend of service; ");
        shape.text("names as text");
    }
}

impl Packed for OverrideBase {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Plan => (0u8, 0),
            Self::Users(users) => (1, *users),
            Self::Rate(rate) => (2, rate.units()),
        }
        .pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match <(u8, u64)>::unpack(from)? {
            (0, _) => Some(Self::Plan),
            (1, users) => Some(Self::Users(users)),
            (2, units) => Some(Self::Rate(Rate::from_units(units))),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text("0 plan, 1 users, 2 units of a rate; ");
        <(u8, u64)>::describe(shape);
    }
}

impl Packed for HealthFigure {
    fn pack(&self, out: &mut Vec<u8>) {
        let kind: u8 = match self {
            Self::MemoryInUse(_) => 0,
            Self::PoolInUse(_) => 1,
            Self::P95(_) => 2,
            Self::Failed(_) => 3,
        };
        (kind, self.value()).pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match <(u8, f64)>::unpack(from)? {
            (0, value) => Some(Self::MemoryInUse(value)),
            (1, value) => Some(Self::PoolInUse(value)),
            (2, value) => Some(Self::P95(value)),
            (3, value) => Some(Self::Failed(value)),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text("0 memory in use, 1 pool in use, 2 p95, 3 failed; ");
        <(u8, f64)>::describe(shape);
    }
}
