//! Stores of caches under virtual time: each layer outside of the process is one, with a latency,
//! and times at which it fails or does not answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use manada::cache::{CacheLayer, CacheSet, LayerReply, LayerRequest};
use manada::clock::{self, Time};
use manada::plan::Plan;
use manada::plan::cache::LayerKind;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::script::{Window, ns};

/// How the store of a layer behaves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreScript {
    /// How long a reply takes.
    latency: String,
    /// When it refuses all requests.
    #[serde(default)]
    down: Option<Window>,
    /// When it does not answer.
    #[serde(default)]
    silent: Option<Window>,
    /// Whether the bytes that it returns are changed.
    #[serde(default)]
    lies: bool,
    /// Whether entries end when they were written to.
    #[serde(default)]
    expires: bool,
}

/// The entries by name, and when they end.
type Entries = HashMap<String, (Vec<u8>, Time)>;

#[derive(Debug)]
struct SimulatedStore {
    script: StoreScript,
    start: Time,
    entries: Arc<Mutex<Entries>>,
}

impl SimulatedStore {
    /// Whether a window is open now.
    fn is_in(&self, window: Option<&Window>) -> bool {
        let now = clock::now();
        window.map(Window::ns).is_some_and(|(at, length)| {
            let from = self.start.after(at);
            from <= now && now < from.after(length)
        })
    }
}

impl CacheLayer for SimulatedStore {
    fn ask(&self, request: LayerRequest) -> oneshot::Receiver<LayerReply> {
        let (reply, receiver) = oneshot::channel();
        let until = clock::now().after(ns(&self.script.latency));
        let (is_down, is_silent) =
            (self.is_in(self.script.down.as_ref()), self.is_in(self.script.silent.as_ref()));
        let (entries, script) = (Arc::clone(&self.entries), self.script.clone());
        tokio::task::spawn_local(async move {
            clock::sleep_until(until).await;
            if is_silent {
                // Whatever asks has given up long before.
                clock::sleep_until(until.after(3_600_000_000_000)).await;
            }
            let done =
                if is_down { LayerReply::Failed } else { carry_out(&entries, request, &script) };
            drop(reply.send(done));
        });
        receiver
    }
}

fn carry_out(entries: &Mutex<Entries>, request: LayerRequest, script: &StoreScript) -> LayerReply {
    let mut entries = entries.lock().unwrap();
    let lease = |name: String| format!("{name}:lease");
    match request {
        LayerRequest::Get { name } => match entries.get(&name).cloned() {
            Some((_, end)) if script.expires && end <= clock::now() => LayerReply::Nothing,
            Some((mut bytes, _)) => {
                if script.lies {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 1;
                }
                LayerReply::Found(bytes)
            }
            None => LayerReply::Nothing,
        },
        LayerRequest::Put { name, bytes, left_ms, .. } => {
            let end = clock::now().after(left_ms * 1_000_000);
            entries.insert(name, (bytes, end));
            LayerReply::Done
        }
        LayerRequest::Remove { name } => {
            entries.remove(&name);
            LayerReply::Done
        }
        LayerRequest::Lease { name, owner, .. } => {
            let owner = owner.to_le_bytes().to_vec();
            if entries.contains_key(&lease(name.clone())) {
                return LayerReply::Nothing;
            }
            entries.insert(lease(name), (owner, Time::NEVER));
            LayerReply::Done
        }
        LayerRequest::Release { name, owner } => {
            let name = lease(name);
            if entries.get(&name).is_some_and(|(other, _)| **other == owner.to_le_bytes()) {
                entries.remove(&name);
            }
            LayerReply::Done
        }
    }
}

/// The caches of a world: with the store of each layer that its script names.
pub fn caches(
    plan: &Plan,
    scripts: &std::collections::BTreeMap<String, StoreScript>,
    start: Time,
) -> Arc<CacheSet> {
    Arc::new(CacheSet::new(plan, |cache, layer| {
        let layer = &cache.layers[layer];
        if layer.kind == LayerKind::Memory {
            return None;
        }
        let script = scripts.get(&layer.label)?.clone();
        let store = SimulatedStore { script, start, entries: Arc::default() };
        Some(Arc::new(store) as Arc<dyn CacheLayer>)
    }))
}
