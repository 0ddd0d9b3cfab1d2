//! Worlds of caches: users of several processes, stores that are slow, down, lying or forgetful,
//! and a clock that is an argument. Each world follows from its seed, which a failure names.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use rand::RngExt;

use super::entry::Entry;
use super::flight::{Boarding, FlightState, FlightTicket, Flights};
use super::gate::LayerGate;
use super::key::EntryKey;
use super::lookup::{Lookup, LookupResult, LookupRules, LookupStep};
use super::memory::{MemoryLayer, MemoryReply};
use super::seal::Seal;
use crate::seed::{Rng, Seed, Stream};

const TTL_MS: u64 = 5_000;
const LEASE_MS: u64 = 1_000;
const KEYS: usize = 5;
const PROCESSES: usize = 3;
const USERS: usize = 40;
const LOOKUPS: usize = 6;

/// What may go wrong in a world, as chances.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    is_down: f64,
    lies: f64,
    forgets: f64,
    fill_fails: f64,
    leaves: f64,
}

/// A store that all processes share; the first is Redis, the second a database.
#[derive(Default)]
struct FakeStore {
    entries: HashMap<EntryKey, Vec<u8>>,
    leases: HashMap<EntryKey, (u128, u64)>,
}

/// A process: its memory, its flights, and the gates of its layers.
struct Process {
    memory: MemoryLayer,
    flights: Flights<usize>,
    gates: Vec<LayerGate>,
    filling: BTreeMap<EntryKey, usize>,
}

enum At {
    Starts,
    Waits(FlightTicket),
    Looks(FlightTicket),
    Fills(FlightTicket),
    Over,
}

struct FakeUser<'r> {
    process: usize,
    key: usize,
    at: At,
    lookup: Option<Lookup<'r>>,
    owner: u128,
    left: usize,
}

struct CacheWorld<'r> {
    rng: Rng,
    rules: &'r LookupRules,
    faults: Faults,
    now_ms: u64,
    stores: [FakeStore; 2],
    processes: Vec<Process>,
    users: Vec<FakeUser<'r>>,
    due: BinaryHeap<std::cmp::Reverse<(u64, usize)>>,
    seal: Seal,
    fills: [usize; KEYS],
    most_at_once: usize,
    hits: usize,
}

fn key(number: usize) -> EntryKey {
    EntryKey::of("tokens", "", format!("user {number}").as_bytes())
}

fn rules() -> LookupRules {
    let (has_memory, lease_layer) = (true, Some(1));
    LookupRules { ttl_ms: TTL_MS, layers: 3, has_memory, lease_layer, wait_ms: 3_000 }
}

impl<'r> CacheWorld<'r> {
    fn new(seed: u64, rules: &'r LookupRules, faults: Faults) -> Self {
        let seed = Seed::new(seed).unwrap();
        let mut rng = seed.rng(Stream::World, 0, 0);
        let process = |_| Process {
            memory: MemoryLayer::new(KEYS - 1, 1 << 20, TTL_MS / 2),
            flights: Flights::default(),
            gates: vec![LayerGate::new(200); 3],
            filling: BTreeMap::new(),
        };
        let user = |number: usize| FakeUser {
            process: number % PROCESSES,
            key: 0,
            at: At::Starts,
            lookup: None,
            owner: number as u128,
            left: LOOKUPS,
        };
        let due = (0..USERS).map(|user| std::cmp::Reverse((rng.random_range(0..300), user)));
        Self {
            due: due.collect(),
            rng,
            rules,
            faults,
            now_ms: 0,
            stores: Default::default(),
            processes: (0..PROCESSES).map(process).collect(),
            users: (0..USERS).map(user).collect(),
            seal: Seal::new(Some(b"the secret of this world")),
            fills: [0; KEYS],
            most_at_once: 0,
            hits: 0,
        }
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.random::<f64>() < share
    }

    fn later(&mut self, user: usize, ms: u64) {
        self.due.push(std::cmp::Reverse((self.now_ms + ms, user)));
    }

    /// Runs until all users have made their lookups.
    fn run(&mut self) {
        let mut turns = 0;
        while let Some(std::cmp::Reverse((at, user))) = self.due.pop() {
            self.now_ms = at.max(self.now_ms);
            self.turn(user);
            turns += 1;
            assert!(turns < 200_000, "the world does not end");
        }
        assert!(self.users.iter().all(|user| user.left == 0), "a user waits for ever");
        assert!(self.processes.iter().all(|process| process.flights.aboard() == 0));
    }

    fn turn(&mut self, user: usize) {
        match self.users[user].at {
            At::Starts => self.start(user),
            At::Waits(ticket) => self.look_at_flight(user, ticket),
            At::Looks(ticket) => self.look_up(user, ticket),
            At::Fills(ticket) => self.end_fill(user, ticket),
            At::Over => {}
        }
    }

