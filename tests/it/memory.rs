//! Test that memory does not grow with the number of requests.

use crate::builtin::Builtin;
use crate::harness::{Manada, count};

/// Additional memory that a long run may take: pages of a histogram, allocator overhead.
const SLACK: u64 = 6 << 20;

#[test]
fn ten_times_the_requests_take_the_same_memory() {
    let target = Builtin::start(&[]);
    let peak = |requests: &str| {
        let words = ["-n", requests, "-c", "50", "--shards", "1"];
        let report = Manada::hit(&target.url("/"), &words).go().report(0);
        assert_eq!(count(&report, "calls.ok").to_string(), requests, "{report}");
        count(&report, "generator.rss_bytes_peak")
    };
    let (few, many) = (peak("20000"), peak("200000"));
    assert!(many < few + SLACK, "{few} bytes for 20,000 requests, {many} for 200,000");
}
