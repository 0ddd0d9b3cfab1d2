//! The caches of a process: what all its shards share of them.
//!
//! `run` and the processes of a fleet make it once, from `setup` to `teardown`; `engine` uses it.
//! Invariant: a lock is held for a look at memory, never for a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::entry::Entry;
use super::flight::{Boarding, FlightState, FlightTicket, Flights};
use super::gate::LayerGate;
use super::key::EntryKey;
use super::layer::CacheLayer;
use super::lookup::LookupRules;
use super::memory::{MemoryLayer, MemoryReply};
use super::seal::Seal;
use crate::plan::Plan;
use crate::plan::cache::{CachePlan, CacheSecret, LayerKind, LayerPlan, targets};

/// All caches of a plan, in its order.
#[derive(Debug, Default)]
pub struct CacheSet(Vec<SharedCache>);

/// A cache, as all shards of a process share it.
#[derive(Debug)]
pub struct SharedCache {
    /// Its part of the plan.
    pub plan: CachePlan,
    /// The targets whose values it keeps.
    targets: String,
    /// The order of lookups.
    pub rules: LookupRules,
    /// How entries leave the process.
    pub seal: Seal,
    /// By layer; `None` for memory.
    layers: Vec<Option<Arc<dyn CacheLayer>>>,
    state: Mutex<CacheState>,
}

#[derive(Debug)]
struct CacheState {
    memory: Option<MemoryLayer>,
    flights: Flights<Waker>,
    gates: Vec<LayerGate>,
}

/// How a lookup begins.
#[derive(Debug)]
pub struct Beginning {
    /// Whether memory had an entry that is too old.
    pub is_expired: bool,
    /// What the user does.
    pub role: Role,
}

/// What a user does at a key.
#[derive(Debug)]
pub enum Role {
    /// It uses the entry of memory.
    Hit(Entry),
    /// It looks in the other layers, and fills the entry.
    Leads(FlightTicket),
    /// It waits for the user that does.
    Waits(FlightTicket),
}

impl CacheSet {
    /// The caches of a plan; `open` gives the layers outside of the process, by cache and layer.
    /// A layer that it gives no store for does not exist in this process.
    pub fn new(
        plan: &Plan,
        mut open: impl FnMut(&CachePlan, usize) -> Option<Arc<dyn CacheLayer>>,
    ) -> Self {
        let targets = targets(&plan.services);
        let cache = |cache: &CachePlan| {
            let mut own = cache.clone();
            let layers: Vec<_> = (0..own.layers.len()).map(|layer| open(cache, layer)).collect();
            let has_store =
                |at: usize| cache.layers[at].kind == LayerKind::Memory || layers[at].is_some();
            let kept: Vec<usize> = (0..layers.len()).filter(|at| has_store(*at)).collect();
            own.layers = kept.iter().map(|at| cache.layers[*at].clone()).collect();
            let layers = kept.into_iter().map(|at| layers[at].clone()).collect();
            SharedCache::new(own, targets.clone(), layers)
        };
        Self(plan.caches.iter().map(cache).collect())
    }

    /// The caches of a plan with their layers in memory alone.
    pub fn in_memory(plan: &Plan) -> Arc<Self> {
        Arc::new(Self::new(plan, |_, _| None))
    }