    fn start(&mut self, user: usize) {
        self.users[user].key = self.rng.random_range(0..KEYS);
        self.begin(user);
    }

    fn begin(&mut self, user: usize) {
        let (process, number) = (self.users[user].process, self.users[user].key);
        let key = key(number);
        if let MemoryReply::Hit(entry) = self.processes[process].memory.get(&key, self.now_ms) {
            return self.served(user, &entry);
        }
        match self.processes[process].flights.board(key) {
            Boarding::Leads(ticket) => self.lead(user, ticket),
            Boarding::Waits(ticket) => {
                self.users[user].at = At::Waits(ticket);
                self.look_at_flight(user, ticket);
            }
        }
    }

    fn look_at_flight(&mut self, user: usize, ticket: FlightTicket) {
        let (process, key) = (self.users[user].process, key(self.users[user].key));
        if self.chance(self.faults.leaves) {
            self.leave(user, ticket, false);
            return self.over(user);
        }
        match self.processes[process].flights.look(&key, ticket, user) {
            // It is woken.
            FlightState::Waits => {}
            FlightState::Leads => self.lead(user, ticket),
            FlightState::Over => self.begin(user),
        }
    }

    fn lead(&mut self, user: usize, ticket: FlightTicket) {
        self.users[user].lookup = Some(Lookup::new(self.rules, self.now_ms));
        self.users[user].at = At::Looks(ticket);
        let ms = self.rng.random_range(1..5);
        self.later(user, ms);
    }

    fn look_up(&mut self, user: usize, ticket: FlightTicket) {
        let Some(mut lookup) = self.users[user].lookup.take() else { return };
        let key_of = key(self.users[user].key);
        if self.chance(self.faults.leaves) {
            self.leave(user, ticket, false);
            return self.over(user);
        }
        let step = lookup.next();
        let (result, ms) = match step {
            LookupStep::Get { layer, .. } => (self.get(user, layer, key_of), 3),
            LookupStep::Promote { layer: 0, entry } => {
                let (left, now) = (entry.left_ms(self.now_ms, TTL_MS), self.now_ms);
                self.processes[self.users[user].process].memory.put(key_of, entry, now, left);
                (LookupResult::Done, 0)
            }
            LookupStep::Promote { layer, entry } => {
                self.put(user, layer, key_of, &entry);
                (LookupResult::Done, 3)
            }
            LookupStep::Lease(layer) => (self.lease(user, layer, key_of), 3),
            LookupStep::Pause(ms) => (LookupResult::Done, ms),
            LookupStep::Found(entry) => {
                self.leave(user, ticket, true);
                return self.served(user, &entry);
            }
            LookupStep::Fill(_) => {
                self.users[user].at = At::Fills(ticket);
                let filling = &mut self.processes[self.users[user].process].filling;
                let others = filling.insert(key_of, user);
                assert_eq!(others, None, "two users of a process fill one entry");
                let at_once =
                    self.processes.iter().filter(|one| one.filling.contains_key(&key_of)).count();
                self.most_at_once = self.most_at_once.max(at_once);
                let ms = self.rng.random_range(20..200);
                return self.later(user, ms);
            }
        };
        let ms = ms + self.rng.random_range(0..3);
        lookup.tell(result, self.now_ms);
        let ends = matches!(lookup.next(), LookupStep::Found(_) | LookupStep::Fill(_));
        let ms = if ends { 0 } else { ms };
        self.users[user].lookup = Some(lookup);
        self.later(user, ms);
    }

    fn end_fill(&mut self, user: usize, ticket: FlightTicket) {
        let (process, number) = (self.users[user].process, self.users[user].key);
        let key = key(number);
        self.processes[process].filling.remove(&key);
        if self.chance(self.faults.fill_fails) {
            self.leave(user, ticket, false);
            return self.over(user);
        }
        self.fills[number] += 1;
        let payload = format!("{{\"token\":\"{number}\"}}").into_bytes();
        let entry = Entry::new(payload, self.now_ms, TTL_MS);
        self.processes[process].memory.put(key, entry.clone(), self.now_ms, TTL_MS);
        for layer in [1, 2] {
            self.put(user, layer, key, &entry);
        }
        self.leave(user, ticket, true);
        self.over(user);
    }

    fn served(&mut self, user: usize, entry: &Entry) {
        let own = format!("{{\"token\":\"{}\"}}", self.users[user].key).into_bytes();
        assert_eq!(*entry.payload, *own, "an entry of another key was served");
        assert!(entry.left_ms(self.now_ms, TTL_MS) > 0, "an entry was served after its end");
        self.hits += 1;
        self.over(user);
    }

