//! A rate limit of requests for each client address: a bucket that refills steadily.
//!
//! `connection` asks it for each request that is no control request.
//! Invariant: at most [`MAX_ADDRESSES`] addresses are kept; an address without use for as long as
//! its bucket takes to fill is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::clock::Time;
use crate::units::Rate;

/// Maximum number of addresses with a bucket of their own; further ones share one.
const MAX_ADDRESSES: usize = 10_000;

/// A rate limit.
#[derive(Clone, Copy, Debug)]
pub struct RequestRateLimit {
    /// Requests per second.
    pub rate: Rate,
    /// Requests that are admitted at once after a pause, at least 1.
    pub burst: u32,
}

/// The buckets of all addresses.
#[derive(Debug)]
pub(super) struct RequestRateLimiter {
    limit: RequestRateLimit,
    /// When the bucket of an address is full again, ns.
    full_at: Mutex<HashMap<IpAddr, u64>>,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateDecision {
    pub is_admitted: bool,
    /// Requests that would be admitted at once now.
    pub remaining: u64,
    /// Until one more is admitted, whole seconds, rounded up.
    pub retry_s: u64,
    /// Until the bucket is full, whole seconds, rounded up.
    pub full_s: u64,
}

impl RequestRateLimiter {
    pub fn new(limit: RequestRateLimit) -> Self {
        Self { limit, full_at: Mutex::default() }
    }

    /// The limit, as requests in a number of seconds.
    pub fn policy(&self) -> (u64, u64) {
        let rate = self.limit.rate.as_f64();
        // The shortest time in which it is a whole number of requests.
        let whole = |seconds: &u64| {
            let requests = rate * *seconds as f64;
            requests >= 1.0 && (requests - requests.round()).abs() < 1e-9
        };
        let seconds = [1, 10, 60, 3_600].into_iter().find(whole).unwrap_or(3_600);
        ((rate * seconds as f64).round() as u64, seconds)
    }

    /// Decides about a request from `address` at `now`.
    pub fn admit(&self, address: IpAddr, now: Time) -> RateDecision {
        let per_request = (1e9 / self.limit.rate.as_f64()) as u64;
        let size = per_request.saturating_mul(u64::from(self.limit.burst));
        // Nothing panics while holding the lock.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= MAX_ADDRESSES && !full_at.contains_key(&address) {
            full_at.retain(|_, full| *full > now.0);
        }
        let is_over = full_at.len() >= MAX_ADDRESSES && !full_at.contains_key(&address);
        let address = if is_over { IpAddr::from([0, 0, 0, 0]) } else { address };
        let before = full_at.get(&address).copied().unwrap_or(0).max(now.0);
        let after = before.saturating_add(per_request);
        let is_admitted = after <= now.0.saturating_add(size);
        let full = if is_admitted { after } else { before };
        full_at.insert(address, full);
        drop(full_at);
        let missing = full - now.0;
        let seconds = |ns: u64| ns.div_ceil(1_000_000_000);
        RateDecision {
            is_admitted,
            remaining: (size - missing.min(size)) / per_request.max(1),
            retry_s: seconds((missing + per_request).saturating_sub(size)).max(1),
            full_s: seconds(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_buckets_of_their_own_that_refill_steadily() {
        let rate = Rate::per_s(20);
        let limiter = RequestRateLimiter::new(RequestRateLimit { rate, burst: 3 });
        assert_eq!(limiter.policy(), (20, 1));
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let at = |ms: u64| Time(1_000_000_000_000 + ms * 1_000_000);
        let admitted = |address, ms| limiter.admit(address, at(ms)).is_admitted;
        assert!((0..3).all(|_| admitted(one, 0)));
        let refused = limiter.admit(one, at(0));
        let expected = RateDecision { is_admitted: false, remaining: 0, retry_s: 1, full_s: 1 };
        assert_eq!(refused, expected);
        assert!(admitted(other, 0));
        assert!(!admitted(one, 49) && admitted(one, 50) && !admitted(one, 50));
        assert_eq!((0..10).filter(|_| admitted(one, 10_000)).count(), 3, "no more than it holds");
    }

    #[test]
    fn addresses_beyond_the_bound_share_a_bucket() {
        let rate = Rate::per_s(1);
        let limiter = RequestRateLimiter::new(RequestRateLimit { rate, burst: 1 });
        let address = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let now = Time(1_000_000_000_000);
        let most = MAX_ADDRESSES as u32;
        assert!((0..most).all(|number| limiter.admit(address(number), now).is_admitted));
        assert!(limiter.admit(address(most), now).is_admitted);
        assert!(!limiter.admit(address(most + 1), now).is_admitted);
        // All are full again.
        let later = Time(now.0 + 2_000_000_000);
        assert!(limiter.admit(address(most + 1), later).is_admitted);
        assert_eq!(limiter.full_at.lock().unwrap().len(), 1);
    }
}
