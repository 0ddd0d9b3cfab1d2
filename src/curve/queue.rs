//! Queueing: when work that arrives now is done.
//!
//! The built-in test server uses it; simulation tests know its exact results.
//! Invariant: pure; `now` is an argument, and never goes back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A station that serves work first come, first served, and may stall.
///
/// Completion times follow Lindley's recursion (Proc. Cambridge Phil. Soc. 48, 1952), computed not
/// in time but in *work time*, which stops during a stall. So a stall that is added later still
/// delays work that was admitted before it.
#[derive(Clone, Debug)]
pub struct ServiceQueue {
    /// How many pieces of work proceed at once; `None`: all of them.
    servers: Option<u32>,
    /// When each server that has ever worked becomes free, in work time; at most `servers`.
    free: BinaryHeap<Reverse<u64>>,
    /// Disjoint, in order, at most [`ServiceQueue::MAX_STALLS`].
    stalls: Vec<QueueStall>,
}

/// An interval without work.
#[derive(Clone, Copy, Debug)]
struct QueueStall {
    from: u64,
    to: u64,
    /// The total length of all earlier stalls.
    before: u64,
}

/// Admitted work; [`ServiceQueue::due`] returns when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTicket {
    /// When the request is done, in work time.
    done: u64,
    /// When the request arrived.
    arrived: u64,
}

impl ServiceQueue {
    /// Maximum stalls of one queue; further ones are rejected.
    pub const MAX_STALLS: usize = 1_024;

    /// Creates a station with this number of servers (`None`: unlimited; zero counts as one).
    pub fn new(servers: Option<u32>) -> Self {
        Self { servers: servers.map(|n| n.max(1)), free: BinaryHeap::new(), stalls: Vec::new() }
    }

    /// Stops all work from `at_ns` for `length`. Returns false if there are too many stalls
    /// already.
    pub fn stall(&mut self, at_ns: u64, length: Duration) -> bool {
        let mut from = at_ns;
        let mut to = at_ns.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        if from == to {
            return true;
        }
        // All stalls that touch the new one are merged with it.
        let first = self.stalls.partition_point(|stall| stall.to < from);
        let last = self.stalls.partition_point(|stall| stall.from <= to);
        if first == last && self.stalls.len() == Self::MAX_STALLS {
            return false;
        }
        for stall in &self.stalls[first..last] {
            (from, to) = (from.min(stall.from), to.max(stall.to));
        }
        self.stalls.splice(first..last, [QueueStall { from, to, before: 0 }]);
        let mut before = 0;
        for stall in &mut self.stalls {
            stall.before = before;
            before += stall.to - stall.from;
        }
        true
    }

    /// Admits work that takes `service`, and returns when it is done if no more stalls are added.
    pub fn arrive(&mut self, now_ns: u64, service: Duration) -> u64 {
        let ticket = self.admit(now_ns, service);
        self.due(ticket)
    }

    /// Admits work that takes `service`.
    pub fn admit(&mut self, now_ns: u64, service: Duration) -> QueueTicket {
        let service = u64::try_from(service.as_nanos()).unwrap_or(u64::MAX);
        let now = self.work_time(now_ns);
        let Some(servers) = self.servers else {
            return QueueTicket { done: now.saturating_add(service), arrived: now_ns };
        };
        // Take the server that is free first; a new one only while all others are busy.
        let start = match self.free.peek() {
            Some(&Reverse(free)) if free <= now => {
                self.free.pop();
                now
            }
            Some(&Reverse(free)) if self.free.len() >= servers as usize => {
                self.free.pop();
                free
            }
            _ => now,
        };
        let done = start.saturating_add(service);
        self.free.push(Reverse(done));
        QueueTicket { done, arrived: now_ns }
    }

    /// Returns when admitted work is done, by the stalls known so far.
    pub fn due(&self, ticket: QueueTicket) -> u64 {
        // Work that ends at the very start of a stall is done then, but no work that arrived during
        // a stall is done before its end.
        self.real_time(ticket.done).max(self.end_of_stall(ticket.arrived))
    }

    /// The work time that has passed at a time.
    fn work_time(&self, now_ns: u64) -> u64 {
        let index = self.stalls.partition_point(|stall| stall.to <= now_ns);
        match self.stalls.get(index) {
            Some(stall) => now_ns.min(stall.from) - stall.before,
            None => now_ns - self.stalls.last().map_or(0, |s| s.before + (s.to - s.from)),
        }
    }

    /// The first time at which this much work time has passed.
    fn real_time(&self, work: u64) -> u64 {
        // A stall that begins exactly when the work ends does not delay it.
        let index = self.stalls.partition_point(|stall| stall.from - stall.before < work);
        let stalled = match index.checked_sub(1).map(|index| self.stalls[index]) {
            Some(stall) => stall.before + (stall.to - stall.from),
            None => 0,
        };
        work.saturating_add(stalled)
    }

