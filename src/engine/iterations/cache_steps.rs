//! The steps that use a cache: `cached`, its end, and `forget`.
//!
//! `iteration` runs them, boxed.
//! Invariant: what a lookup takes is a wait of the user's own, like a pause: the next call is
//! intended after it, and no response time has it. Steps that fail keep nothing.

use std::sync::Arc;

use crate::cache::{Entry, EntryKey, FlightTicket, MAX_PAYLOAD, Role};
use crate::clock;
use crate::engine::iterations::cache_fill::CacheFill;
use crate::engine::iterations::cache_io::CacheUser;
use crate::engine::iterations::iteration::{IterationRunner, STEPS_IN_A_ROW};
use crate::plan::cache::{CachedStep, ForgetStep};
use crate::plan::flow::Step;
use crate::stats::CallResult;
use crate::stats::sample::IterationEnd;
use crate::template::{Template, exact_json};
use crate::units::nanos;

/// The values of an entry by name.
type Values = serde_json::Map<String, serde_json::Value>;

/// The result of a lookup.
struct LookupEnd {
    /// `None`: the user is to run the steps.
    entry: Option<Entry>,
    /// Its place in the flight, which ends when it is dropped; `None` after a hit in memory.
    fill: Option<CacheFill>,
    has_waited: bool,
}

impl IterationRunner<'_> {
    /// Runs a step that uses a cache, after `in_a_row` steps that took no time; returns the
    /// next step.
    pub(super) async fn cache_step(
        &mut self,
        step: &Step,
        at: usize,
        in_a_row: u32,
    ) -> Result<usize, IterationEnd> {
        if in_a_row.is_multiple_of(STEPS_IN_A_ROW) {
            self.yield_if_spinning(in_a_row).await?;
        }
        if self.has_pending_wait() {
            self.take_pending_wait().await?;
        }
        let before = clock::now();
        let (next, took_time) = match step {
            Step::Cached(step) => {
                let (is_found, took_time) = self.cached(step, at).await?;
                (if is_found { step.to } else { at + 1 }, took_time)
            }
            Step::Fill => (at + 1, self.fill_cache().await?),
            Step::Forget(step) => (at + 1, self.forget(step).await?),
            _ => (at + 1, false),
        };
        if took_time {
            let took_ns = clock::now().since(before);
            self.go_on_at(self.timing.intended.after(took_ns), took_ns);
        }
        Ok(next)
    }

    fn render_key(&mut self, key: &Template) -> Result<Vec<u8>, IterationEnd> {
        let (mut text, at) = (Vec::new(), self.timing.intended);
        let rendered = key.render(&mut self.user.scope(self.shard, at), &mut text);
        self.or_template_error(rendered).map(|()| text)
    }

    /// Takes values from a cache, or begins to fill their entry. Returns whether it took them, and
    /// whether that took time.
    async fn cached(&mut self, step: &CachedStep, at: usize) -> Result<(bool, bool), IterationEnd> {
        let text = self.render_key(&step.key)?;
        let caches = Arc::clone(&self.shard.shared.caches);
        let Some(cache) = caches.get(step.cache) else { return Ok((false, false)) };
        let (key, before) = (cache.key(&text), clock::now());
        let user = CacheUser { shard: self.shard, deadline: &self.user.deadline, cache };
        user.count_cache(|counts| counts.lookups += 1);
        let place = |ticket| CacheFill::new((&caches, step.cache), key, ticket, at);
        let found = find(&user, step, key, place).await?;
        // A look at memory takes no time.
        let took_time = found.has_waited || cache.plan.has_stores() && found.fill.is_some();
        user.count_cache(|counts| {
            counts.waits += u64::from(found.has_waited);
            counts.hits += u64::from(found.entry.is_some());
            if took_time {
                counts.add_wait(clock::now().since(before));
            }
        });
        let Some(values) = found.entry.as_ref().and_then(values) else {
            // Only what the steps capture now is kept.
            step.keep.iter().for_each(|(_, slot)| self.user.variables[*slot] = None);
            self.user.extras().filling = found.fill;
            return Ok((false, took_time));
        };
        for (name, slot) in &step.keep {
            self.user.variables[*slot] = values.get(name).map(exact_json::to_value);
        }
        Ok((true, took_time))
    }

    /// Keeps what the steps of a `cached` captured; returns whether that took time.
    async fn fill_cache(&mut self) -> Result<bool, IterationEnd> {
        let filling = self.user.extras.as_mut().and_then(|extras| extras.filling.take());
        let Some(mut fill) = filling else { return Ok(false) };
        let caches = Arc::clone(&self.shard.shared.caches);
        let Step::Cached(step) = &self.flow().steps[fill.step] else { return Ok(false) };
        let Some(cache) = caches.get(step.cache) else { return Ok(false) };
        let user = CacheUser { shard: self.shard, deadline: &self.user.deadline, cache };
        let payload = if fill.has_failed { None } else { self.captured(step) };
        let Some(payload) = payload else {
            user.count_cache(|counts| counts.failed_fills += 1);
            return Ok(false);
        };
        user.count_cache(|counts| counts.fills += 1);
        let entry = Entry::new(payload, user.now_ms(), cache.rules.ttl_ms);
        user.put_all(&mut fill, &entry).await?;
        Ok(cache.plan.has_stores())
    }

    /// The captured values as the payload of an entry; `None` if one is missing, or they are too
    /// large.
    fn captured(&self, step: &CachedStep) -> Option<Vec<u8>> {
        let mut values = Values::new();
        for (name, slot) in &step.keep {
            let value = self.user.variables[*slot].as_ref()?;
            values.insert(name.clone(), serde_json::to_value(value).ok()?);
        }
        serde_json::to_vec(&values).ok().filter(|payload| payload.len() <= MAX_PAYLOAD)
    }

    /// Removes an entry, unless another user has replaced the values that this one has; returns
    /// whether that took time.
    async fn forget(&mut self, step: &ForgetStep) -> Result<bool, IterationEnd> {
        let text = self.render_key(&step.key)?;
        let caches = Arc::clone(&self.shard.shared.caches);
        let Some(cache) = caches.get(step.cache) else { return Ok(false) };
        let key = cache.key(&text);
        let user = CacheUser { shard: self.shard, deadline: &self.user.deadline, cache };
        let kept = cache.in_memory(&key, user.now_ms());
        if kept.is_some_and(|entry| !self.has_values_of(&entry)) {
            return Ok(false);
        }
        user.remove(key).await?;
        user.count_cache(|counts| counts.forgotten += 1);
        Ok(cache.plan.has_stores())
    }

    /// Whether the user's variables have the values of an entry, as far as they have any.
    fn has_values_of(&self, entry: &Entry) -> bool {
        let names = &self.shard.plan.archetypes[self.user.archetype].variables;
        let own = |name: &str| {
            let slot = names.iter().position(|known| known == name)?;
            serde_json::to_value(self.user.variables.get(slot)?.as_ref()?).ok()
        };
        let Some(values) = values(entry) else { return true };
        values.iter().all(|(name, value)| own(name).is_none_or(|own| own == *value))
    }

    /// A call ended; if it belongs to a fill and was not ok, the fill keeps nothing. A call with
    /// fallback steps is made up for by them.
    pub(super) fn mark_fill(&mut self, result: CallResult, has_rescue: bool) {
        if let Some(extras) = &mut self.user.extras
            && let Some(fill) = &mut extras.filling
        {
            fill.has_failed |= result != CallResult::Ok && !has_rescue;
        }
    }

    /// Ends a fill whose steps did not come to their end: another user may fill the entry.
    pub(super) fn abandon_fill(&mut self) {
        let filling = self.user.extras.as_mut().and_then(|extras| extras.filling.take());
        if let Some(cache) = filling.as_ref().and_then(CacheFill::cache) {
            self.shard.recorder.borrow_mut().cache(&cache.plan.name).failed_fills += 1;
        }
    }
}