    fn over(&mut self, user: usize) {
        let one = &mut self.users[user];
        one.left -= 1;
        one.at = if one.left > 0 { At::Starts } else { At::Over };
        let ms = self.rng.random_range(50..1_500);
        self.later(user, ms);
    }

    /// Leaves a flight, and releases its lease, as the engine does however a user ends.
    fn leave(&mut self, user: usize, ticket: FlightTicket, is_filled: bool) {
        let (process, key) = (self.users[user].process, key(self.users[user].key));
        let woken = self.processes[process].flights.leave(&key, ticket, is_filled);
        woken.into_iter().for_each(|other| self.later(other, 0));
        let owner = self.users[user].owner;
        let leases = &mut self.stores[0].leases;
        if leases.get(&key).is_some_and(|(other, _)| *other == owner) {
            leases.remove(&key);
        }
    }

    /// Whether a layer answers now.
    fn answers(&mut self, user: usize, layer: usize) -> bool {
        let (now, down) = (self.now_ms, self.faults.is_down);
        let process = self.users[user].process;
        if !self.processes[process].gates[layer].is_open(now) {
            return false;
        }
        let answers = !self.chance(down);
        self.processes[process].gates[layer].record(answers, now);
        answers
    }

    fn get(&mut self, user: usize, layer: usize, key: EntryKey) -> LookupResult {
        if !self.answers(user, layer) {
            return LookupResult::Failed;
        }
        let (lies, forgets) = (self.faults.lies, self.faults.forgets);
        if self.chance(forgets) {
            self.stores[layer - 1].entries.remove(&key);
        }
        let mut bytes = self.stores[layer - 1].entries.get(&key).cloned();
        if self.chance(lies) {
            let all: Vec<_> = self.stores[layer - 1].entries.iter().collect();
            let other =
                all.iter().max_by_key(|(other, _)| (**other != key, other.bytes().to_vec()));
            bytes = other.map(|(_, bytes)| (*bytes).clone());
            if let Some(bytes) = &mut bytes {
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] ^= 1;
            }
        }
        let entry = bytes.and_then(|bytes| self.seal.open(&key, &bytes));
        entry.map_or(LookupResult::Nothing, LookupResult::Entry)
    }

    fn put(&mut self, user: usize, layer: usize, key: EntryKey, entry: &Entry) {
        if self.answers(user, layer) {
            let bytes = self.seal.close(&key, entry).unwrap();
            self.stores[layer - 1].entries.insert(key, bytes);
        }
    }

    fn lease(&mut self, user: usize, layer: usize, key: EntryKey) -> LookupResult {
        if !self.answers(user, layer) {
            return LookupResult::Failed;
        }
        let (now, owner) = (self.now_ms, self.users[user].owner);
        let leases = &mut self.stores[layer - 1].leases;
        if leases.get(&key).is_some_and(|(_, until)| now < *until) {
            return LookupResult::Nothing;
        }
        leases.insert(key, (owner, now + LEASE_MS));
        LookupResult::Done
    }
}

#[test]
fn processes_without_faults_make_one_fill_for_each_key_and_time_to_live() {
    let rules = rules();
    for seed in 1..200 {
        let mut world = CacheWorld::new(seed, &rules, Faults::default());
        world.run();
        assert_eq!(world.most_at_once, 1, "seed {seed}: two processes filled one entry at once");
        let lives = 1 + world.now_ms.div_ceil(TTL_MS) as usize;
        assert!(world.fills.iter().all(|fills| *fills <= lives), "seed {seed}: {:?}", world.fills);
        let ended = world.hits + world.fills.iter().sum::<usize>();
        assert_eq!(ended, USERS * LOOKUPS, "seed {seed}");
        assert!(world.hits > USERS * LOOKUPS / 2, "seed {seed}: {} hits", world.hits);
    }
}

#[test]
fn no_fault_serves_a_foreign_or_old_entry_or_makes_a_user_wait_for_ever() {
    let rules = rules();
    for seed in 1..400 {
        let mut draw = Seed::new(seed).unwrap().rng(Stream::World, 1, 0);
        let mut share = |most: f64| if draw.random() { draw.random::<f64>() * most } else { 0.0 };
        let faults = Faults {
            is_down: share(1.0),
            lies: share(0.5),
            forgets: share(0.5),
            fill_fails: share(0.9),
            leaves: share(0.2),
        };
        let run = std::panic::catch_unwind(|| CacheWorld::new(seed, &rules, faults).run());
        assert!(run.is_ok(), "seed {seed}: {faults:?}");
    }
}
