//! Commands to shards as bytes.
//!
//! `messages` carries them.
//! Invariant: a change of a form changes its description, and with it the first line of a link.

use crate::clock::RunOffset;
use crate::event::packed::{Packed, PackedBytes, Shape, packed};
use crate::event::{Adoption, LoadLease, Order, ScheduleChange, ShardCommand};
use crate::stats::LoadOverride;

packed! {
    ScheduleChange { workload, at, load }
    Adoption { from, slots }
    LoadLease { since, horizon, end, until }
}

impl Packed for Order {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Breaker(breaker, switch) => (0u8, (*breaker, *switch)).pack(out),
            Self::Mute(step, is_muted) => (1u8, (*step, *is_muted)).pack(out),
            Self::Level(level) => (2u8, *level).pack(out),
            Self::Admit(least) => (3u8, *least).pack(out),
            Self::PauseAdmission(is_paused) => (4u8, *is_paused).pack(out),
            Self::Resize(pool, size) => (5u8, (*pool, *size)).pack(out),
            Self::TrimMemory => 6u8.pack(out),
            Self::Refresh(service) => (7u8, *service).pack(out),
            Self::BackendHealth(service, backend, is_healthy) => {
                (8u8, (*service, (*backend, *is_healthy))).pack(out);
            }
            Self::BackendWeight(service, backend, weight) => {
                (9u8, (*service, (*backend, *weight))).pack(out);
            }
        }
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(match u8::unpack(from)? {
            0 => Self::Breaker(Packed::unpack(from)?, Packed::unpack(from)?),
            1 => Self::Mute(Packed::unpack(from)?, Packed::unpack(from)?),
            2 => Self::Level(Packed::unpack(from)?),
            3 => Self::Admit(Packed::unpack(from)?),
            4 => Self::PauseAdmission(Packed::unpack(from)?),
            5 => Self::Resize(Packed::unpack(from)?, Packed::unpack(from)?),
            6 => Self::TrimMemory,
            7 => Self::Refresh(Packed::unpack(from)?),
            8 => {
                let (service, (backend, is_healthy)) = Packed::unpack(from)?;
                Self::BackendHealth(service, backend, is_healthy)
            }
            9 => {
                let (service, (backend, weight)) = Packed::unpack(from)?;
                Self::BackendWeight(service, backend, weight)
            }
            _ => return None,
        })
    }

    fn describe(shape: &mut Shape) {
        shape.text(
            "order: 0 breaker, switch; 1 step, bool; 2 level; 3 priority; 4 bool; 5 pool, u64; \
             6 trim; 7 service; 8 service, backend, bool; 9 service, backend, u64",
        );
    }
}

impl Packed for ShardCommand {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Drain => 0u8.pack(out),
            Self::Cancel => 1u8.pack(out),
            Self::Order(order) => {
                2u8.pack(out);
                order.pack(out);
            }
            Self::ChangeSchedule(changes) => {
                3u8.pack(out);
                changes.pack(out);
            }
            Self::Adopt(adoption) => {
                4u8.pack(out);
                adoption.pack(out);
            }
            Self::Lease(lease) => (5u8, *lease).pack(out),
            Self::Release(from) => (6u8, *from).pack(out),
        }
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(match u8::unpack(from)? {
            0 => Self::Drain,
            1 => Self::Cancel,
            2 => Self::Order(Packed::unpack(from)?),
            3 => Self::ChangeSchedule(Packed::unpack(from)?),
            4 => Self::Adopt(Packed::unpack(from)?),
            5 => Self::Lease(Packed::unpack(from)?),
            6 => Self::Release(Packed::unpack(from)?),
            _ => return None,
        })
    }

    fn describe(shape: &mut Shape) {
        shape.text("command: 0 drain; 1 cancel; 2 ");
        Order::describe(shape);
        shape.text("; 3 ");
        Vec::<ScheduleChange>::describe(shape);
        LoadOverride::describe(shape);
        shape.text("; 4 ");
        Adoption::describe(shape);
        shape.text("; 5 ");
        LoadLease::describe(shape);
        shape.text("; 6 ");
        RunOffset::describe(shape);
    }
}
