//! A layer outside of the process, as the engine sees it: requests whose replies come later.
//!
//! `threads` makes layers of stores that block; simulations have layers under virtual time.
//! Invariant: asking never blocks; a request without a reply is dropped by the layer.

use tokio::sync::oneshot;

/// The owner of a lease.
pub type LeaseOwner = u128;

/// What a layer is asked; names are those of `EntryKey::name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerRequest {
    /// Read an entry.
    Get {
        /// Name of the entry.
        name: String,
    },
    /// Write an entry.
    Put {
        /// Name of the entry.
        name: String,
        /// The sealed entry.
        bytes: Vec<u8>,
        /// When the entry ends, ms since the epoch.
        expires_ms: u64,
        /// How long it lives from now on, ms.
        left_ms: u64,
    },
    /// Remove an entry.
    Remove {
        /// Name of the entry.
        name: String,
    },
    /// Take the lease of an entry, unless another owner has it.
    Lease {
        /// Name of the entry.
        name: String,
        /// The owner.
        owner: LeaseOwner,
        /// How long it lasts, ms.
        ms: u64,
    },
    /// Release the lease of an entry, if it is this owner's.
    Release {
        /// Name of the entry.
        name: String,
        /// The owner.
        owner: LeaseOwner,
    },
}

/// The reply of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerReply {
    /// The bytes of the entry.
    Found(Vec<u8>),
    /// There is no entry; the lease is another's.
    Nothing,
    /// It was done.
    Done,
    /// The layer failed.
    Failed,
}

/// A layer outside of the process.
pub trait CacheLayer: Send + Sync + std::fmt::Debug {
    /// Asks the layer; the reply comes within a bounded time, or the sender is dropped.
    fn ask(&self, request: LayerRequest) -> oneshot::Receiver<LayerReply>;

    /// Why the layer failed first, for people; `None` if it did not, or cannot tell.
    fn first_failure(&self) -> Option<String> {
        None
    }
}