    /// The end of the stall that contains this time, or the time itself.
    fn end_of_stall(&self, now_ns: u64) -> u64 {
        let index = self.stalls.partition_point(|stall| stall.to <= now_ns);
        match self.stalls.get(index) {
            Some(stall) if stall.from <= now_ns => stall.to,
            _ => now_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Distribution;
    use crate::seed::{Seed, Stream};

    const MS: u64 = 1_000_000;
    const S: u64 = 1_000 * MS;

    /// Response times, sorted, of constant arrivals served in 1 ms, with one 2 s stall at 20 of 60
    /// s.
    fn stalled(servers: Option<u32>, per_s: u64) -> Vec<u64> {
        let mut queue = ServiceQueue::new(servers);
        assert!(queue.stall(20 * S, Duration::from_secs(2)));
        let mut times: Vec<u64> = (0..60 * per_s)
            .map(|k| k * (S / per_s))
            .map(|at| queue.arrive(at, Duration::from_millis(1)) - at)
            .collect();
        times.sort_unstable();
        times
    }

    /// In ms, by nearest rank.
    fn percentile(sorted: &[u64], p: f64) -> f64 {
        // In thousandths of a percent: 0.999 × 12 000 is not an integer in floats.
        let rank = ((p * 1_000.0).round() as usize * sorted.len()).div_ceil(100_000);
        sorted[rank.max(1) - 1] as f64 / MS as f64
    }

    #[test]
    fn stalls_match_the_oracle_table() {
        for (servers, per_s, expected) in [
            (None, 1_000, [(97.0, 200.0), (99.0, 1_400.0), (99.9, 1_940.0)]),
            (Some(1), 200, [(97.0, 560.0), (99.0, 1_520.0), (99.9, 1_952.0)]),
        ] {
            let times = stalled(servers, per_s);
            for (p, ms) in expected {
                let seen = percentile(&times, p);
                assert!((seen - ms).abs() <= 2.0, "{servers:?} p{p}: {seen} for {ms}");
            }
            assert!((percentile(&times, 50.0) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn one_server_with_exponential_work_is_m_m_1() {
        // λ = 100/s, μ = 200/s: response times are exponential with mean 1/(μ − λ) = 10 ms.
        let mut rng = Seed::new(1).unwrap().rng(Stream::World, 0, 0);
        let gap = Distribution::parse_compact("exponential:10ms").unwrap();
        let service = Distribution::parse_compact("exponential:5ms").unwrap();
        let mut queue = ServiceQueue::new(Some(1));
        let mut now = 0;
        let mut times: Vec<u64> = (0..1_000_000)
            .map(|_| {
                now += gap.sample(&mut rng).as_nanos() as u64;
                queue.arrive(now, service.sample(&mut rng)) - now
            })
            .collect();
        times.sort_unstable();
        for (p, ms) in [(50.0, 6.93), (90.0, 23.03), (99.0, 46.05), (99.9, 69.08)] {
            let seen = percentile(&times, p);
            assert!((seen / ms - 1.0).abs() < 0.02, "p{p}: {seen} for {ms}");
        }
    }

    #[test]
    fn work_waits_for_a_server() {
        let ms = Duration::from_millis;
        // Servers, arrivals as (at, takes), done; all in ms.
        for (servers, work, done) in [
            (None, vec![(0, 5), (0, 5), (1, 5)], vec![5, 5, 6]),
            (Some(1), vec![(0, 5), (1, 5), (20, 5)], vec![5, 10, 25]),
            (Some(2), vec![(0, 5), (0, 9), (1, 5), (2, 5), (30, 1)], vec![5, 9, 10, 14, 31]),
            (Some(0), vec![(0, 5), (0, 5)], vec![5, 10]),
        ] {
            let mut queue = ServiceQueue::new(servers);
            let seen: Vec<u64> =
                work.iter().map(|&(at, takes)| queue.arrive(at * MS, ms(takes)) / MS).collect();
            assert_eq!(seen, done, "{servers:?}");
        }
    }

    #[test]
    fn stall_delays_running_and_arriving_work() {
        let mut queue = ServiceQueue::new(None);
        let ms = Duration::from_millis;
        assert!(queue.stall(10 * MS, ms(10)) && queue.stall(30 * MS, ms(5)));
        // At, takes, done: before, ending at its start, across one, inside, across both.
        for (at, takes, done) in [
            (0, 5, 5),
            (5, 5, 10),
            (5, 6, 21),
            (10, 0, 20),
            (15, 1, 21),
            (20, 0, 20),
            (5, 16, 36),
            (40, 1, 41),
        ] {
            assert_eq!(queue.arrive(at * MS, ms(takes)), done * MS, "{at} + {takes}");
        }
    }

    #[test]
    fn late_stall_delays_admitted_work_and_overlaps_merge() {
        let mut queue = ServiceQueue::new(Some(1));
        let ms = Duration::from_millis;
        let ticket = queue.admit(0, ms(10));
        assert_eq!(queue.due(ticket), 10 * MS);
        assert!(queue.stall(5 * MS, ms(10)) && queue.stall(8 * MS, ms(20)));
        assert_eq!(queue.due(ticket), 33 * MS);
        assert_eq!(queue.arrive(40 * MS, ms(1)), 41 * MS);
        for k in 1..2 * ServiceQueue::MAX_STALLS as u64 {
            assert_eq!(queue.stall(k * S, ms(1)), k < ServiceQueue::MAX_STALLS as u64, "stall {k}");
        }
    }
}
