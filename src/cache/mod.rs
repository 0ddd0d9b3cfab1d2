//! The layered cache: values that iterations captured, kept for other users, processes and runs.
//!
//! `engine` looks up, fills and forgets entries; `fleet::cache_stores` has the stores of layers
//! outside of the process. The rules know neither clock nor sockets: time is an argument.
//! Invariant: an entry that is damaged, foreign, too old or sealed with another key is never
//! served; one fill per key runs in a process at once.

mod entry;
mod flight;
mod gate;
mod key;
mod layer;
mod lookup;
mod memory;
mod seal;
mod set;
mod threads;
#[cfg(test)]
mod world_tests;

pub use entry::{Entry, MAX_PAYLOAD, MAX_STORED};
pub use flight::FlightTicket;
pub use key::EntryKey;
pub use layer::{CacheLayer, LayerReply, LayerRequest, LeaseOwner};
pub use lookup::{Lookup, LookupResult, LookupRules, LookupStep};
pub use seal::{MIN_SECRET, Seal};
pub use set::{Beginning, CacheSet, Role, SharedCache};
pub use threads::{LayerFailure, LayerStore, LayerThreads};
