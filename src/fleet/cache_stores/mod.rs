//! The stores of caches outside of the process: Redis, PostgreSQL, an SQLite file.
//!
//! `run` opens them for the processes that it starts, workers for themselves.
//! Invariant: opening waits for no server: a store that is down costs a run its cache, not its
//! load. Each request ends within the store's own timeouts.

#[cfg(feature = "history")]
mod database;
#[cfg(feature = "redis")]
mod redis;

use std::sync::Arc;

use crate::cache::{CacheLayer, CacheSet, LayerStore, LayerThreads};
use crate::plan::Plan;
use crate::plan::cache::{CachePlan, LayerKind, LayerPlan};

/// Connections of a process to a server.
const CONNECTIONS: usize = 4;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheStoreError {
    /// Its place is not valid.
    #[error("cache `{cache}`, layer {layer}: {why}")]
    Place {
        /// The cache.
        cache: String,
        /// The layer.
        layer: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused a thread.
    #[error("cannot start a thread of a cache: {0}")]
    Thread(#[from] std::io::Error),
}

/// Opens the caches of a plan.
///
/// # Errors
/// If the place of a store is not valid, or the system refuses a thread.
pub fn open(plan: &Plan) -> Result<Arc<CacheSet>, CacheStoreError> {
    let mut layers = Vec::new();
    for cache in &plan.caches {
        let one = |layer| open_layer(cache, layer);
        layers.push(cache.layers.iter().map(one).collect::<Result<Vec<_>, _>>()?);
    }
    let mut caches = layers.into_iter();
    let mut current = Vec::new();
    Ok(Arc::new(CacheSet::new(plan, |_, layer| {
        if layer == 0 {
            current = caches.next().unwrap_or_default();
        }
        current.get_mut(layer).and_then(Option::take)
    })))
}

/// Checks the places of the stores of a plan, as [`open`] does, without opening them.
///
/// # Errors
/// If the place of a store is not valid.
pub fn check(plan: &Plan) -> Result<(), CacheStoreError> {
    for cache in &plan.caches {
        for layer in &cache.layers {
            let place: Result<(), String> = match layer.kind {
                #[cfg(feature = "redis")]
                LayerKind::Redis => redis::address(cache, layer).map(drop),
                #[cfg(feature = "history")]
                LayerKind::Sqlite => database::place(layer).map(drop),
                #[cfg(feature = "postgres")]
                LayerKind::Postgres => database::place(layer).map(drop),
                #[allow(unreachable_patterns)]
                _ => Ok(()),
            };
            place.map_err(|why| refused(cache, layer, why))?;
        }
    }
    Ok(())
}

fn refused(cache: &CachePlan, layer: &LayerPlan, why: String) -> CacheStoreError {
    CacheStoreError::Place { cache: cache.name.clone(), layer: layer.label.clone(), why }
}

/// Opens a layer; `None` for memory.
fn open_layer(
    cache: &CachePlan,
    layer: &LayerPlan,
) -> Result<Option<Arc<dyn CacheLayer>>, CacheStoreError> {
    let stores: Result<Vec<Box<dyn LayerStore>>, String> = match layer.kind {
        LayerKind::Memory => return Ok(None),
        #[cfg(feature = "redis")]
        LayerKind::Redis => redis::open(cache, layer, CONNECTIONS),
        #[cfg(feature = "history")]
        LayerKind::Sqlite => database::open(layer, 1),
        #[cfg(feature = "postgres")]
        LayerKind::Postgres => database::open(layer, CONNECTIONS),
        // Refused when the scenario was compiled.
        #[allow(unreachable_patterns)]
        _ => Err("this manada was built without it".to_owned()),
    };
    let threads = LayerThreads::start(stores.map_err(|why| refused(cache, layer, why))?)?;
    Ok(Some(Arc::new(threads)))
}

/// The TCP ports of the servers of a plan's caches, and its SQLite files.
pub fn places(plan: &Plan) -> (Vec<u16>, Vec<std::path::PathBuf>) {
    let (mut ports, mut files) = (Vec::new(), Vec::new());
    for layer in plan.caches.iter().flat_map(|cache| &cache.layers) {
        match layer.kind {
            LayerKind::Memory => {}
            #[cfg(feature = "redis")]
            LayerKind::Redis => ports.extend(redis::port(layer)),
            #[cfg(feature = "postgres")]
            LayerKind::Postgres => ports.extend(database::ports(layer)),
            LayerKind::Sqlite => {
                files.extend(layer.place.strip_prefix("sqlite:").map(std::path::PathBuf::from));
            }
            #[allow(unreachable_patterns)]
            _ => {}
        }
    }
    (ports, files)
}
