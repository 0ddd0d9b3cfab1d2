//! `cache:` — the layered caches of a scenario.
//!
//! `compile` reads it before the archetypes, whose steps name the caches.
//! Invariant: what leaves the process is encrypted unless the scenario says otherwise.

use std::path::{Component, Path};
use std::time::Duration;

use crate::cache::MIN_SECRET;
use crate::plan::cache::{CachePlan, CacheSecret, LayerKind, LayerPlan};
use crate::redact::register_secret;
use crate::scenario::nouns::cache::{CACHE, LAYER, MAX_LAYERS};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::names::is_name;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{templates, values};

/// The form of a layer.
const PLACE: &str =
    "`memory`, `redis://HOST:PORT`, `rediss://…`, `postgres://HOST/DATABASE` or `sqlite:FILE`";

/// Maximum caches of a scenario.
const MAX_CACHES: usize = 16;

/// The names of a scenario's caches, also of those with mistakes: steps may name them.
pub(crate) fn names(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| &node.kind) {
        Some(NodeKind::Map(entries)) => entries.iter().map(|(key, _)| key.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Reads the caches of a scenario, with their places.
pub(crate) fn read(
    diagnostics: &mut Diagnostics,
    node: Option<&Node>,
) -> (Vec<CachePlan>, Vec<SourceSpan>) {
    let Some(node) = node else { return (Vec::new(), Vec::new()) };
    let expected = "a map of caches, such as `{ tokens: { layers: [memory], ttl: 1h } }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else {
        return (Vec::new(), Vec::new());
    };
    if entries.len() > MAX_CACHES {
        diagnostics.mistake(node.span, format!("more than {MAX_CACHES} caches"));
    }
    let cache = |(key, node): &(NodeKey, Node)| {
        if !is_name(&key.name) {
            let message = "the name of a cache is part of the names of its entries";
            diagnostics.mistake(key.span, message).expected("letters, digits, `-`, `_` and `.`");
        }
        Some((cache(diagnostics, &key.name, node)?, key.span))
    };
    entries.iter().filter_map(cache).unzip()
}

fn cache(diagnostics: &mut Diagnostics, name: &str, node: &Node) -> Option<CachePlan> {
    let mut fields = Fields::read(diagnostics, node, &CACHE)?;
    let ttl: Option<Duration> = fields.value(diagnostics, "ttl");
    let layers = fields.take("layers");
    let layers = layers.and_then(|node| self::layers(diagnostics, node, ttl.unwrap_or_default()));
    let encrypt = fields.take("encrypt").map(|node| secret(diagnostics, node));
    let mut plan = CachePlan {
        name: name.to_owned(),
        layers: Vec::new(),
        ttl: ttl.unwrap_or_default(),
        secret: None,
        timeout: Duration::from_millis(500),
        retry_after: Duration::from_secs(5),
        wait: Duration::from_secs(30),
        lease: Duration::from_secs(10),
        max_entries: 100_000,
        max_memory: 64 << 20,
    };
    fields.fill(diagnostics, "timeout", &mut plan.timeout);
    fields.fill(diagnostics, "retry_after", &mut plan.retry_after);
    fields.fill(diagnostics, "wait", &mut plan.wait);
    fields.fill(diagnostics, "lease", &mut plan.lease);
    fields.fill(diagnostics, "max_entries", &mut plan.max_entries);
    fields.fill(diagnostics, "max_memory", &mut plan.max_memory);
    fields.finish(diagnostics);
    ttl?;
    plan.layers = layers?;
    match encrypt {
        Some(read) => match read? {
            Encryption::With(secret) => plan.secret = Some(secret),
            Encryption::Off => {}
        },
        None if plan.has_stores() => {
            diagnostics
                .mistake(node.span, format!("cache `{name}` leaves this process unencrypted"))
                .expected("`encrypt: '{{ secret(\"CACHE_KEY\") }}'`, or `encrypt: none`")
                .help("anyone who can read the store can use the logins in it");
            return None;
        }
        None => {}
    }
    Some(plan)
}

/// What a scenario says of encryption.
enum Encryption {
    Off,
    With(CacheSecret),
}

/// Reads the secret of entries.
fn secret(diagnostics: &mut Diagnostics, node: &Node) -> Option<Encryption> {
    let expected = "a secret such as `'{{ secret(\"CACHE_KEY\") }}'`, or `none`";
    let text = templates::constant(diagnostics, node, expected)?;
    if text == "none" {
        return Some(Encryption::Off);
    }
    if text.len() < MIN_SECRET {
        diagnostics
            .mistake(node.span, format!("the secret has fewer than {MIN_SECRET} bytes"))
            .expected("a random secret, such as the output of `openssl rand -base64 32`");
        return None;
    }
    // Also one that was written into the scenario, or came from `env()`.
    let _ = register_secret(&text);
    Some(Encryption::With(CacheSecret::new(text)))
}

fn layers(diagnostics: &mut Diagnostics, node: &Node, ttl: Duration) -> Option<Vec<LayerPlan>> {
    let expected = "a list of layers, such as `[memory, redis://127.0.0.1:6379]`";
    let items = values::list(diagnostics, node, expected)?;
    if items.is_empty() || items.len() > MAX_LAYERS {
        return report_wrong(diagnostics, node, format!("one to {MAX_LAYERS} layers"));
    }
    let mut layers: Vec<LayerPlan> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let layer = layer(diagnostics, item, ttl)?;
        if layer.kind == LayerKind::Memory && at > 0 {
            diagnostics
                .mistake(item.span, "memory is the fastest layer")
                .expected("`memory` as the first layer");
            return None;
        }
        if layers.iter().any(|other| other.place == layer.place && other.kind == layer.kind) {
            diagnostics.mistake(item.span, "this layer is there twice");
            return None;
        }
        let same = layers.iter().filter(|other| other.kind == layer.kind).count();
        let name = layer.kind.name();
        let label = if same == 0 { name.to_owned() } else { format!("{name} {}", same + 1) };
        layers.push(LayerPlan { label, ..layer });
    }
    Some(layers)
}

