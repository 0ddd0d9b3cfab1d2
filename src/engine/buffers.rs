//! Buffers that a shard reuses for rendered requests.
//!
//! `attempt` takes one for each request that is not static.
//! Invariant: at most 256 buffers wait for reuse; more exist only while more calls are under way.

use std::cell::{RefCell, RefMut};

/// Buffers kept for reuse.
const KEPT: usize = 256;

/// The buffers of a shard.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
    scratch: RefCell<Vec<u8>>,
    weights: RefCell<Vec<u64>>,
}

impl Buffers {
    /// A buffer to render into.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    /// Returns a buffer; one without memory was never rendered into.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.capacity() == 0 {
            return;
        }
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT {
            free.push(buffer);
        }
    }

    /// The buffer through which bodies are rendered.
    pub(crate) fn scratch(&self) -> RefMut<'_, Vec<u8>> {
        self.scratch.borrow_mut()
    }

    /// The buffer for the weights of backends.
    pub(crate) fn weights(&self) -> RefMut<'_, Vec<u64>> {
        self.weights.borrow_mut()
    }

    /// Frees all memory.
    pub(crate) fn clear(&self) {
        *self.free.borrow_mut() = Vec::new();
        *self.scratch.borrow_mut() = Vec::new();
    }
}
