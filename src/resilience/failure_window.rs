//! Attempts and failures of a breaker's time window.
//!
//! `breaker` counts in it.
//! Invariant: a window is ten atomic words, so shards count without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Time;

/// Attempts and failures of the policy's time window, in ten buckets.
#[derive(Debug)]
pub(super) struct FailureWindow {
    bucket_ns: u64,
    /// Each word: the bucket's number (24 bits), attempts and failures in it (20 bits each).
    buckets: [AtomicU64; 10],
}

impl FailureWindow {
    const MAX_COUNT: u64 = 0xf_ffff;

    pub(super) fn new(length_ns: u64) -> Self {
        Self { bucket_ns: (length_ns / 10).max(1), buckets: Default::default() }
    }

    /// Counts an attempt; returns failures and attempts of the window, including it.
    pub(super) fn count(&self, now: Time, failed: bool) -> (u32, u32) {
        // Starts at ten, so that an empty bucket is never a recent one.
        let number = now.0 / self.bucket_ns + 10;
        let stamp = number & 0xff_ffff;
        let bucket = &self.buckets[(number % 10) as usize];
        let _ = bucket.fetch_update(Relaxed, Relaxed, |old| {
            let old = if old >> 40 == stamp { old } else { stamp << 40 };
            let all = (old >> 20 & Self::MAX_COUNT) + 1;
            let failed = (old & Self::MAX_COUNT) + u64::from(failed);
            Some(stamp << 40 | all.min(Self::MAX_COUNT) << 20 | failed.min(Self::MAX_COUNT))
        });
        let recent = |old: u64| (0..10).any(|ago| old >> 40 == (number - ago) & 0xff_ffff);
        let words = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        words.filter(|old| recent(*old)).fold((0, 0), |(failed, all), old| {
            (failed + (old & Self::MAX_COUNT) as u32, all + (old >> 20 & Self::MAX_COUNT) as u32)
        })
    }

    /// Forgets all attempts.
    pub(super) fn clear(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }
}