fn layer(diagnostics: &mut Diagnostics, node: &Node, ttl: Duration) -> Option<LayerPlan> {
    let (at, own) = if let NodeKind::Map(_) = node.kind {
        let mut fields = Fields::read(diagnostics, node, &LAYER)?;
        let at = fields.take("at");
        let own = fields.placed::<Duration>(diagnostics, "ttl");
        fields.finish(diagnostics);
        (at?, own)
    } else {
        (node, None)
    };
    if let Some((span, own)) = own
        && own > ttl
    {
        diagnostics
            .mistake(span, "a layer keeps entries no longer than its cache")
            .expected("at most the cache's `ttl`");
        return None;
    }
    let place = templates::constant(diagnostics, at, PLACE)?;
    let kind = kind(diagnostics, at, &place)?;
    let ttl = own.map_or(ttl, |(_, own)| own);
    Some(LayerPlan { kind, place, label: String::new(), ttl })
}

/// The kind of a layer, by what it is written as; its details are checked, too.
fn kind(diagnostics: &mut Diagnostics, node: &Node, place: &str) -> Option<LayerKind> {
    if place == "memory" {
        return Some(LayerKind::Memory);
    }
    if let Some(path) = place.strip_prefix("sqlite:") {
        return sqlite(diagnostics, node, Path::new(path));
    }
    let Some((scheme, rest)) = place.split_once("://") else {
        return report_wrong(diagnostics, node, PLACE);
    };
    if let Some((credentials, _)) = rest.rsplit_once('@') {
        // A password in the URL of a store is one of the values that no output shows.
        let password = credentials.split_once(':').map_or(credentials, |(_, password)| password);
        let _ = register_secret(password);
    }
    match scheme {
        "redis" | "rediss" => server(diagnostics, node, LayerKind::Redis, cfg!(feature = "redis")),
        "postgres" | "postgresql" => {
            let kind = server(diagnostics, node, LayerKind::Postgres, cfg!(feature = "postgres"))?;
            #[cfg(feature = "postgres")]
            if let Err(error) = crate::store::StorePlace::parse(place) {
                diagnostics.mistake(node.span, error.to_string());
                return None;
            }
            Some(kind)
        }
        _ => report_wrong(diagnostics, node, PLACE),
    }
}

/// A layer that needs a feature of this build.
fn server(
    diagnostics: &mut Diagnostics,
    node: &Node,
    kind: LayerKind,
    is_built: bool,
) -> Option<LayerKind> {
    if !is_built {
        let name = kind.name();
        let feature = if kind == LayerKind::Sqlite { "history" } else { name };
        diagnostics
            .mistake(node.span, format!("this manada was built without {name}"))
            .help(format!("build it with `--features {feature}`, or use other layers"));
        return None;
    }
    Some(kind)
}

/// An SQLite file stays below the working directory: a scenario must not write elsewhere.
fn sqlite(diagnostics: &mut Diagnostics, node: &Node, path: &Path) -> Option<LayerKind> {
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    if path.as_os_str().is_empty() || !is_below {
        diagnostics
            .mistake(node.span, "the file of a cache is below the working directory")
            .expected("a relative path without `..`, such as `sqlite:reports/cache.db`");
        return None;
    }
    server(diagnostics, node, LayerKind::Sqlite, cfg!(feature = "history"))
}
