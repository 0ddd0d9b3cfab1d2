//! Single flight: of all users of a process that need a key at once, one fills it.
//!
//! `set` keeps the flights of each cache; how a user waits is the caller's business.
//! Invariant: a key has at most one leader. A leader that fails or is gone hands over to the user
//! that has waited longest; one that succeeds wakes all.

use std::collections::{HashMap, VecDeque};

use super::key::EntryKey;

/// A user's place in a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightTicket(u64);

/// The flights of a cache; `W` wakes a user that waits.
#[derive(Debug)]
pub(super) struct Flights<W> {
    next: u64,
    by_key: HashMap<EntryKey, Flight<W>>,
}

#[derive(Debug)]
struct Flight<W> {
    leader: FlightTicket,
    waiting: VecDeque<(FlightTicket, Option<W>)>,
}

/// What a user does at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boarding {
    Leads(FlightTicket),
    Waits(FlightTicket),
}

/// What became of the flight that a user waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlightState {
    /// It goes on.
    Waits,
    /// The user leads it now.
    Leads,
    /// It is over: the user looks again.
    Over,
}

impl<W> Default for Flights<W> {
    fn default() -> Self {
        Self { next: 0, by_key: HashMap::new() }
    }
}

impl<W> Flights<W> {
    /// Leads a flight to a key, or waits for the one that there is.
    pub(super) fn board(&mut self, key: EntryKey) -> Boarding {
        self.next += 1;
        let ticket = FlightTicket(self.next);
        if let Some(flight) = self.by_key.get_mut(&key) {
            flight.waiting.push_back((ticket, None));
            return Boarding::Waits(ticket);
        }
        self.by_key.insert(key, Flight { leader: ticket, waiting: VecDeque::new() });
        Boarding::Leads(ticket)
    }

    /// The state of the flight of a user that waits; `waker` is what wakes it from now on.
    pub(super) fn look(&mut self, key: &EntryKey, mine: FlightTicket, waker: W) -> FlightState {
        let Some(flight) = self.by_key.get_mut(key) else { return FlightState::Over };
        if flight.leader == mine {
            return FlightState::Leads;
        }
        // A ticket of a former flight of this key is none of this one.
        match flight.waiting.iter_mut().find(|(ticket, _)| *ticket == mine) {
            Some((_, kept)) => {
                *kept = Some(waker);
                FlightState::Waits
            }
            None => FlightState::Over,
        }
    }

    /// The user leaves; returns what to wake. A leader without success hands over.
    pub(super) fn leave(&mut self, key: &EntryKey, mine: FlightTicket, is_filled: bool) -> Vec<W> {
        let Some(flight) = self.by_key.get_mut(key) else { return Vec::new() };
        if flight.leader != mine {
            flight.waiting.retain(|(ticket, _)| *ticket != mine);
            return Vec::new();
        }
        if !is_filled && let Some((next, waker)) = flight.waiting.pop_front() {
            flight.leader = next;
            return waker.into_iter().collect();
        }
        let over = self.by_key.remove(key);
        over.into_iter().flat_map(|flight| flight.waiting).filter_map(|(_, waker)| waker).collect()
    }

    /// The users in flights.
    #[cfg(test)]
    pub(super) fn aboard(&self) -> usize {
        self.by_key.values().map(|flight| 1 + flight.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_that_fails_hands_over_and_success_wakes_all() {
        let key = EntryKey::of("c", "", b"k");
        let mut flights = Flights::default();
        let Boarding::Leads(first) = flights.board(key) else { panic!("no leader") };
        let waiting: Vec<FlightTicket> = (0..4)
            .map(|number| {
                let Boarding::Waits(ticket) = flights.board(key) else { panic!("two leaders") };
                assert_eq!(flights.look(&key, ticket, number), FlightState::Waits);
                ticket
            })
            .collect();
        // One that waits leaves; the leader fails: the first that waits leads.
        assert_eq!(flights.leave(&key, waiting[1], false), Vec::<u64>::new());
        assert_eq!(flights.leave(&key, first, false), [0]);
        assert_eq!(flights.look(&key, waiting[0], 9), FlightState::Leads);
        assert_eq!(flights.look(&key, waiting[2], 2), FlightState::Waits);
        // A former leader changes nothing.
        assert_eq!(flights.leave(&key, first, true), Vec::<u64>::new());
        assert_eq!(flights.leave(&key, waiting[0], true), [2, 3]);
        assert_eq!(flights.look(&key, waiting[2], 2), FlightState::Over);
        assert_eq!(flights.aboard(), 0);
        // A later flight is another one.
        assert!(matches!(flights.board(key), Boarding::Leads(_)));
        assert_eq!(flights.look(&key, waiting[3], 3), FlightState::Over);
    }
}
