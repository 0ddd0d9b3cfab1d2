//! Limits of the connections that hold a stream: from one address, and in all.
//!
//! `connection` asks for a permit before it opens a stream, or before any request.
//! Invariant: permits held are at most the limits, for any number of threads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The limits of a server. The default has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionLimits {
    /// Connections in all; `None`: any number.
    pub total: Option<u64>,
    /// Connections from one address; `None`: any number.
    pub per_address: Option<u64>,
    /// Whether they hold for every connection with a request, not for streams alone.
    pub for_requests: bool,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testserver) enum LimitReached {
    /// That of the client's address: status 429.
    Address,
    /// That of the server: status 503.
    Total,
}

/// The connections that hold a permit.
#[derive(Debug)]
pub(in crate::testserver) struct ConnectionLimiter {
    pub limits: ConnectionLimits,
    held: Mutex<HeldPermits>,
}

#[derive(Debug, Default)]
struct HeldPermits {
    total: u64,
    by_address: HashMap<IpAddr, u64>,
}

/// The permit of a connection. Dropping it returns it.
#[derive(Debug)]
pub(in crate::testserver) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    address: IpAddr,
}

impl ConnectionLimiter {
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, held: Mutex::default() }
    }

    /// Whether there is a limit at all.
    pub fn has_limit(&self) -> bool {
        self.limits.total.is_some() || self.limits.per_address.is_some()
    }

    /// Grants a permit to a connection from `address`.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<ConnectionPermit, LimitReached> {
        let mut held = self.lock();
        let from_address = held.by_address.get(&address).copied().unwrap_or(0);
        if self.limits.per_address.is_some_and(|limit| from_address >= limit) {
            return Err(LimitReached::Address);
        }
        if self.limits.total.is_some_and(|limit| held.total >= limit) {
            return Err(LimitReached::Total);
        }
        held.total += 1;
        held.by_address.insert(address, from_address + 1);
        drop(held);
        Ok(ConnectionPermit { limiter: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HeldPermits> {
        // Nothing panics while holding the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimitReached {
    /// The status of the response.
    pub const fn status(self) -> u16 {
        match self {
            Self::Address => 429,
            Self::Total => 503,
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut held = self.limiter.lock();
        held.total -= 1;
        if let Some(count) = held.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_within_both_limits() {
        let limits = ConnectionLimits { total: Some(3), per_address: Some(2), for_requests: false };
        let limiter = Arc::new(ConnectionLimiter::new(limits));
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let first = limiter.admit(address(1)).unwrap();
        let _second = limiter.admit(address(1)).unwrap();
        assert_eq!(limiter.admit(address(1)).unwrap_err(), LimitReached::Address);
        let third = limiter.admit(address(2)).unwrap();
        assert_eq!(limiter.admit(address(2)).unwrap_err(), LimitReached::Total);
        drop((first, third));
        assert_eq!(limiter.lock().by_address.len(), 1, "nothing is kept of an address without any");
        assert!(limiter.admit(address(1)).is_ok());
    }
}
