//! `cache:` as a plan has it: its layers, and how long entries are used.
//!
//! `scenario::cache` makes it, `cache` and `fleet::cache_stores` follow it.
//! Invariant: no text made of it shows a credential of a layer or the secret.

use std::fmt;
use std::time::Duration;

use super::service::{Service, ServiceTarget};
use crate::template::Template;

/// A layered cache.
#[derive(Clone, Debug)]
pub struct CachePlan {
    /// Its name.
    pub name: String,
    /// Its layers, fastest first; only the first one can be memory.
    pub layers: Vec<LayerPlan>,
    /// How long entries are used.
    pub ttl: Duration,
    /// Encrypts entries outside of the process; `None`: they are not encrypted.
    pub secret: Option<CacheSecret>,
    /// How long a layer may take to answer.
    pub timeout: Duration,
    /// How long a layer that does not answer is left alone.
    pub retry_after: Duration,
    /// How long a user waits for the fill of another one.
    pub wait: Duration,
    /// How long another process waits for the fill of this one; zero: processes do not wait.
    pub lease: Duration,
    /// Maximum entries in memory.
    pub max_entries: u64,
    /// Maximum bytes in memory.
    pub max_memory: u64,
}

/// A layer of a cache.
#[derive(Clone, PartialEq, Eq)]
pub struct LayerPlan {
    /// What keeps its entries.
    pub kind: LayerKind,
    /// Where they are: a URL or the path of a file; empty for memory.
    pub place: String,
    /// Its name in reports, unique in its cache.
    pub label: String,
    /// How long it keeps an entry, at most as long as entries are used.
    pub ttl: Duration,
}

/// What keeps the entries of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// The memory of this process.
    Memory,
    /// A Redis server.
    Redis,
    /// A PostgreSQL server.
    Postgres,
    /// An SQLite file.
    Sqlite,
}

/// The secret that entries are encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheSecret(String);

/// A step that takes values from a cache, or runs steps that capture them.
#[derive(Clone, Debug)]
pub struct CachedStep {
    /// Number of the cache.
    pub cache: usize,
    /// Key of the entry.
    pub key: Template,
    /// The variables that are kept: names and slots.
    pub keep: Vec<(String, usize)>,
    /// The step after those that capture them.
    pub to: usize,
}

/// A step that removes an entry.
#[derive(Clone, Debug)]
pub struct ForgetStep {
    /// Number of the cache.
    pub cache: usize,
    /// Key of the entry.
    pub key: Template,
}

impl LayerKind {
    /// The name in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

impl CacheSecret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for CacheSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSecret(***)")
    }
}

impl fmt::Debug for LayerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerPlan({}, {:?})", self.label, self.ttl)
    }
}

impl CachePlan {
    /// Whether a layer is outside of the process.
    pub fn has_stores(&self) -> bool {
        self.layers.iter().any(|layer| layer.kind != LayerKind::Memory)
    }
}

/// The targets whose values caches keep: a token of one target is never used at another.
pub fn targets(services: &[Service]) -> String {
    let target = |service: &Service| match &service.target {
        ServiceTarget::Url(address) => format!("{}={}\n", service.name, address.origin()),
        // It has another port in each run.
        ServiceTarget::Builtin(_) => format!("{}=builtin\n", service.name),
    };
    services.iter().filter(|service| service.backend_of.is_none()).map(target).collect()
}
