//! Field tables of `cache:`.
//!
//! `scenario::cache` reads them; the steps that use a cache are in `steps`.
//! Invariant: a cache has layers and a time to live; all else has a default.

use crate::scenario::nouns::noun::ValueShape::{
    Count, Duration, List, OneOf, PositiveDuration, Size, Table, Template,
};
use crate::scenario::nouns::noun::{EMPTY, Noun, key};

/// Maximum layers of a cache.
pub(crate) const MAX_LAYERS: usize = 4;

pub(crate) static CACHE: Noun = Noun {
    id: "cache",
    title: "a cache",
    about: "Captured values that users share: in this process, and over processes and runs.",
    form: "a cache such as `{ layers: [memory], ttl: 1h }`",
    groups: &[&[
        key(
            "layers",
            List(1, Some(MAX_LAYERS), &OneOf(&[Template, Table(&LAYER)])),
            "Where entries are, fastest first: `memory`, which can only be the first, the URL of a \
             Redis or PostgreSQL server, or `sqlite:FILE`.",
        )
        .needs("a list of layers, such as `[memory, redis://127.0.0.1:6379]`"),
        key("ttl", PositiveDuration, "An older entry is not used.").needs("a duration such as 1h"),
        key(
            "encrypt",
            Template,
            "Secret of at least 16 bytes that entries outside of the process are encrypted with, \
             such as `{{ secret(\"CACHE_KEY\") }}`; `none`: they are not encrypted. Needed with \
             any layer but memory.",
        ),
        key("timeout", PositiveDuration, "A layer that takes longer to answer is passed by.")
            .default("500ms"),
        key(
            "retry_after",
            PositiveDuration,
            "How long a layer that failed three times in a row is left alone.",
        )
        .default("5s"),
        key("wait", PositiveDuration, "Longest wait for another user that runs the steps.")
            .default("30s"),
        key(
            "lease",
            Duration,
            "How long other processes wait for the one that runs the steps, by a lease in the \
             first Redis layer; `0s`: they do not wait.",
        )
        .default("10s"),
        key("max_entries", Count(1, 10_000_000), "Maximum entries in memory.").default("100000"),
        key("max_memory", Size, "Maximum bytes of entries in memory.").default("64MiB"),
    ]],
    ..EMPTY
};

pub(crate) static LAYER: Noun = Noun {
    id: "cache_layer",
    title: "a layer",
    about: "A layer of a cache.",
    form: "a layer such as `{ at: memory, ttl: 5m }`",
    groups: &[&[
        key("at", Template, "`memory`, the URL of a server, or `sqlite:FILE`.")
            .needs("`memory`, a URL, or `sqlite:FILE`"),
        key(
            "ttl",
            PositiveDuration,
            "How long this layer keeps an entry, at most the cache's `ttl`.",
        )
        .otherwise("the cache's"),
    ]],
    ..EMPTY
};