/// Looks for an entry: in memory, with the user that looks for it already, or below.
async fn find(
    user: &CacheUser<'_>,
    step: &CachedStep,
    key: EntryKey,
    place: impl Fn(Option<FlightTicket>) -> CacheFill,
) -> Result<LookupEnd, IterationEnd> {
    let until = clock::now().after(nanos(user.cache.plan.wait));
    let mut has_waited = false;
    loop {
        let begun = user.cache.begin(key, user.now_ms());
        if begun.is_expired {
            user.count_memory(|layer| layer.expired += 1);
        }
        let mut fill = match begun.role {
            Role::Hit(entry) if is_usable(step, &entry) => {
                user.count_memory(|layer| layer.hits += 1);
                return Ok(LookupEnd { entry: Some(entry), fill: None, has_waited });
            }
            // Another step keeps other variables under this key.
            Role::Hit(_) => {
                user.count_memory(|layer| layer.unreadable += 1);
                user.cache.remove_from_memory(&key);
                continue;
            }
            Role::Leads(ticket) => place(Some(ticket)),
            Role::Waits(ticket) => {
                has_waited = true;
                let waits = place(Some(ticket));
                let waker = |cx: &mut std::task::Context<'_>| {
                    let state = user.cache.leads(&key, ticket, cx.waker());
                    state.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
                };
                match user.wait(until, waker).await? {
                    Some(true) => waits,
                    Some(false) => continue,
                    // It has waited for long enough, and runs the steps by itself.
                    None => place(None),
                }
            }
        };
        if !begun.is_expired {
            user.count_memory(|layer| layer.misses += 1);
        }
        let entry = user.look_up(&mut fill, |entry| is_usable(step, entry)).await?;
        if entry.is_some() {
            fill.set_filled();
        }
        return Ok(LookupEnd { entry, fill: Some(fill), has_waited });
    }
}

/// The values of an entry; `None` if they are none.
fn values(entry: &Entry) -> Option<Values> {
    match exact_json::parse(&entry.payload) {
        Ok(serde_json::Value::Object(values)) => Some(values),
        _ => None,
    }
}

/// Whether an entry has what a step keeps.
fn is_usable(step: &CachedStep, entry: &Entry) -> bool {
    values(entry).is_some_and(|values| step.keep.iter().all(|(name, _)| values.contains_key(name)))
}
