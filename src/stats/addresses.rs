//! The addresses that connections were opened to, with their results.
//!
//! `wire` counts, a Delta carries the counts once a second, the Tally adds them up.
//! Invariant: each attempt to connect is counted once, under its address or under `others`.

use crate::ids::ServiceId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Maximum addresses that are distinguished, of a shard and of a run.
const MOST: usize = 1_024;

/// Results of connecting to an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressUse {
    /// TCP connections established.
    pub connected: u64,
    /// Attempts that were refused, or not accepted in time.
    pub failed: u64,
    /// Attempts that were dropped because another address accepted earlier.
    pub slower: u64,
}

/// Results by service and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    pub(crate) known: BTreeMap<(ServiceId, SocketAddr), AddressUse>,
    /// Results of addresses that had no room.
    pub(crate) others: AddressUse,
}

impl AddressUse {
    /// Adds other results of the same address.
    pub fn add(&mut self, other: &Self) {
        self.connected += other.connected;
        self.failed += other.failed;
        self.slower += other.slower;
    }
}

impl Addresses {
    /// Adds results of an address of a service.
    pub fn add(&mut self, service: ServiceId, address: SocketAddr, used: &AddressUse) {
        let has_room = self.known.len() < MOST;
        match self.known.get_mut(&(service, address)) {
            Some(known) => known.add(used),
            None if has_room => drop(self.known.insert((service, address), *used)),
            None => self.others.add(used),
        }
    }

    /// Adds the counts of another shard or second.
    pub fn merge(&mut self, other: &Self) {
        for ((service, address), used) in &other.known {
            self.add(*service, *address, used);
        }
        self.others.add(&other.others);
    }

    /// The results of each address, in the order of services and addresses.
    pub fn list(&self) -> impl Iterator<Item = (ServiceId, SocketAddr, &AddressUse)> {
        self.known.iter().map(|((service, address), used)| (*service, *address, used))
    }

    /// The results of addresses beyond the limit; `None` if there were none.
    pub fn others(&self) -> Option<&AddressUse> {
        (self.others != AddressUse::default()).then_some(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_room_are_counted_together() {
        let used = AddressUse { connected: 1, failed: 2, slower: 3 };
        let mut part = Addresses::default();
        for port in 0..1_100 {
            part.add(ServiceId::default(), SocketAddr::from(([127, 0, 0, 1], port)), &used);
        }
        let mut all = part.clone();
        all.merge(&part);
        assert_eq!(all.list().count(), 1_024);
        assert!(all.list().all(|(_, _, used)| used.connected == 2 && used.slower == 6));
        let others = all.others().unwrap();
        assert_eq!((others.connected, others.failed, others.slower), (152, 304, 456));
        assert!(Addresses::default().others().is_none());
    }
}
