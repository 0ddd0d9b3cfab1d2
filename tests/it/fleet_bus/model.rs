//! The model of the bus that the simulator of the protocol runs on, with what it needs, and the
//! binary form of its payload.

#![allow(dead_code, reason = "the simulator uses the rest of these files")]

#[path = "../../fleet/chance.rs"]
pub mod chance;
#[path = "../../fleet/faults.rs"]
pub mod faults;
#[path = "../../fleet/model_bus.rs"]
pub mod model_bus;
#[path = "../../fleet/process.rs"]
pub mod process;

use manada::event::packed::{Packed, PackedBytes, Shape};
use process::Sent;

impl Packed for Sent {
    fn pack(&self, out: &mut Vec<u8>) {
        self.indices.pack(out);
        self.loses.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(Self { indices: Packed::unpack(from)?, loses: Packed::unpack(from)? })
    }

    fn describe(shape: &mut Shape) {
        shape.text("the arrivals of an interval");
    }
}
