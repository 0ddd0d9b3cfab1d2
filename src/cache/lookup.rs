//! The order of a lookup through the layers below memory, as a state machine.
//!
//! `engine` drives it for the leader of a flight: it carries out each step and tells the result.
//! Invariant: every lookup ends, with an entry that may be used or with a fill; what is found below
//! is written to all layers above it with the time that it has left.

use super::entry::Entry;

/// How long a user waits between two looks at an entry that another process fills, ms.
const POLL_MS: u64 = 50;

/// What a lookup follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRules {
    /// The time to live of entries, ms.
    pub ttl_ms: u64,
    /// The number of layers.
    pub layers: usize,
    /// Whether the first layer is in memory; it was looked at before.
    pub has_memory: bool,
    /// The layer that gives leases; `None` if none does.
    pub lease_layer: Option<usize>,
    /// How long to wait for another process, ms.
    pub wait_ms: u64,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupStep {
    /// Read a layer. A second look at a layer is no lookup of its own.
    Get {
        /// The layer.
        layer: usize,
        /// Whether it was read before.
        is_again: bool,
    },
    /// Write an entry that was found below to a layer.
    Promote {
        /// The layer.
        layer: usize,
        /// The entry.
        entry: Entry,
    },
    /// Take the lease of the layer.
    Lease(usize),
    /// Wait for so long, ms.
    Pause(u64),
    /// Use this entry.
    Found(Entry),
    /// Run the steps; with the lease of a layer, if one was taken.
    Fill(Option<usize>),
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupResult {
    /// The layer has an entry, which opens.
    Entry(Entry),
    /// Nothing of use: no entry, one that does not open, no answer. Of a lease: another has it.
    Nothing,
    /// It was done: the lease was taken.
    Done,
    /// The layer did not answer.
    Failed,
}

/// A lookup of one key.
#[derive(Debug)]
pub struct Lookup<'r> {
    rules: &'r LookupRules,
    state: State,
    /// Whether the lease was taken.
    has_lease: bool,
    /// When it began, ms.
    since_ms: u64,
}

#[derive(Debug)]
enum State {
    Reading { layer: usize, is_again: bool },
    Promoting { below: usize, entry: Entry },
    Leasing,
    Pausing,
    Ends(Option<usize>),
}

impl<'r> Lookup<'r> {
    /// A lookup that begins now, below memory.
    pub fn new(rules: &'r LookupRules, now_ms: u64) -> Self {
        let layer = usize::from(rules.has_memory);
        let state = State::Reading { layer, is_again: false };
        Self { rules, state, has_lease: false, since_ms: now_ms }
    }

    /// Returns what to do next. Each step but the last is followed by [`Lookup::tell`].
    pub fn next(&self) -> LookupStep {
        match &self.state {
            State::Reading { layer, is_again } if *layer < self.rules.layers => {
                LookupStep::Get { layer: *layer, is_again: *is_again }
            }
            // There is no further layer.
            State::Reading { .. } => match self.rules.lease_layer {
                Some(layer) => LookupStep::Lease(layer),
                None => LookupStep::Fill(None),
            },
            State::Promoting { below: 0, entry } => LookupStep::Found(entry.clone()),
            State::Promoting { below, entry } => {
                LookupStep::Promote { layer: below - 1, entry: entry.clone() }
            }
            State::Leasing => LookupStep::Lease(self.rules.lease_layer.unwrap_or_default()),
            State::Pausing => LookupStep::Pause(POLL_MS),
            State::Ends(lease) => LookupStep::Fill(*lease),
        }
    }

