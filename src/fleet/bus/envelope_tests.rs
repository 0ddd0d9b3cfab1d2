//! Frames read back whole or not at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::clock::RunOffset;
use crate::event::ShardCommand;
use crate::fleet::protocol::{
    Acknowledgement, BusTime, ControlRecord, DeltaFrame, DeltaPayload, FinalCheck, FinalState,
    FleetPhase, FleetSnapshot, FleetTimes, Heartbeat, Incarnation, Ledger, Member, MemberAccount,
    MemberRefusal, MemberState, Ordinal, Revision, SlotTable,
};
use crate::fleet::protocol::{FleetCommand, MemberFacts, MemberHealth};
use crate::host::usage::CpuTime;
use crate::stats::FirstStart;

/// A payload of its own: other tests have theirs.
#[derive(Clone, Debug, PartialEq)]
struct SentCounts(Vec<u32>);

impl DeltaPayload for SentCounts {
    type Sum = Vec<u32>;

    fn merge(&mut self, later: &Self) {
        self.0.extend(&later.0);
    }

    fn add_to(&self, sum: &mut Vec<u32>) {
        sum.extend(&self.0);
    }
}

impl Packed for SentCounts {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Packed::unpack(from).map(Self)
    }

    fn describe(shape: &mut Shape) {
        shape.text("counts");
    }
}

fn envelopes() -> Envelopes<SentCounts> {
    Envelopes::new(1 << 20)
}

fn member() -> impl Strategy<Value = Member> {
    (0..300u16, any::<u64>()).prop_map(|(ordinal, incarnation)| Member {
        ordinal: Ordinal(ordinal),
        incarnation: Incarnation(incarnation),
    })
}

fn table() -> impl Strategy<Value = SlotTable> {
    (any::<[u64; 3]>(), vec(member(), 1..9), vec(0..10usize, 0..99)).prop_map(
        |([epoch, previous, from], members, owners)| SlotTable {
            epoch,
            previous,
            from: RunOffset::from_ns(from),
            owners: owners.into_iter().map(|place| members.get(place).copied()).collect(),
        },
    )
}

