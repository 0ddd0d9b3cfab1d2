//! The URLs of a hit: origins, paths, step names.
//!
//! Invariant: no name contains a query, because queries may hold credentials.

use crate::plan::Address;
use crate::scenario::service::url::{parse_service_url, parse_url};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::template::{Encoding, Template};

/// Maximum distinct URLs of a hit, because each shard prepares each one, and a draw passes over
/// all of them.
pub(crate) const MAX_URLS: usize = 1_000;

/// All targets of a hit.
#[derive(Debug)]
pub(crate) struct HitTargets {
    /// The distinct origins, with the names of their services.
    pub origins: Vec<(String, Address)>,
    /// The names of the steps.
    pub names: Vec<String>,
    /// The distinct URLs.
    pub list: Vec<HitTarget>,
}

/// A URL.
#[derive(Debug)]
pub(crate) struct HitTarget {
    /// Index into [`HitTargets::origins`].
    pub origin: usize,
    /// Path and query.
    pub path: Template,
    /// Index into [`HitTargets::names`].
    pub series: u16,
    /// How many times the URL was given.
    pub weight: f64,
}

/// Parses the URLs; `None` if one is invalid or there are too many, which is reported.
pub(crate) fn targets(
    diagnostics: &mut Diagnostics,
    urls: &[String],
    method: &str,
) -> Option<HitTargets> {
    // Each once, in order of first occurrence.
    let mut weighted: Vec<(&str, f64)> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for url in urls {
        let index = *known.entry(url.as_str()).or_insert(weighted.len());
        match weighted.get_mut(index) {
            Some((_, count)) => *count += 1.0,
            None => weighted.push((url, 1.0)),
        }
    }
    if weighted.is_empty() || weighted.len() > MAX_URLS {
        let message = match weighted.len() {
            0 => "no URL".to_owned(),
            count => format!("{count} different URLs"),
        };
        diagnostics
            .global_mistake("URL", message)
            .expected(format!("1 to {MAX_URLS} different URLs"))
            .help("for more, write a scenario that takes its paths from `data:`");
        return None;
    }
    let mut origins: Vec<(String, Address)> = Vec::new();
    let mut parts = Vec::new();
    for (url, weight) in weighted {
        let (address, rest) = split(diagnostics, url)?;
        let origin =
            origins.iter().position(|(_, known)| *known == address).unwrap_or(origins.len());
        if origin == origins.len() {
            origins.push((address.authority(), address));
        }
        parts.push((origin, rest, weight));
    }
    if let [(name, _)] = origins.as_mut_slice() {
        "target".clone_into(name);
    }
    let several = origins.len() > 1;
    let (mut names, mut list) = (Vec::new(), Vec::new());
    for (origin, rest, weight) in parts {
        let bare = truncate(rest.split('?').next().unwrap_or(&rest));
        let host = if several { origins[origin].1.origin() } else { String::new() };
        let name = format!("{method} {host}{bare}");
        let series = names.iter().position(|known| *known == name).unwrap_or(names.len());
        if series == names.len() {
            names.push(name);
        }
        let path = Template::encoded(&rest, Encoding::Url).ok()?;
        list.push(HitTarget { origin, path, series: u16::try_from(series).ok()?, weight });
    }
    Some(HitTargets { origins, names, list })
}

/// Splits a URL into its origin, and its path with query.
fn split(diagnostics: &mut Diagnostics, url: &str) -> Option<(Address, String)> {
    // As in browsers and curl: no scheme means http, and a fragment is never sent.
    let plain = url.split('#').next().unwrap_or(url);
    let full = if plain.contains("://") { plain.to_owned() } else { format!("http://{plain}") };
    let from = full.find("://").map_or(0, |at| at + 3);
    let origin_end = full[from..].find(['/', '?']).map_or(full.len(), |at| from + at);
    let (origin, rest) = full.split_at(origin_end);
    let is_grpc = ["grpc://", "grpcs://"].iter().any(|scheme| origin.starts_with(scheme));
    let parsed = if is_grpc {
        parse_service_url(origin).map(|(address, _)| address)
    } else {
        parse_url(origin)
    };
    match parsed {
        Ok(address) => {
            let slash = if rest.starts_with('/') { "" } else { "/" };
            Some((address, format!("{slash}{rest}")))
        }
        Err(problem) => {
            diagnostics
                .global_mistake("URL", format!("`{}` {problem}", truncate(url)))
                .expected("a URL such as http://127.0.0.1:8080/products?page=1");
            None
        }
    }
}
