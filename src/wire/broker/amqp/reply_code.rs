//! Reply codes of AMQP as statuses.
//!
//! `reply` and `channel` read them.
//! Invariant: a code that has no word is `other`.

use crate::protocol::{Protocol, status};

/// Codes in the order of the words of [`status`], from its fourth word on.
const CODES: [u16; 18] =
    [312, 313, 311, 320, 402, 403, 404, 405, 406, 501, 502, 503, 504, 505, 506, 530, 540, 541];

/// The status `OK`.
pub(super) fn ok() -> u16 {
    status::of_code(Protocol::Amqp, 0)
}

/// The status of a message that the broker did not take.
pub(super) fn nack() -> u16 {
    status::of_code(Protocol::Amqp, 2)
}

/// The status of a consumer that the broker ended.
pub(super) fn cancelled() -> u16 {
    status::of_code(Protocol::Amqp, CODES.len() + 3)
}

/// The status of a reply code.
pub(super) fn status_of(code: u16) -> u16 {
    let place = match CODES.iter().position(|known| *known == code) {
        Some(place) => place + 3,
        None => usize::from(code != 200),
    };
    status::of_code(Protocol::Amqp, place)
}
