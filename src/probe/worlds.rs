//! Simulated targets with a limiter, for tests: what each admits is exact.
//!
//! Invariant: time is that of the requests; nothing waits.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::advertised::Advertised;
use super::finding::ProbeStop;
use super::session::{ProbeReply, ProbeSubject, ProbedTarget};

/// A limiter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limiter {
    None,
    /// Rate and size.
    Bucket(f64, f64),
    /// Bucket as nginx counts: in ms and thousandths.
    Nginx(f64, f64),
    /// As nginx without `nodelay`: rate, and requests that may wait.
    Delay(f64, f64),
    /// Requests, window, offset of its first end.
    Fixed(f64, f64, f64),
    /// Requests, window, beginning with the first request.
    FromFirst(f64, f64),
    /// Requests, window; each request counts until it is that old.
    Log(f64, f64),
    /// Requests, window; two counters as in HAProxy, refused requests count.
    Fading(f64, f64),
    /// Requests at the same time.
    Concurrent(u32),
    /// A share of requests fails, whatever the rate.
    Random(f64),
}

/// A target under virtual time.
#[derive(Debug)]
pub(super) struct World {
    pub limiter: Limiter,
    pub latency_ns: u64,
    pub status: u16,
    pub headers: Advertised,
    /// Whether all requests share the limit.
    pub is_shared: bool,
    /// After this many requests it does not respond any more.
    pub dies_after: u64,
    pub seen: u64,
    now: u64,
    random: Xoshiro256PlusPlus,
    level: f64,
    at: f64,
    times: Vec<f64>,
    counters: (f64, f64),
}

impl World {
    pub fn new(limiter: Limiter, latency_ns: u64, seed: u64) -> Self {
        let now = 5_000_000_000_000 + seed * 777_777_777;
        Self {
            limiter,
            latency_ns,
            status: 429,
            headers: Advertised::default(),
            is_shared: false,
            dies_after: u64::MAX,
            seen: 0,
            now,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            level: 0.0,
            at: 0.0,
            times: Vec::new(),
            counters: (0.0, 0.0),
        }
    }

    /// Admits requests of another client.
    pub fn use_up(&mut self, count: u32) {
        for _ in 0..count {
            self.admit(self.now as f64 / 1e9);
        }
    }

    /// Seconds of delay of a request at `t`; `None`: it is refused.
    fn admit(&mut self, t: f64) -> Option<f64> {
        let at = std::mem::replace(&mut self.at, t);
        let first = self.seen == 0;
        self.seen += 1;
        match self.limiter {
            Limiter::None => Some(0.0),
            Limiter::Bucket(rate, size) => {
                self.level = (self.level - rate * (t - at)).max(0.0);
                let is_admitted = self.level + 1.0 <= size + 1e-9;
                self.level += f64::from(u8::from(is_admitted));
                is_admitted.then_some(0.0)
            }
            Limiter::Nginx(rate, burst) | Limiter::Delay(rate, burst) => {
                let tick = |t: f64| (t * 1e3).floor();
                let passed = if first { 0.0 } else { tick(t) - tick(at.max(self.counters.0)) };
                let excess = if first { 0.0 } else { (self.level - rate * passed + 1e3).max(0.0) };
                if excess > burst * 1e3 {
                    // A refused request leaves the time of the last count.
                    self.counters.0 = at.max(self.counters.0);
                    self.at = self.counters.0;
                    return None;
                }
                (self.level, self.counters.0) = (excess, t);
                let delay = if matches!(self.limiter, Limiter::Delay(..)) { excess } else { 0.0 };
                Some(delay / 1e3 / rate)
            }
            Limiter::Fixed(requests, window, offset) => {
                let number = ((t - offset) / window).floor();
                self.count(number, requests)
            }
            Limiter::FromFirst(requests, window) => {
                if first || t >= self.counters.1 + window {
                    (self.level, self.counters.1) = (0.0, t);
                }
                self.count(self.counters.0, requests)
            }
            Limiter::Log(requests, window) => {
                self.times.retain(|time| t - time < window);
                let is_admitted = (self.times.len() as f64) < requests;
                self.times.extend(is_admitted.then_some(t));
                is_admitted.then_some(0.0)
            }
            Limiter::Fading(requests, window) => self.fading(t, first, requests, window),
            Limiter::Concurrent(most) => {
                self.times.retain(|end| *end > t);
                let work = self.latency_ns as f64 / 1e9 * 0.9;
                let is_admitted = (self.times.len() as u32) < most;
                self.times.extend(is_admitted.then_some(t + work));
                is_admitted.then_some(work)
            }
            Limiter::Random(share) => (!self.random.random_bool(share)).then_some(0.0),
        }
    }

    fn count(&mut self, number: f64, requests: f64) -> Option<f64> {
        if self.counters.0.total_cmp(&number).is_ne() {
            (self.counters.0, self.level) = (number, 0.0);
        }
        let is_admitted = self.level < requests;
        self.level += f64::from(u8::from(is_admitted));
        is_admitted.then_some(0.0)
    }

    /// `level` is the count of this window, `counters` its begin and the count before.
    fn fading(&mut self, t: f64, first: bool, requests: f64, window: f64) -> Option<f64> {
        if first || t >= self.counters.0 + 2.0 * window {
            (self.counters, self.level) = ((t, 0.0), 0.0);
        } else if t >= self.counters.0 + window {
            self.counters = (self.counters.0 + window, self.level);
            self.level = 0.0;
        }
        self.level += 1.0;
        let rest = 1.0 - (t - self.counters.0) / window;
        (self.level + (self.counters.1 * rest).floor() <= requests).then_some(0.0)
    }
}

impl ProbedTarget for World {
    async fn send(
        &mut self,
        at: u64,
        subject: ProbeSubject,
        (count, gap): (u32, u64),
    ) -> Result<Vec<ProbeReply>, ProbeStop> {
        // Timers are late by up to 1 ms, and latencies vary by a tenth.
        if at > self.now {
            self.now = at + self.random.random_range(0..1_000_000);
        }
        let (mut last, mut replies) = (self.now, Vec::new());
        for index in 0..u64::from(count) {
            let sent = self.now + index * gap;
            let noise =
                |random: &mut Xoshiro256PlusPlus| random.random_range(0..=self.latency_ns / 10);
            let (there, back) = match self.limiter {
                // The time is that of its work, not that of the network.
                Limiter::Concurrent(_) => (0, self.latency_ns / 20),
                _ => (self.latency_ns / 2, self.latency_ns / 2),
            };
            let (there, back) = (there + noise(&mut self.random), back + noise(&mut self.random));
            let arrives = (sent + there).max(nanos_of(self.at));
            let is_limited = subject == 0 || self.is_shared;
            let delay = if is_limited { self.admit(arrives as f64 / 1e9) } else { Some(0.0) };
            let is_dead = self.seen > self.dies_after;
            let status = if is_dead { 0 } else { delay.map_or(self.status, |_| 200) };
            let received = arrives + nanos_of(delay.unwrap_or(0.0)) + back;
            last = last.max(received);
            let headers = self.headers.clone();
            replies.push(ProbeReply { sent, received, status, headers });
        }
        self.now = last + 20_000;
        Ok(replies)
    }
}

fn nanos_of(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
