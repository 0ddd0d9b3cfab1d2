//! The deltas of a member on their way to the coordinator.
//!
//! `agent` puts in what its engine measured in each interval, and sends frame by frame.
//! Invariant: a frame that was once issued never changes its bounds. So the coordinator either has
//! all of its intervals or none, and a frame that comes twice is recognised by its number.
//!
//! The research coalesces all frames that are not acknowledged. A frame of which it is unknown
//! whether the bus has it would then grow, and the coordinator would be given intervals 5 to 6
//! after interval 5: they cannot be taken apart. Here only frames that were never issued coalesce,
//! and the number of issued ones is bounded: memory is bounded all the same.

use std::collections::VecDeque;

use super::member::Member;
use crate::clock::RunOffset;

/// What a member measured in an interval.
pub trait DeltaPayload: Clone {
    /// The sum of payloads that is compared at the end, such as counts and histograms.
    type Sum: Clone + Default + PartialEq + std::fmt::Debug;

    /// Adds the payload of the next interval.
    fn merge(&mut self, later: &Self);

    /// Adds the payload to a sum. The order of additions must not matter.
    fn add_to(&self, sum: &mut Self::Sum);
}

/// A stream of deltas. A member opens another one when the former has lost entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeltaStream {
    /// The member that writes it.
    pub member: Member,
    /// Which of the member's streams, from zero.
    pub generation: u64,
}

/// Consecutive intervals of a member, merged.
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaFrame<P> {
    /// Its first interval; a member numbers its intervals from one.
    pub first: u64,
    /// Its last interval.
    pub last: u64,
    /// When the first interval began, on the run's time as the member counts it.
    pub since: RunOffset,
    /// When the last interval ended.
    pub until: RunOffset,
    /// What was measured.
    pub payload: P,
}

/// All that a member measured, as it sums it up itself: the second entry of double entry
/// bookkeeping.
#[derive(Clone, Debug)]
pub struct FinalState<P: DeltaPayload> {
    /// The number of its intervals.
    pub intervals: u64,
    /// The end of its last interval.
    pub until: RunOffset,
    /// The sum over all of them.
    pub sum: P::Sum,
}

/// The most issued frames that wait for an acknowledgement; further ones are not issued.
pub const MAX_ISSUED: usize = 64;

/// The most frames that wait to be issued; a further one is merged into the last.
pub const MAX_WAITING: usize = 16;

/// The frames that the coordinator has not saved.
#[derive(Clone, Debug)]
pub struct Outbox<P: DeltaPayload> {
    frames: VecDeque<DeltaFrame<P>>,
    /// How many of them, from the front, were issued.
    issued: usize,
    /// The last interval that the stream has.
    appended: u64,
    generation: u64,
    measured: u64,
    until: RunOffset,
    sum: P::Sum,
}

impl<P: DeltaPayload> Default for Outbox<P> {
    fn default() -> Self {
        Self {
            frames: VecDeque::new(),
            issued: 0,
            appended: 0,
            generation: 0,
            measured: 0,
            until: RunOffset::ZERO,
            sum: P::Sum::default(),
        }
    }
}

impl<P: DeltaPayload> Outbox<P> {
    /// Puts in an interval that ended at `until`; it began where the former ended.
    pub fn push(&mut self, until: RunOffset, payload: P) {
        payload.add_to(&mut self.sum);
        self.measured += 1;
        let since = std::mem::replace(&mut self.until, until);
        let is_full = self.frames.len() - self.issued >= MAX_WAITING;
        match self.frames.back_mut().filter(|_| is_full) {
            Some(frame) => {
                frame.payload.merge(&payload);
                (frame.last, frame.until) = (self.measured, until);
            }
            None => {
                let number = self.measured;
                let frame = DeltaFrame { first: number, last: number, since, until, payload };
                self.frames.push_back(frame);
            }
        }
    }

    /// The frame to send next; `None` if the stream has all, or too many wait for the coordinator.
    pub fn issue(&mut self) -> Option<DeltaFrame<P>> {
        let next = self.frames.iter().position(|frame| frame.last > self.appended)?;
        if next >= MAX_ISSUED {
            return None;
        }
        self.issued = self.issued.max(next + 1);
        self.frames.get(next).cloned()
    }

