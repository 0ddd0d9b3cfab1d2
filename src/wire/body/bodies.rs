//! Captured bodies, with one memory budget for the process.
//!
//! The readers of both HTTP versions and the decoders of content codings add to a [`CapturedBody`];
//! `run` sets the budget.
//! Invariant: the bodies captured at one time take at most the budget, plus `FREE` each.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Memory that a body may take without being counted: most bodies, so that these do not touch the
/// shared counter.
const FREE: usize = 16 << 10;

/// The budget until a run sets its own: 1 GiB.
const DEFAULT: u64 = 1 << 30;

/// A memory budget that bodies share.
#[derive(Debug)]
pub struct BodyBudget {
    limit: AtomicU64,
    used: AtomicU64,
}

/// The budget of this process.
static PROCESS: BodyBudget = BodyBudget::new(DEFAULT);

/// Sets how many bytes all captured bodies of this process may take at one time.
pub fn set_budget(bytes: u64) {
    PROCESS.limit.store(bytes, Relaxed);
}

/// The budget has no room for more of a body, or the system has no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExhausted;

impl BodyBudget {
    /// Creates a budget of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self { limit: AtomicU64::new(bytes), used: AtomicU64::new(0) }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), BudgetExhausted> {
        let limit = self.limit.load(Relaxed);
        let add = |used: u64| used.checked_add(bytes).filter(|used| *used <= limit);
        self.used.fetch_update(Relaxed, Relaxed, add).map(drop).map_err(|_| BudgetExhausted)
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// The captured part of a body. Boxed once there is one: each user's task holds room for it.
#[derive(Debug, Default)]
pub struct CapturedBody(Option<Box<BodyBytes>>);

/// The bytes of a body.
#[derive(Debug)]
struct BodyBytes {
    bytes: Vec<u8>,
    /// Bytes taken from the budget.
    held: u64,
    budget: &'static BodyBudget,
}

impl CapturedBody {
    /// Creates an empty body that counts against `budget`, not against the one of the process.
    pub fn with_budget(budget: &'static BodyBudget) -> Self {
        Self(Some(Box::new(BodyBytes { bytes: Vec::new(), held: 0, budget })))
    }

    /// Appends data.
    ///
    /// # Errors
    /// If there is no room for it; then the body is emptied, and its share of the budget is
    /// returned.
    pub fn push(&mut self, data: &[u8]) -> Result<(), BudgetExhausted> {
        let body = self.0.get_or_insert_default();
        let pushed = body.push(data);
        if pushed.is_err() {
            *self = Self::with_budget(body.budget);
        }
        pushed
    }

    /// Empties the body and keeps its capacity for the next one.
    pub fn clear(&mut self) {
        if let Some(body) = &mut self.0 {
            body.bytes.clear();
        }
    }
}

impl BodyBytes {
    fn push(&mut self, data: &[u8]) -> Result<(), BudgetExhausted> {
        let needed = self.bytes.len() + data.len();
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    #[cold]
    fn grow(&mut self, needed: usize) -> Result<(), BudgetExhausted> {
        let capacity = needed.max(2 * self.bytes.capacity()).max(256);
        let more = capacity - self.bytes.len();
        if capacity > FREE {
            let own = (capacity - FREE) as u64 - self.held;
            self.budget.take(own)?;
            self.held += own;
        }
        self.bytes.try_reserve_exact(more).map_err(|_| BudgetExhausted)
    }
}

impl Default for BodyBytes {
    fn default() -> Self {
        Self { bytes: Vec::new(), held: 0, budget: &PROCESS }
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        if self.held > 0 {
            self.budget.give_back(self.held);
        }
    }
}

impl PartialEq for CapturedBody {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for CapturedBody {}

impl Deref for CapturedBody {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |body| &body.bytes)
    }
}

impl From<Vec<u8>> for CapturedBody {
    /// Wraps a body that was made here, not read; it does not count against the budget.
    fn from(bytes: Vec<u8>) -> Self {
        Self(Some(Box::new(BodyBytes { bytes, held: 0, budget: &PROCESS })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_their_budget_and_give_it_back() {
        let budget: &'static BodyBudget = Box::leak(Box::new(BodyBudget::new(120_000)));
        let body = |bytes: usize| {
            let mut body = CapturedBody::with_budget(budget);
            let pushed = (0..bytes / 1_000).try_for_each(|_| body.push(&[7; 1_000]));
            (pushed, body)
        };
        let small: Vec<_> = (0..100).map(|_| body(8_000)).collect();
        assert!(small.iter().all(|(pushed, _)| pushed.is_ok()));
        assert_eq!(budget.used(), 0);
        // Capacity doubles: 64,000 bytes, of which FREE are not counted.
        let (one, first) = body(60_000);
        assert_eq!((one, first.len(), budget.used()), (Ok(()), 60_000, 64_000 - FREE as u64));
        let (two, second) = body(80_000);
        assert_eq!(
            (two, second.len(), budget.used()),
            (Err(BudgetExhausted), 0, 64_000 - FREE as u64)
        );
        drop(first);
        assert_eq!(budget.used(), 0);
        let (three, mut third) = body(80_000);
        assert_eq!(three, Ok(()));
        let used = budget.used();
        third.clear();
        assert_eq!((third.push(&vec![1; 80_000]), budget.used()), (Ok(()), used));
        drop(third);
        assert_eq!(budget.used(), 0);
    }
}