    /// Tells the result of the last step. Returns whether an entry was found too old.
    pub fn tell(&mut self, result: LookupResult, now_ms: u64) -> bool {
        let step = self.next();
        let mut is_expired = false;
        self.state = match step {
            LookupStep::Get { layer, is_again } => match result {
                LookupResult::Entry(entry) if entry.left_ms(now_ms, self.rules.ttl_ms) > 0 => {
                    State::Promoting { below: layer, entry }
                }
                other => {
                    is_expired = matches!(other, LookupResult::Entry(_));
                    if self.has_lease {
                        State::Ends(Some(layer))
                    } else if is_again {
                        State::Leasing
                    } else {
                        State::Reading { layer: layer + 1, is_again: false }
                    }
                }
            },
            LookupStep::Promote { layer, entry } => {
                if entry.left_ms(now_ms, self.rules.ttl_ms) > 0 {
                    State::Promoting { below: layer, entry }
                } else if let (true, Some(layer)) = (self.has_lease, self.rules.lease_layer) {
                    State::Ends(Some(layer))
                } else {
                    // It ended while it was written: no layer has a newer one.
                    State::Reading { layer: self.rules.layers, is_again: false }
                }
            }
            LookupStep::Lease(layer) => match result {
                LookupResult::Done => {
                    // Its former owner may have written the entry since it was looked for.
                    self.has_lease = true;
                    State::Reading { layer, is_again: true }
                }
                LookupResult::Nothing if self.may_wait(now_ms) => State::Pausing,
                // Without an answer, or after the longest wait, the user goes on alone.
                _ => State::Ends(None),
            },
            LookupStep::Pause(_) => {
                State::Reading { layer: self.rules.lease_layer.unwrap_or_default(), is_again: true }
            }
            LookupStep::Found(_) | LookupStep::Fill(_) => return false,
        };
        is_expired
    }

    fn may_wait(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) < self.rules.wait_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lease: bool) -> LookupRules {
        let lease_layer = lease.then_some(1);
        LookupRules { ttl_ms: 1_000, layers: 3, has_memory: true, lease_layer, wait_ms: 120 }
    }

    fn get(layer: usize, is_again: bool) -> LookupStep {
        LookupStep::Get { layer, is_again }
    }

    #[test]
    fn hit_below_is_promoted_into_all_layers_above() {
        let (rules, entry) = (rules(true), Entry::new(b"{}".to_vec(), 0, 1_000));
        let mut lookup = Lookup::new(&rules, 10);
        assert_eq!(lookup.next(), get(1, false));
        lookup.tell(LookupResult::Nothing, 10);
        assert_eq!(lookup.next(), get(2, false));
        assert!(!lookup.tell(LookupResult::Entry(entry.clone()), 10));
        for layer in [1, 0] {
            assert_eq!(lookup.next(), LookupStep::Promote { layer, entry: entry.clone() });
            // Whether it was written or not.
            lookup.tell(LookupResult::Failed, 10);
        }
        assert_eq!(lookup.next(), LookupStep::Found(entry));
    }

    #[test]
    fn old_entry_is_a_miss_and_the_layers_below_are_read() {
        let (rules, entry) = (rules(false), Entry::new(b"{}".to_vec(), 0, 1_000));
        let mut lookup = Lookup::new(&rules, 1_000);
        assert!(lookup.tell(LookupResult::Entry(entry), 1_000));
        assert_eq!(lookup.next(), get(2, false));
        lookup.tell(LookupResult::Failed, 1_000);
        assert_eq!(lookup.next(), LookupStep::Fill(None));
    }

    #[test]
    fn lease_of_another_is_waited_for_and_its_entry_is_used() {
        let (rules, entry) = (rules(true), Entry::new(b"{}".to_vec(), 0, 1_000));
        let missed = || {
            let mut lookup = Lookup::new(&rules, 0);
            lookup.tell(LookupResult::Nothing, 0);
            lookup.tell(LookupResult::Nothing, 0);
            assert_eq!(lookup.next(), LookupStep::Lease(1));
            lookup
        };
        // Taken at once: looked at once more, since the former owner may have written.
        let mut lookup = missed();
        lookup.tell(LookupResult::Done, 0);
        assert_eq!(lookup.next(), get(1, true));
        lookup.tell(LookupResult::Nothing, 0);
        assert_eq!(lookup.next(), LookupStep::Fill(Some(1)));
        // Another has it: wait, look, find.
        let mut lookup = missed();
        lookup.tell(LookupResult::Nothing, 0);
        assert_eq!(lookup.next(), LookupStep::Pause(POLL_MS));
        lookup.tell(LookupResult::Done, 50);
        assert_eq!(lookup.next(), get(1, true));
        lookup.tell(LookupResult::Entry(entry.clone()), 50);
        assert_eq!(lookup.next(), LookupStep::Promote { layer: 0, entry });
        // Another has it for longer than the wait, or the layer is gone: alone.
        let mut lookup = missed();
        lookup.tell(LookupResult::Nothing, 120);
        assert_eq!(lookup.next(), LookupStep::Fill(None));
        let mut lookup = missed();
        lookup.tell(LookupResult::Failed, 0);
        assert_eq!(lookup.next(), LookupStep::Fill(None));
    }
}
