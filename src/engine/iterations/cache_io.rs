//! Requests to the layers of a cache outside of the process, and waits for other users.
//!
//! `cache_steps` calls it for a user that leads a lookup.
//! Invariant: every wait ends by the cache's timeout, by the user's own deadline, or when the user
//! is cancelled; every request is counted once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cache::{
    CacheLayer, Entry, EntryKey, LayerReply, LayerRequest, LeaseOwner, Lookup, LookupResult,
    LookupStep, SharedCache,
};
use crate::clock::{self, Time, Timer};
use crate::engine::iterations::cache_fill::CacheFill;
use crate::engine::shard::Shard;
use crate::stats::caches::{CacheUse, FirstLayerFailure, LayerUse};
use crate::stats::sample::IterationEnd;
use crate::units::{nanos, show_duration};
use crate::wire::CallDeadline;

/// The longest reason of a failure that is kept, characters.
const MAX_REASON: usize = 300;

/// A user at a cache.
#[derive(Clone, Copy)]
pub(super) struct CacheUser<'a> {
    pub(super) shard: &'a Shard,
    pub(super) deadline: &'a CallDeadline,
    pub(super) cache: &'a SharedCache,
}

impl CacheUser<'_> {
    /// The wall clock as the run sees it, ms since the epoch.
    pub(super) fn now_ms(&self) -> u64 {
        self.shard.started_ms + clock::now().since(self.shard.start) / 1_000_000
    }

    /// Waits until `poll` is ready; `None` if it is not by `until`.
    ///
    /// # Errors
    /// If the user is cancelled or its time is over.
    pub(super) async fn wait<T>(
        &self,
        until: Time,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<Option<T>, IterationEnd> {
        let timer = Timer::new();
        let mut set = Time::NEVER;
        let result = poll_fn(|cx| {
            if let Poll::Ready(value) = poll(cx) {
                return Poll::Ready(Some(value));
            }
            if self.shard.lifecycle.is_cancelled() {
                return Poll::Ready(None);
            }
            // The end of the user's stay may move while it waits.
            let end = until.min(self.deadline.hard_end());
            if set != end {
                set = end;
                timer.set(end);
            }
            timer.poll(cx).map(|()| None)
        })
        .await;
        let is_over = clock::now() >= self.deadline.hard_end();
        if result.is_none() && (self.shard.lifecycle.is_cancelled() || is_over) {
            return Err(IterationEnd::Interrupted);
        }
        Ok(result)
    }

    /// Counts something of the cache.
    pub(super) fn count_cache(&self, count: impl FnOnce(&mut CacheUse)) {
        count(self.shard.recorder.borrow_mut().cache(&self.cache.plan.name));
    }

    /// Counts something of a layer.
    fn count(&self, layer: usize, count: impl FnOnce(&mut LayerUse)) {
        let plan = &self.cache.plan;
        let mut recorder = self.shard.recorder.borrow_mut();
        count(recorder.cache(&plan.name).layer(&plan.layers[layer].label));
    }

    /// Counts a look at memory.
    pub(super) fn count_memory(&self, count: impl FnOnce(&mut LayerUse)) {
        if self.cache.has_memory() {
            self.count(0, count);
        }
    }

    /// Asks a layer; `None` without an answer.
    async fn ask(
        &self,
        layer: usize,
        request: LayerRequest,
    ) -> Result<Option<LayerReply>, IterationEnd> {
        let Some(store) = self.cache.layer(layer, self.now_ms()) else {
            self.count(layer, |layer| layer.skipped += 1);
            return Ok(None);
        };
        let mut reply = store.ask(request);
        let until = clock::now().after(nanos(self.cache.plan.timeout));
        let reply = self.wait(until, |cx| Pin::new(&mut reply).poll(cx)).await?;
        let is_answered = !matches!(reply, None | Some(Err(_) | Ok(LayerReply::Failed)));
        self.cache.record_answer(layer, is_answered, self.now_ms());
        match reply {
            None => {
                let within = show_duration(self.cache.plan.timeout);
                self.keep_failure(layer, store, &format!("no answer within {within}"));
                self.count(layer, |layer| layer.timeouts += 1);
            }
            Some(Err(_) | Ok(LayerReply::Failed)) => {
                self.keep_failure(layer, store, "a request was refused");
                self.count(layer, |layer| layer.failed += 1);
            }
            Some(Ok(reply)) => return Ok(Some(reply)),
        }
        Ok(None)
    }

    /// Keeps the first failure of a layer: why, by the store itself, or else `otherwise`.
    fn keep_failure(&self, layer: usize, store: &Arc<dyn CacheLayer>, otherwise: &str) {
        let at_ns = clock::now().since(self.shard.start);
        self.count(layer, |layer| {
            layer.first_failure.get_or_insert_with(|| {
                let why = store.first_failure().unwrap_or_else(|| otherwise.to_owned());
                FirstLayerFailure { at_ns, why: why.chars().take(MAX_REASON).collect() }
            });
        });
    }

    /// Looks for an entry below memory, and promotes it; `None` if the user is to fill it.
    /// `is_usable` says whether an entry has what the step needs.
    pub(super) async fn look_up(
        &self,
        fill: &mut CacheFill,
        is_usable: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Entry>, IterationEnd> {
        let key = fill.key;
        let mut lookup = Lookup::new(&self.cache.rules, self.now_ms());
        loop {
            let step = lookup.next();
            let result = match &step {
                LookupStep::Get { layer, is_again } => {
                    self.get(*layer, key, *is_again, &is_usable).await?
                }
                LookupStep::Promote { layer, entry } => {
                    if self.put(*layer, key, entry).await? {
                        self.count(*layer, |layer| layer.promotions += 1);
                    }
                    LookupResult::Done
                }
                LookupStep::Lease(layer) => self.lease(*layer, fill).await?,
                LookupStep::Pause(ms) => {
                    let until = clock::now().after(ms.saturating_mul(1_000_000));
                    self.wait(until, |_| Poll::<()>::Pending).await?;
                    LookupResult::Done
                }
                LookupStep::Found(entry) => return Ok(Some(entry.clone())),
                LookupStep::Fill(_) => return Ok(None),
            };
            let was_entry = matches!(result, LookupResult::Entry(_));
            let is_expired = lookup.tell(result, self.now_ms());
            if let LookupStep::Get { layer, .. } = step {
                match (was_entry, is_expired) {
                    (true, true) => self.count(layer, |layer| layer.expired += 1),
                    (true, false) => self.count(layer, |layer| layer.hits += 1),
                    (false, _) => {}
                }
            }
        }
    }

    async fn get(
        &self,
        layer: usize,
        key: EntryKey,
        is_again: bool,
        is_usable: impl Fn(&Entry) -> bool,
    ) -> Result<LookupResult, IterationEnd> {
        let name = key.name(&self.cache.plan.name);
        match self.ask(layer, LayerRequest::Get { name }).await? {
            Some(LayerReply::Found(bytes)) => {
                let entry = self.cache.seal.open(&key, &bytes).filter(is_usable);
                if entry.is_none() && !is_again {
                    self.count(layer, |layer| layer.unreadable += 1);
                }
                Ok(entry.map_or(LookupResult::Nothing, LookupResult::Entry))
            }
            Some(_) => {
                if !is_again {
                    self.count(layer, |layer| layer.misses += 1);
                }
                Ok(LookupResult::Nothing)
            }
            None => Ok(LookupResult::Failed),
        }
    }

    /// Writes an entry to a layer; returns whether it was written.
    pub(super) async fn put(
        &self,
        layer: usize,
        key: EntryKey,
        entry: &Entry,
    ) -> Result<bool, IterationEnd> {
        let now_ms = self.now_ms();
        let own_ms = self.cache.plan.layers[layer].ttl.as_millis() as u64;
        let left_ms = entry.left_ms(now_ms, self.cache.rules.ttl_ms).min(own_ms);
        if left_ms == 0 {
            return Ok(false);
        }
        if layer == 0 && self.cache.has_memory() {
            return Ok(self.cache.put_in_memory(key, entry.clone(), now_ms, left_ms));
        }
        let Some(bytes) = self.cache.seal.close(&key, entry) else { return Ok(false) };
        let name = key.name(&self.cache.plan.name);
        let expires_ms = now_ms.saturating_add(left_ms);
        let request = LayerRequest::Put { name, bytes, expires_ms, left_ms };
        Ok(self.ask(layer, request).await?.is_some())
    }

    /// Writes an entry to all layers; users that wait for it go on as soon as they can find it.
    pub(super) async fn put_all(
        &self,
        fill: &mut CacheFill,
        entry: &Entry,
    ) -> Result<(), IterationEnd> {
        for layer in 0..self.cache.plan.layers.len() {
            if self.put(layer, fill.key, entry).await? {
                self.count(layer, |layer| layer.writes += 1);
                fill.set_filled();
            }
        }
        Ok(())
    }

    async fn lease(
        &self,
        layer: usize,
        fill: &mut CacheFill,
    ) -> Result<LookupResult, IterationEnd> {
        let owner: LeaseOwner = rand::random();
        let name = fill.key.name(&self.cache.plan.name);
        let ms = self.cache.plan.lease.as_millis() as u64;
        // Released also if the answer is lost.
        fill.set_lease(layer, owner);
        Ok(match self.ask(layer, LayerRequest::Lease { name, owner, ms }).await? {
            Some(LayerReply::Done) => LookupResult::Done,
            Some(_) => LookupResult::Nothing,
            None => LookupResult::Failed,
        })
    }

    /// Removes an entry from all layers.
    pub(super) async fn remove(&self, key: EntryKey) -> Result<(), IterationEnd> {
        self.cache.remove_from_memory(&key);
        for layer in usize::from(self.cache.has_memory())..self.cache.plan.layers.len() {
            let name = key.name(&self.cache.plan.name);
            self.ask(layer, LayerRequest::Remove { name }).await?;
        }
        Ok(())
    }
}
