//! Error codes of Kafka as statuses, and which of them pass.
//!
//! `reply`, `producer`, `consumer` and `group` read them.
//! Invariant: a code that has no word is `other`.

use crate::protocol::{Protocol, status};

pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub(super) const REQUEST_TIMED_OUT: i16 = 7;
pub(super) const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
pub(super) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub(super) const NOT_COORDINATOR: i16 = 16;
pub(super) const ILLEGAL_GENERATION: i16 = 22;
pub(super) const UNKNOWN_MEMBER_ID: i16 = 25;
pub(super) const REBALANCE_IN_PROGRESS: i16 = 27;
pub(super) const UNSUPPORTED_VERSION: i16 = 35;
pub(super) const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
pub(super) const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
pub(super) const INVALID_TXN_STATE: i16 = 48;
pub(super) const CONCURRENT_TRANSACTIONS: i16 = 51;
pub(super) const OPERATION_NOT_ATTEMPTED: i16 = 55;
pub(super) const MEMBER_ID_REQUIRED: i16 = 79;

/// Codes in the order of the words of [`status`], from its third word on.
const CODES: [i16; 61] = [
    -1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
    28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40, 41, 42, 44, 45, 46, 47, 48, 51, 53, 55, 58, 67,
    68, 74, 75, 76, 79, 87, 49, 50, 52, 82, 90,
];

/// Errors after which the layout of the cluster is read again, and the request sent again.
const MOVED: [i16; 8] = [
    UNKNOWN_TOPIC_OR_PARTITION,
    5,  // LEADER_NOT_AVAILABLE
    6,  // NOT_LEADER_OR_FOLLOWER
    9,  // REPLICA_NOT_AVAILABLE
    56, // KAFKA_STORAGE_ERROR
    74, // FENCED_LEADER_EPOCH
    75, // UNKNOWN_LEADER_EPOCH
    78, // OFFSET_NOT_AVAILABLE
];

/// Errors after which the request is sent again to the same broker.
const BUSY: [i16; 3] = [
    REQUEST_TIMED_OUT,
    19, // NOT_ENOUGH_REPLICAS
    13, // NETWORK_EXCEPTION
];

/// The status of a code.
pub(super) fn status_of(code: i16) -> u16 {
    let place = match (code, CODES.iter().position(|known| *known == code)) {
        (0, _) => 0,
        (_, Some(place)) => place + 2,
        (_, None) => 1,
    };
    status::of_code(Protocol::Kafka, place)
}

/// Whether the leader of a partition is another one, or not known yet.
pub(super) fn is_moved(code: i16) -> bool {
    MOVED.contains(&code)
}

/// Whether the request may succeed later.
pub(super) fn is_passing(code: i16) -> bool {
    is_moved(code) || BUSY.contains(&code)
}

/// Whether another broker coordinates the group, or none does yet.
pub(super) const fn is_without_coordinator(code: i16) -> bool {
    matches!(code, COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE | NOT_COORDINATOR)
}