fn control() -> impl Strategy<Value = ControlRecord> {
    let phases = [FleetPhase::Lobby, FleetPhase::Armed, FleetPhase::Aborting, FleetPhase::Done];
    let acknowledgement = (member(), any::<[u64; 3]>(), any::<bool>()).prop_map(
        |(member, [generation, resend_from, saved], closed)| Acknowledgement {
            member,
            generation,
            resend_from,
            saved,
            closed,
        },
    );
    let refusals = [
        MemberRefusal::OtherPlan,
        MemberRefusal::TooMany,
        MemberRefusal::Unable,
        MemberRefusal::TooLate,
    ];
    let refused = vec((member(), proptest::sample::select(refusals.to_vec())), 0..5);
    let numbers = (any::<[u64; 9]>(), any::<Option<u64>>(), any::<bool>(), "[a-z0-9._-]{1,64}");
    let lists = (vec(table(), 0..8), vec(acknowledgement, 0..9), refused);
    (numbers, lists, proptest::sample::select(phases.to_vec())).prop_map(
        |((numbers, t0, is_incomplete, run), (tables, acknowledgements, refused), phase)| {
            let [token, number, leader, instance, plan, end, granted, snapshot, last] = numbers;
            ControlRecord {
                run,
                revision: Revision { token, number },
                leader,
                instance,
                phase,
                plan,
                t0: t0.map(BusTime),
                shards: last as u16,
                end: RunOffset::from_ns(end),
                tables,
                granted_until: RunOffset::from_ns(granted),
                acknowledgements,
                snapshot,
                is_incomplete,
                commands: vec![FleetCommand { number: last, command: ShardCommand::Drain }],
                last_command: last,
                refused,
                times: FleetTimes::default(),
            }
        },
    )
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    (member(), any::<[u64; 12]>(), any::<Option<[u64; 2]>>()).prop_map(|(member, n, seen)| {
        Heartbeat {
            member,
            beat: n[0],
            seen: seen.map(|[token, number]| Revision { token, number }),
            at: RunOffset::from_ns(n[1]),
            horizon: RunOffset::from_ns(n[2]),
            previous_horizon: RunOffset::from_ns(n[3]),
            plan: n[4],
            state: MemberState::Leaving,
            generation: n[5],
            appended: n[6],
            kept_from: n[7],
            measured: n[8],
            clock_error: n[9],
            command: n[10],
            facts: MemberFacts {
                host: "node-1".to_owned(),
                cores: n[11] as u16,
                reason: b"no \xff".to_vec(),
            },
            health: MemberHealth {
                first_start: (n[9] % 2 == 0)
                    .then_some(FirstStart { intended: RunOffset::from_ns(n[8]), lag_ns: n[7] }),
                lag_us: n[11],
                cpu_permille: n[10],
                rss: n[9],
                cpu: CpuTime { user_ns: n[8], system_ns: n[7] },
            },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn values_read_back_as_they_were_written(
        control in control(),
        heartbeat in heartbeat(),
        counts in vec(any::<u32>(), 0..999),
        member in member(),
    ) {
        let (mut envelopes, offset) = (envelopes(), RunOffset::from_ns(7));
        let mut bytes = Vec::new();
        envelopes.write(&mut bytes, FrameKind::Control, &control).unwrap();
        prop_assert_eq!(envelopes.read(FrameKind::Control, &bytes), Ok(control));
        bytes.clear();
        envelopes.write(&mut bytes, FrameKind::Heartbeat, &heartbeat).unwrap();
        prop_assert_eq!(envelopes.read(FrameKind::Heartbeat, &bytes), Ok(heartbeat.clone()));
        prop_assert!(bytes.len() < 300, "{}", bytes.len());
        // Of another kind.
        let other = envelopes.read::<Heartbeat>(FrameKind::Control, &bytes);
        prop_assert_eq!(other, Err(EnvelopeError::Damaged("damaged")));
        let payload = SentCounts(counts.clone());
        let frame = DeltaFrame { first: 1, last: 9, since: offset, until: offset, payload };
        bytes.clear();
        envelopes.write(&mut bytes, FrameKind::Delta, &frame).unwrap();
        prop_assert_eq!(envelopes.read(FrameKind::Delta, &bytes), Ok(frame));
        let state = FinalState::<SentCounts> { intervals: 3, until: offset, sum: counts.clone() };
        bytes.clear();
        envelopes.write(&mut bytes, FrameKind::Final, &state).unwrap();
        let read: FinalState<SentCounts> = envelopes.read(FrameKind::Final, &bytes).unwrap();
        prop_assert_eq!((read.intervals, read.until, read.sum), (3, offset, counts.clone()));
        let mut ledger = Ledger::default();
        let check = FinalCheck::Exact;
        let account = MemberAccount { sum: counts, check, ..MemberAccount::default() };
        *ledger.open(member) = account;
        let snapshot = FleetSnapshot::<SentCounts> { token: 4, number: 5, ledger };
        bytes.clear();
        envelopes.write(&mut bytes, FrameKind::Snapshot, &snapshot).unwrap();
        let read: FleetSnapshot<SentCounts> = envelopes.read(FrameKind::Snapshot, &bytes).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{snapshot:?}"));
    }

    #[test]
    fn any_bytes_are_an_error(mut bytes in vec(any::<u8>(), 0..200), is_headed in any::<bool>()) {
        let mut envelopes = envelopes();
        if is_headed {
            bytes.splice(0..0, envelopes.head);
        }
        prop_assert!(envelopes.read::<ControlRecord>(FrameKind::Control, &bytes).is_err());
        // Bytes that pass the checksums, and are no value.
        let mut framed = envelopes.head.to_vec();
        envelopes.deflater.reset();
        envelopes.deflater.write(&mut framed, FrameKind::Control as u8, &bytes).unwrap();
        let read = envelopes.read::<ControlRecord>(FrameKind::Control, &framed);
        prop_assert_eq!(read, Err(EnvelopeError::Damaged("not a valid value")));
    }
}

fn some_heartbeat() -> (Envelopes<SentCounts>, Vec<u8>) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let value = heartbeat().new_tree(&mut runner).unwrap().current();
    let (mut envelopes, mut bytes) = (envelopes(), Vec::new());
    envelopes.write(&mut bytes, FrameKind::Heartbeat, &value).unwrap();
    (envelopes, bytes)
}

#[test]
fn each_flipped_bit_and_each_cut_is_damage() {
    let (mut envelopes, bytes) = some_heartbeat();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = envelopes.read::<Heartbeat>(FrameKind::Heartbeat, &flipped);
        assert!(matches!(read, Err(EnvelopeError::Damaged(_))), "bit {bit}: {read:?}");
    }
    for cut in 0..bytes.len() {
        let read = envelopes.read::<Heartbeat>(FrameKind::Heartbeat, &bytes[..cut]);
        assert!(matches!(read, Err(EnvelopeError::Damaged(_))), "cut {cut}: {read:?}");
    }
    let longer = [&bytes[..], b"x"].concat();
    let read = envelopes.read::<Heartbeat>(FrameKind::Heartbeat, &longer);
    assert_eq!(read, Err(EnvelopeError::Damaged("too long")));
    assert!(envelopes.read::<Heartbeat>(FrameKind::Heartbeat, &bytes).is_ok());
}

#[test]
fn frames_of_another_build_are_told_apart() {
    let (_, bytes) = some_heartbeat();
    for mut other in [
        Envelopes::<SentCounts>::of_build(VERSION + 1, 7, 99),
        Envelopes::<SentCounts>::of_build(VERSION, 7, 99),
    ] {
        let read = other.read::<Heartbeat>(FrameKind::Heartbeat, &bytes);
        assert_eq!(read, Err(EnvelopeError::OtherBuild));
    }
}

#[test]
fn values_longer_than_their_kind_are_neither_written_nor_read() {
    let large = SentCounts(vec![7; 5_000]);
    let offset = RunOffset::ZERO;
    let frame = DeltaFrame { first: 1, last: 1, since: offset, until: offset, payload: large };
    let (mut narrow, mut wide) = (Envelopes::<SentCounts>::new(4_096), envelopes());
    let mut bytes = Vec::new();
    assert_eq!(narrow.write(&mut bytes, FrameKind::Delta, &frame), Err((5_006, 4_096)));
    assert!(bytes.is_empty());
    wide.write(&mut bytes, FrameKind::Delta, &frame).unwrap();
    let read = narrow.read::<DeltaFrame<SentCounts>>(FrameKind::Delta, &bytes);
    assert_eq!(read, Err(EnvelopeError::Damaged("damaged")), "{} bytes", bytes.len());
}

/// 64 members, of which seven are lost one after the other.
#[test]
fn control_record_of_a_large_fleet_is_small() {
    let members: Vec<Member> = (0..64)
        .map(|ordinal| Member {
            ordinal: Ordinal(ordinal),
            incarnation: Incarnation(
                (1_790_000_000_000_000 << 12) + u64::from(ordinal) * 9_999_991,
            ),
        })
        .collect();
    let mut tables = vec![SlotTable::first(1, 4_096, &members)];
    for lost in 1..8 {
        let last = &tables[lost - 1];
        let owners = last.without(|member| member == members[lost], &members[lost + 1..]);
        tables.push(SlotTable {
            epoch: lost as u64 + 1,
            previous: lost as u64,
            from: RunOffset::from_ns(lost as u64 * 1_234_567_891),
            owners,
        });
    }
    let acknowledgements = members.iter().map(|member| Acknowledgement {
        member: *member,
        generation: 1,
        resend_from: 300,
        saved: 299,
        closed: false,
    });
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let some = control().new_tree(&mut runner).unwrap().current();
    let record = ControlRecord {
        tables,
        acknowledgements: acknowledgements.collect(),
        refused: vec![],
        ..some
    };
    let (mut envelopes, mut bytes) = (envelopes(), Vec::new());
    envelopes.write(&mut bytes, FrameKind::Control, &record).unwrap();
    assert!(bytes.len() < 32 << 10, "{} bytes", bytes.len());
    assert_eq!(envelopes.read(FrameKind::Control, &bytes), Ok(record));
}
