//! The binary forms of what processes of a fleet write to the bus, on the forms of records.
//!
//! `envelope` frames them and makes a hash of their descriptions.
//! Invariant: a value unpacks to the same, except for secrets in texts of payloads, which are
//! redacted: other people may read the bus.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::packed::{Packed, PackedBytes, Shape, listed, packed};
use crate::fleet::protocol::{
    Acknowledgement, BusTime, ControlRecord, DeclaredLoss, DeltaFrame, DeltaPayload, FinalCheck,
    FinalState, FleetCommand, FleetPhase, FleetSnapshot, FleetTimes, Heartbeat, Incarnation,
    Ledger, Member, MemberAccount, MemberFacts, MemberHealth, MemberRefusal, MemberState, Ordinal,
    Revision, SlotTable,
};

/// A payload that has a binary form.
pub trait BusPayload: DeltaPayload<Sum: Packed> + Packed {}

impl<P: DeltaPayload<Sum: Packed> + Packed> BusPayload for P {}

/// Packs a type around one number as the number.
macro_rules! wrapped {
    ($($type:ident),+) => {$(
        impl Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                self.0.pack(out);
            }

            fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
                Packed::unpack(from).map(Self)
            }

            fn describe(shape: &mut Shape) {
                shape.text(stringify!($type));
            }
        }
    )+};
}

wrapped!(Ordinal, Incarnation, BusTime);

listed! {
    FleetPhase: Lobby, Prepare, Armed, Running, Draining, Aborting, Done;
    MemberRefusal: OtherPlan, TooMany, Unable, TooLate;
    MemberState: Joined, Ready, Leaving, Finished, Unable;
    FinalCheck: Open, Exact, Corrected;
}

packed! {
    Member { ordinal, incarnation }
    Revision { token, number }
    FleetTimes {
        heartbeat, lease, request_timeout, poll, silence, lead, renewal, orphan, snapshot,
        leader_silence, give_up, drain,
    }
    SlotTable { epoch, previous, from, owners }
    Acknowledgement { member, generation, resend_from, saved, closed }
    Heartbeat {
        member, beat, seen, at, horizon, previous_horizon, plan, state, generation, appended,
        kept_from, measured, clock_error, command, facts, health,
    }
    FleetCommand { number, command }
    MemberFacts { host, cores, reason }
    MemberHealth { first_start, lag_us, cpu_permille, rss, cpu }
    DeclaredLoss { member, since, until }
    @[P: BusPayload] DeltaFrame<P> { first, last, since, until, payload }
    @[P: BusPayload] FinalState<P> { intervals, until, sum }
    @[P: BusPayload] MemberAccount<P> {
        generation, resend_from, kept_from, merged, merged_until, sum, gaps, check,
    }
    @[P: BusPayload] Ledger<P> { accounts }
    @[P: BusPayload] FleetSnapshot<P> { token, number, ledger }
}

/// The fields of a control record after the id of its run.
macro_rules! control_fields {
    ($($field:ident),+) => {
        impl Packed for ControlRecord {
            fn pack(&self, out: &mut Vec<u8>) {
                // As bytes: a text would be redacted, and agents compare it.
                self.run.as_bytes().to_vec().pack(out);
                $(self.$field.pack(out);)+
            }

            fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
                let run = String::from_utf8(Packed::unpack(from)?).ok()?;
                Some(Self { run, $($field: Packed::unpack(from)?),+ })
            }

            fn describe(shape: &mut Shape) {
                shape.text("ControlRecord { run: exact text, ");
                $(shape.field(stringify!($field), |value: &Self| Some(&value.$field));)+
                shape.text("}");
            }
        }
    };
}

control_fields!(
    revision,
    leader,
    instance,
    phase,
    plan,
    t0,
    shards,
    end,
    tables,
    granted_until,
    acknowledgements,
    snapshot,
    is_incomplete,
    commands,
    last_command,
    refused,
    times
);

/// The owners of slots: the list of different owners, then for each slot the place of its owner in
/// the list, from one; zero if it has none.
impl Packed for Arc<[Option<Member>]> {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut places = HashMap::new();
        let mut members = Vec::new();
        for owner in self.iter().flatten() {
            places.entry(*owner).or_insert_with(|| {
                members.push(*owner);
                members.len()
            });
        }
        members.pack(out);
        self.len().pack(out);
        for owner in self.iter() {
            owner.map_or(0, |owner| places[&owner]).pack(out);
        }
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let members = Vec::<Member>::unpack(from)?;
        let owner = |place: usize| match place {
            0 => Some(None),
            _ => members.get(place - 1).map(|member| Some(*member)),
        };
        Vec::<usize>::unpack(from)?.into_iter().map(owner).collect()
    }

    fn describe(shape: &mut Shape) {
        shape.text("members, and their places for each slot");
    }
}

/// Describes all forms.
pub(super) fn describe<P: BusPayload>(shape: &mut Shape) {
    ControlRecord::describe(shape);
    Heartbeat::describe(shape);
    DeltaFrame::<P>::describe(shape);
    FinalState::<P>::describe(shape);
    FleetSnapshot::<P>::describe(shape);
}