    /// Why layers failed first: a sentence for each that did.
    pub fn failures(&self) -> Vec<String> {
        let of = |cache: &SharedCache| {
            let layers = cache.layers.iter().zip(&cache.plan.layers);
            let told = |(store, layer): (&Option<Arc<dyn CacheLayer>>, &LayerPlan)| {
                let why = store.as_ref()?.first_failure()?;
                Some(format!("cache `{}`, {}: {why}", cache.plan.name, layer.label))
            };
            layers.filter_map(told).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// The cache with this number.
    pub fn get(&self, cache: usize) -> Option<&SharedCache> {
        self.0.get(cache)
    }
}

impl SharedCache {
    fn new(plan: CachePlan, targets: String, layers: Vec<Option<Arc<dyn CacheLayer>>>) -> Self {
        let is_memory = |kind: LayerKind| kind == LayerKind::Memory;
        let ttl_ms = |ttl: std::time::Duration| ttl.as_millis() as u64;
        let has_memory = plan.layers.first().is_some_and(|layer| is_memory(layer.kind));
        let lease_layer = plan.layers.iter().position(|layer| layer.kind == LayerKind::Redis);
        let rules = LookupRules {
            ttl_ms: ttl_ms(plan.ttl),
            layers: plan.layers.len(),
            has_memory,
            lease_layer: lease_layer.filter(|_| !plan.lease.is_zero()),
            wait_ms: ttl_ms(plan.wait),
        };
        let memory = has_memory.then(|| {
            let ttl = ttl_ms(plan.layers[0].ttl);
            MemoryLayer::new(plan.max_entries as usize, plan.max_memory as usize, ttl)
        });
        let gate = LayerGate::new(ttl_ms(plan.retry_after));
        let gates = plan.layers.iter().map(|_| gate.clone()).collect();
        let state = Mutex::new(CacheState { memory, flights: Flights::default(), gates });
        let seal = Seal::new(plan.secret.as_ref().map(CacheSecret::bytes));
        Self { plan, targets, rules, seal, layers, state }
    }

    fn state(&self) -> MutexGuard<'_, CacheState> {
        // No invariant spans the critical sections.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of an entry.
    pub fn key(&self, key: &[u8]) -> EntryKey {
        EntryKey::of(&self.plan.name, &self.targets, key)
    }

    /// Whether the cache has a layer in memory.
    pub fn has_memory(&self) -> bool {
        self.rules.has_memory
    }

    /// Begins a lookup.
    pub fn begin(&self, key: EntryKey, now_ms: u64) -> Beginning {
        let mut state = self.state();
        let mut is_expired = false;
        if let Some(memory) = &mut state.memory {
            match memory.get(&key, now_ms) {
                MemoryReply::Hit(entry) => return Beginning { is_expired, role: Role::Hit(entry) },
                MemoryReply::Expired => is_expired = true,
                MemoryReply::Miss => {}
            }
        }
        let role = match state.flights.board(key) {
            Boarding::Leads(ticket) => Role::Leads(ticket),
            Boarding::Waits(ticket) => Role::Waits(ticket),
        };
        Beginning { is_expired, role }
    }

    /// What became of a flight that a user waits for: `None` if it goes on, and `waker` is woken
    /// when it changes; else whether the user leads it now.
    pub fn leads(&self, key: &EntryKey, ticket: FlightTicket, waker: &Waker) -> Option<bool> {
        match self.state().flights.look(key, ticket, waker.clone()) {
            FlightState::Waits => None,
            FlightState::Leads => Some(true),
            FlightState::Over => Some(false),
        }
    }

    /// A user leaves a flight.
    pub fn leave(&self, key: &EntryKey, ticket: FlightTicket, is_filled: bool) {
        let wakers = self.state().flights.leave(key, ticket, is_filled);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Writes an entry that has `left_ms` to memory; returns whether there is room for it.
    pub fn put_in_memory(&self, key: EntryKey, entry: Entry, now_ms: u64, left_ms: u64) -> bool {
        let mut state = self.state();
        state.memory.as_mut().is_some_and(|memory| memory.put(key, entry, now_ms, left_ms))
    }

    /// The entry in memory, for a comparison.
    pub fn in_memory(&self, key: &EntryKey, now_ms: u64) -> Option<Entry> {
        match self.state().memory.as_mut()?.get(key, now_ms) {
            MemoryReply::Hit(entry) => Some(entry),
            _ => None,
        }
    }

    /// Removes an entry from memory.
    pub fn remove_from_memory(&self, key: &EntryKey) {
        if let Some(memory) = &mut self.state().memory {
            memory.remove(key);
        }
    }

    /// A layer outside of the process, unless it is left alone now.
    pub fn layer(&self, layer: usize, now_ms: u64) -> Option<&Arc<dyn CacheLayer>> {
        let store = self.layers.get(layer)?.as_ref()?;
        self.state().gates[layer].is_open(now_ms).then_some(store)
    }

    /// A layer, whether it is left alone or not: to release what was taken.
    pub fn any_layer(&self, layer: usize) -> Option<&Arc<dyn CacheLayer>> {
        self.layers.get(layer)?.as_ref()
    }

    /// A layer answered, or did not.
    pub fn record_answer(&self, layer: usize, is_answered: bool, now_ms: u64) {
        self.state().gates[layer].record(is_answered, now_ms);
    }
}
