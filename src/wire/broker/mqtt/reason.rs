//! Reason codes of MQTT as statuses.
//!
//! `connack` and `session` read them.
//! Invariant: a code below 0x80 is a success (§2.4), also one that has no word here.

use crate::protocol::{Protocol, status};

/// Codes in the order of the words of [`status`], from its third word on.
const CODES: [u8; 37] = [
    0x10, 0x11, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d,
    0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d,
    0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];

/// The status of a reason code.
pub(super) fn status_of(code: u8) -> u16 {
    let place = match CODES.iter().position(|known| *known == code) {
        Some(place) => place + 2,
        None => usize::from(code >= 0x80),
    };
    status::of_code(Protocol::Mqtt, place)
}

/// The reason code of a return code of CONNACK in 3.1.1 (its §3.2.2.3).
pub(super) const fn of_return_code(code: u8) -> u8 {
    match code {
        0 => 0,
        1 => 0x84,
        2 => 0x85,
        3 => 0x88,
        4 => 0x86,
        5 => 0x87,
        _ => 0x80,
    }
}
