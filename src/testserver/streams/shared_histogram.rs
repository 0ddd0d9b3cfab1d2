//! A histogram that any thread records into.
//!
//! `counts` has one for each time that the server tells of itself.
//! Invariant: every recorded time is in exactly one part; the document is the sum of all parts.
//! A thread always uses the same part, so that its lock is hardly ever contended.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::stats::Histogram;

/// The number of parts. More threads than this share them.
const PARTS: usize = 8;

thread_local! {
    static PART: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Relaxed) % PARTS
    };
}

/// Times in µs.
#[derive(Debug, Default)]
pub(in crate::testserver) struct SharedHistogram([Mutex<Histogram>; PARTS]);

impl SharedHistogram {
    /// Records a time.
    pub fn record(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1_000);
        let part = PART.with(|part| &self.0[*part]);
        // Nothing panics while holding the lock.
        part.lock().unwrap_or_else(PoisonError::into_inner).record_ns(ns);
    }

    /// Returns the JSON object of `/stats`; all its members are 0 if nothing was recorded.
    pub fn document(&self) -> String {
        let mut all = Histogram::default();
        for part in &self.0 {
            all.merge(&part.lock().unwrap_or_else(PoisonError::into_inner));
        }
        format!(
            "{{\"count\":{},\"p50\":{},\"p99\":{},\"max\":{}}}",
            all.count(),
            all.percentile_us(50.0),
            all.percentile_us(99.0),
            all.max_us()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_the_sum_of_all_threads() {
        let histogram = SharedHistogram::default();
        assert_eq!(histogram.document(), "{\"count\":0,\"p50\":0,\"p99\":0,\"max\":0}");
        std::thread::scope(|scope| {
            for thread in 0..10 {
                let histogram = &histogram;
                // 1 µs to 1 ms in all, a tenth by each thread.
                let times = (thread * 100 + 1)..=(thread * 100 + 100);
                scope.spawn(|| times.for_each(|us| histogram.record(Duration::from_micros(us))));
            }
        });
        let document = histogram.document();
        assert_eq!(document, "{\"count\":1000,\"p50\":500,\"p99\":990,\"max\":1000}");
        histogram.record(Duration::MAX);
        assert!(histogram.document().ends_with("\"max\":3600000000}"), "{document}");
    }
}
