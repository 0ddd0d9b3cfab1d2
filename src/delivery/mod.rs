//! Delivery of messages: stamps in messages, channels that count what was published, and for each
//! listener the ledger of the messages it should receive.
//!
//! `engine::streams` writes and reads stamps, and feeds the ledgers.
//! Invariant: time is an argument, nothing waits; the publishers' side and the listeners' side of
//! a channel are counted by the same atomic operation, so that they can be held against each other.

pub mod channel;
pub mod order;
pub mod sequence;
pub mod shared;
pub mod stamp;

pub use channel::{Channel, Channels};
pub use order::PublisherOrder;
pub use sequence::{MessageArrival, SequenceLedger, Settled};
pub use shared::{DueLedger, ListenerGroups};
pub use stamp::{FoundStamp, Stamp};