    /// The stream of the generation has the frame that ends with this interval.
    pub fn confirm(&mut self, generation: u64, last: u64) {
        if generation == self.generation {
            self.appended = self.appended.max(last);
        }
    }

    /// Takes an acknowledgement: forgets what is saved, and begins another stream if the
    /// coordinator asks for it.
    pub fn acknowledge(&mut self, generation: u64, resend_from: u64, saved: u64) {
        if generation > self.generation {
            self.generation = generation;
            self.appended = resend_from.saturating_sub(1);
        }
        while self.frames.front().is_some_and(|frame| frame.last <= saved) && self.issued > 0 {
            self.frames.pop_front();
            self.issued -= 1;
        }
    }

    /// Whether the stream has everything that was measured.
    pub fn is_sent(&self) -> bool {
        self.frames.back().is_none_or(|frame| frame.last <= self.appended)
    }

    /// The generation of the stream, and the last interval that it has.
    pub fn position(&self) -> (u64, u64) {
        (self.generation, self.appended)
    }

    /// The first interval that is kept, or will be.
    pub fn kept_from(&self) -> u64 {
        self.frames.front().map_or(self.measured + 1, |frame| frame.first)
    }

    /// The number of intervals measured.
    pub fn measured(&self) -> u64 {
        self.measured
    }

    /// The number of frames that are kept.
    pub fn kept(&self) -> usize {
        self.frames.len()
    }

    /// The final state: call it after the last interval.
    pub fn final_state(&self) -> FinalState<P> {
        FinalState { intervals: self.measured, until: self.until, sum: self.sum.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl DeltaPayload for Vec<u32> {
        type Sum = u64;

        fn merge(&mut self, later: &Self) {
            self.extend(later);
        }

        fn add_to(&self, sum: &mut u64) {
            *sum += self.iter().map(|one| u64::from(*one)).sum::<u64>();
        }
    }

    fn filled(intervals: u32) -> Outbox<Vec<u32>> {
        let mut outbox = Outbox::default();
        for number in 1..=intervals {
            outbox.push(RunOffset::from_ns(u64::from(number) * 10), vec![number]);
        }
        outbox
    }

    #[test]
    fn issued_frames_keep_their_bounds_and_others_coalesce() {
        let mut outbox = filled(3);
        let first = outbox.issue().unwrap();
        assert_eq!((first.first, first.last, first.payload), (1, 1, vec![1]));
        for number in 4..=100 {
            outbox.push(RunOffset::from_ns(number * 10), vec![number as u32]);
        }
        assert_eq!(outbox.kept(), MAX_WAITING + 1);
        assert_eq!(outbox.issue().unwrap().last, 1, "not confirmed: the same again");
        let mut sum = 0;
        let mut next = 1;
        while let Some(frame) = outbox.issue() {
            assert_eq!(frame.first, next);
            assert_eq!(frame.since.ns(), (frame.first - 1) * 10);
            assert_eq!(frame.until.ns(), frame.last * 10);
            frame.payload.add_to(&mut sum);
            next = frame.last + 1;
            outbox.confirm(0, frame.last);
        }
        assert!(outbox.is_sent());
        assert_eq!((sum, next), (5_050, 101));
        assert_eq!(outbox.final_state().sum, 5_050);
    }

    #[test]
    fn memory_is_bounded_while_no_coordinator_saves_anything() {
        let mut outbox = Outbox::default();
        for number in 1..=1_000u32 {
            outbox.push(RunOffset::from_ns(u64::from(number)), vec![number]);
            if let Some(frame) = outbox.issue() {
                outbox.confirm(0, frame.last);
            }
        }
        assert_eq!(outbox.kept(), MAX_ISSUED + MAX_WAITING);
        assert!(outbox.issue().is_none());
        outbox.acknowledge(0, 1, 10);
        assert_eq!(outbox.issue().unwrap().first, MAX_ISSUED as u64 + 1);
    }

    #[test]
    fn another_stream_begins_with_what_the_coordinator_lacks() {
        let mut outbox = filled(5);
        while let Some(frame) = outbox.issue() {
            outbox.confirm(0, frame.last);
        }
        outbox.acknowledge(0, 1, 2);
        assert_eq!(outbox.kept(), 3);
        outbox.acknowledge(1, 4, 2);
        outbox.confirm(0, 5);
        assert_eq!((outbox.issue().unwrap().first, outbox.position()), (4, (1, 3)));
    }
}
