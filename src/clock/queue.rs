//! The deadlines of one thread.
//!
//! Timers own slots; the heap holds at most one live entry for each. Moving a deadline later costs
//! one write: the entry stays in place and is pushed again when it comes up early. So a request
//! timeout that is set again for each request costs next to nothing. `timer` uses it.
//! Invariant: a slot's `queued` is the earliest of its entries in the heap; others are stale.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::{Context, Waker};

/// Not set, or not queued.
const NONE: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(super) struct DeadlineQueue {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    slots: Vec<DeadlineSlot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct DeadlineSlot {
    /// Deadline of the timer; `NONE` while it is not set.
    deadline: u64,
    /// The time of its entry in the heap.
    queued: u64,
    due: bool,
    /// Dropped by its owner; freed when its entry comes up.
    dead: bool,
    waker: Option<Waker>,
}

impl DeadlineQueue {
    pub(super) fn add(&mut self) -> u32 {
        let slot =
            DeadlineSlot { deadline: NONE, queued: NONE, due: false, dead: false, waker: None };
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = slot;
            return index;
        }
        self.slots.push(slot);
        (self.slots.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.waker = None;
        slot.deadline = NONE;
        if slot.queued == NONE {
            self.free.push(index);
        } else {
            slot.dead = true;
        }
    }

    /// Sets a deadline; returns true if it became the earliest of all.
    pub(super) fn set(&mut self, index: u32, at: u64) -> bool {
        let slot = &mut self.slots[index as usize];
        slot.deadline = at;
        slot.due = false;
        if at >= slot.queued {
            return false;
        }
        slot.queued = at;
        let earliest = self.heap.peek().is_none_or(|Reverse((first, _))| at < *first);
        self.heap.push(Reverse((at, index)));
        earliest
    }

    pub(super) fn clear(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.deadline = NONE;
        slot.due = false;
    }

    pub(super) fn poll(&mut self, index: u32, cx: &Context<'_>) -> bool {
        let slot = &mut self.slots[index as usize];
        if slot.due {
            return true;
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        false
    }

    /// The earliest time at which a deadline may be due.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Marks the slots due at `now` and moves their wakers to `wake`.
    pub(super) fn fire(&mut self, now: u64, wake: &mut Vec<Waker>) {
        while let Some(&Reverse((at, index))) = self.heap.peek() {
            if at > now {
                break;
            }
            self.heap.pop();
            let slot = &mut self.slots[index as usize];
            if slot.queued != at {
                continue;
            }
            slot.queued = NONE;
            if slot.dead {
                self.free.push(index);
            } else if slot.deadline <= now {
                slot.deadline = NONE;
                slot.due = true;
                wake.extend(slot.waker.take());
            } else if slot.deadline != NONE {
                slot.queued = slot.deadline;
                self.heap.push(Reverse((slot.deadline, index)));
            }
        }
    }

    /// Takes the wakers of all waiting slots.
    pub(super) fn all_wakers(&mut self, wake: &mut Vec<Waker>) {
        wake.extend(self.slots.iter_mut().filter_map(|slot| slot.waker.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(queue: &mut DeadlineQueue, now: u64) -> Vec<u32> {
        queue.fire(now, &mut Vec::new());
        (0..queue.slots.len() as u32).filter(|&i| queue.slots[i as usize].due).collect()
    }

    #[test]
    fn deadline_moved_later_fires_once_at_the_new_time() {
        let mut queue = DeadlineQueue::default();
        let timer = queue.add();
        assert!(queue.set(timer, 10));
        assert!(!queue.set(timer, 30));
        assert_eq!(queue.heap.len(), 1, "moving later adds no entry");
        assert!(fired(&mut queue, 10).is_empty());
        assert_eq!(queue.earliest(), Some(30));
        assert_eq!(fired(&mut queue, 30), [timer]);
        assert_eq!(queue.earliest(), None);
    }

    #[test]
    fn deadline_moved_earlier_leaves_a_harmless_stale_entry() {
        let mut queue = DeadlineQueue::default();
        let timer = queue.add();
        queue.set(timer, 30);
        assert!(queue.set(timer, 10), "it is the earliest now");
        assert_eq!(fired(&mut queue, 10), [timer]);
        queue.clear(timer);
        assert!(fired(&mut queue, 30).is_empty());
    }

    #[test]
    fn cleared_timer_is_silent_and_removed_slot_is_reused() {
        let mut queue = DeadlineQueue::default();
        let timer = queue.add();
        queue.set(timer, 10);
        queue.clear(timer);
        assert!(fired(&mut queue, 20).is_empty());
        queue.set(timer, 30);
        queue.remove(timer);
        assert!(fired(&mut queue, 40).is_empty());
        assert_eq!(queue.add(), timer, "its entry came up, so its slot is free");
    }
}
