//! What happens to a received message before it is passed on: delay, loss, duplicates, reordering.
//!
//! WebSockets put what they receive in, and pass on what comes out.
//! Invariant: the fate of message n is a function of (seed, n). Delays keep the order: a message
//! that waits makes its successors wait. Only `reorder` changes it, by exactly one place.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;

use super::counts::{ServerStreamCounts, StreamCount};
use crate::clock::Time;
use crate::curve::Distribution;
use crate::seed::{Seed, Stream};

/// The part of [`Stream::Target`] that fates of messages are drawn from; requests have part 0.
const PART: u64 = 1;
/// Messages that wait in one connection; it is not read meanwhile.
const MAX_WAITING: usize = 1_024;
/// How long a message waits for the successor that is to overtake it.
const MAX_HELD: Duration = Duration::from_millis(100);

/// What is done to messages.
#[derive(Clone, Debug, Default)]
pub(in crate::testserver) struct MessageFaults {
    /// Time from receipt until the message is passed on; `None`: none.
    pub delay: Option<Distribution>,
    /// Share of messages that are not passed on.
    pub drop: f64,
    /// Share that is passed on twice.
    pub duplicate: f64,
    /// Share that is passed on after its successor.
    pub reorder: f64,
}

/// The messages of one connection on their way.
#[derive(Debug)]
pub(in crate::testserver) struct MessagePipeline<T> {
    faults: MessageFaults,
    /// Messages by the time when they are due, which does not fall.
    waiting: VecDeque<(Time, T)>,
    /// When the last message was due, if it waits for a successor that overtakes it.
    held: Option<Time>,
}

impl<T: Clone> MessagePipeline<T> {
    pub fn new(faults: MessageFaults) -> Self {
        Self { faults, waiting: VecDeque::new(), held: None }
    }

    /// Whether no more should be received for now.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When the next message is due.
    pub fn next_due(&self) -> Option<Time> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Accepts message `number` of the server, received at `now`.
    pub fn accept(
        &mut self,
        message: T,
        number: u64,
        now: Time,
        seed: Seed,
        counts: &ServerStreamCounts,
    ) {
        let mut rng = seed.rng(Stream::Target, PART, number);
        // All draws at once, so that one setting does not change what another one draws.
        let [drop, duplicate, reorder]: [f64; 3] = rng.random();
        if drop < self.faults.drop {
            counts.add(StreamCount::Dropped, 1);
            return;
        }
        let is_twice = duplicate < self.faults.duplicate;
        if is_twice {
            counts.add(StreamCount::Duplicated, 1);
        }
        let delay = self.faults.delay.as_ref().map_or(Duration::ZERO, |law| law.sample(&mut rng));
        // A held message whose time was over has been taken, and `held` cleared.
        let held = self.held.take().and_then(|at| Some((at, self.waiting.pop_back()?.1)));
        let last = held.as_ref().map(|(at, _)| *at).or(self.waiting.back().map(|(at, _)| *at));
        let due = (now + delay).max(last.unwrap_or_default());
        if is_twice {
            self.waiting.push_back((due, message.clone()));
        }
        if let Some((_, held)) = held {
            counts.add(StreamCount::Reordered, 1);
            self.waiting.extend([(due, message), (due, held)]);
        } else if reorder < self.faults.reorder && !is_twice {
            self.held = Some(due);
            self.waiting.push_back((due + MAX_HELD, message));
        } else {
            self.waiting.push_back((due, message));
        }
    }

    /// Takes the next message that is due.
    pub fn take(&mut self, now: Time) -> Option<T> {
        if self.waiting.front().is_none_or(|(due, _)| *due > now) {
            return None;
        }
        let (_, message) = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            // The held one is always the last.
            self.held = None;
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Passes messages 0.. through, one per ms; returns (time in ms, message).
    fn run(faults: MessageFaults, count: u64, counts: &ServerStreamCounts) -> Vec<(u64, u64)> {
        let seed = Seed::new(5).unwrap();
        let mut pipeline = MessagePipeline::new(faults);
        let mut out = Vec::new();
        for ms in 0..count + 1_000 {
            let now = Time(ms * MS);
            if ms < count {
                pipeline.accept(ms, ms, now, seed, counts);
            }
            while let Some(message) = pipeline.take(now) {
                out.push((ms, message));
            }
        }
        assert_eq!((pipeline.len(), pipeline.next_due()), (0, None));
        out
    }

    fn count(counts: &ServerStreamCounts, count: StreamCount) -> u64 {
        counts.add(count, 0)
    }

    #[test]
    fn delays_keep_the_order() {
        let counts = ServerStreamCounts::new();
        let fixed = Distribution::constant(Duration::from_millis(5));
        let faults = MessageFaults { delay: Some(fixed), ..MessageFaults::default() };
        let out = run(faults, 100, &counts);
        assert!(out.iter().enumerate().all(|(n, &(ms, m))| (ms, m) == (n as u64 + 5, n as u64)));
        let law = Distribution::parse_compact("exponential:20ms").unwrap();
        let out = run(MessageFaults { delay: Some(law), ..MessageFaults::default() }, 500, &counts);
        assert!(out.is_sorted_by_key(|(_, message)| *message) && out.len() == 500);
        assert!(out.iter().all(|(ms, message)| ms >= message));
    }

    #[test]
    fn shares_are_drawn_and_counted_exactly() {
        let counts = ServerStreamCounts::new();
        let faults = MessageFaults { delay: None, drop: 0.1, duplicate: 0.1, reorder: 0.1 };
        let out: Vec<u64> = run(faults, 5_000, &counts).into_iter().map(|(_, m)| m).collect();
        let (dropped, twice) =
            (count(&counts, StreamCount::Dropped), count(&counts, StreamCount::Duplicated));
        let reordered = count(&counts, StreamCount::Reordered);
        assert_eq!(out.len() as u64, 5_000 - dropped + twice);
        // A message that is overtaken is the only kind of step back.
        assert_eq!(out.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64, reordered);
        assert_eq!(out.windows(2).filter(|pair| pair[1] == pair[0]).count() as u64, twice);
        // 5,000 draws of 10 %: 500, and four standard deviations are 85.
        for seen in [dropped, twice] {
            assert!((415..=585).contains(&seen), "{dropped} {twice}");
        }
        // Fewer: not of those dropped or passed on twice, nor of two in a row.
        assert!((250..=500).contains(&reordered), "{reordered}");
    }

    #[test]
    fn held_message_without_a_successor_is_passed_on() {
        let counts = ServerStreamCounts::new();
        let faults = MessageFaults { reorder: 1.0, ..MessageFaults::default() };
        assert_eq!(run(faults.clone(), 1, &counts), [(100, 0)]);
        assert_eq!(count(&counts, StreamCount::Reordered), 0);
        assert_eq!(run(faults, 4, &counts), [(1, 1), (1, 0), (3, 3), (3, 2)]);
        assert_eq!(count(&counts, StreamCount::Reordered), 2);
    }
}
