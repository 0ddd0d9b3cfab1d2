//! Endpoints and the patterns that select them: `POST /login`, `/export/*`, `*`.
//!
//! Pools and limits select endpoints by pattern; [`Endpoints`] lists those of a plan.
//! Invariant: of several matching patterns the most specific one wins, whatever their order.

use super::stream::{StreamAct, StreamStep};
use super::{Archetype, Call, Plan};
use crate::ids::{EndpointId, ServiceId};

/// Stands for a template's slot in an endpoint's path; only `*` matches it.
const SLOT: char = '\u{1}';

/// An endpoint pattern: an optional method, and a path in which `*` matches any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPattern {
    method: Option<String>,
    path: String,
}

impl EndpointPattern {
    /// Reads `[METHOD ]PATH`, where PATH is `*` or begins with `/`.
    pub fn parse(text: &str) -> Option<Self> {
        let (method, path) = match text.trim().split_once(char::is_whitespace) {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, text.trim()),
        };
        let is_method = |method: &str| method.chars().all(|c| c.is_ascii_uppercase());
        let is_path = path == "*" || path.starts_with('/');
        let is_plain = path.chars().all(|c| c.is_ascii_graphic()) && !path.contains(['?', '#']);
        (is_path && is_plain && method.is_none_or(is_method))
            .then(|| Self { method: method.map(str::to_owned), path: path.to_owned() })
    }

    /// Returns how specific the pattern is for `endpoint`, `None` if it does not match. More
    /// literal characters of the path are more specific; a method decides between equals.
    pub fn specificity(&self, endpoint: &Endpoint) -> Option<usize> {
        let method = self.method.as_ref().is_none_or(|method| *method == endpoint.method);
        let literal = self.path.chars().filter(|c| *c != '*').count();
        (method && matches(self.path.as_bytes(), endpoint.shape.as_bytes()))
            .then_some(literal * 2 + usize::from(self.method.is_some()))
    }

    /// Returns the value of the most specific matching pattern; of equals the first.
    pub fn most_specific<'a, T>(
        patterns: impl Iterator<Item = (&'a Self, T)>,
        endpoint: &Endpoint,
    ) -> Option<T> {
        let mut most_specific: Option<(usize, T)> = None;
        for (pattern, value) in patterns {
            if let Some(specificity) = pattern.specificity(endpoint)
                && most_specific.as_ref().is_none_or(|(most, _)| specificity > *most)
            {
                most_specific = Some((specificity, value));
            }
        }
        most_specific.map(|(_, value)| value)
    }
}

impl std::fmt::Display for EndpointPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// Whether `text` matches `pattern`, where `*` matches any bytes, also none.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// An endpoint: a service, a method and a path without its query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Service of the endpoint.
    pub service: ServiceId,
    /// The method, upper case.
    pub method: String,
    /// The path, with [`SLOT`] for each slot of its template.
    shape: String,
}

impl Endpoint {
    /// Builds the endpoint of a call.
    pub fn from_call(call: &Call) -> Self {
        let path = call.request.path.shape(SLOT);
        let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        Self { service: call.service, method: call.request.method.clone(), shape: path }
    }

    /// Returns its display name, with `*` for slots.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.shape.replace(SLOT, "*"))
    }
}

/// All endpoints of a plan.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// The distinct endpoints.
    pub all: Vec<Endpoint>,
    /// The endpoint of each call, by archetype.
    pub by_call: Vec<Vec<EndpointId>>,
}

/// Maximum distinct endpoints; further ones share the last index.
pub const MAX_ENDPOINTS: usize = 1_024;

impl Endpoints {
    /// Collects the endpoints of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let mut endpoints = Self::default();
        for archetype in &plan.archetypes {
            let indices = archetype.calls.iter().map(|call| {
                let endpoint = Endpoint::from_call(opener(archetype, call));
                let known = endpoints.all.iter().position(|known| *known == endpoint);
                EndpointId::new(known.unwrap_or_else(|| {
                    if endpoints.all.len() < MAX_ENDPOINTS {
                        endpoints.all.push(endpoint);
                    }
                    endpoints.all.len() - 1
                }))
            });
            let indices = indices.collect();
            endpoints.by_call.push(indices);
        }
        endpoints
    }

    /// Returns the display name of an endpoint, with its service if the plan has several.
    pub fn name(&self, id: EndpointId, plan: &Plan) -> String {
        let endpoint = &self.all[id];
        if plan.services.len() == 1 {
            return endpoint.name();
        }
        format!("{}: {}", plan.services[endpoint.service].name, endpoint.name())
    }
}

/// The call whose request stands for `call`: a step that uses a stream makes none, so that its
/// endpoint is the one of the step that opens the stream.
fn opener<'a>(archetype: &'a Archetype, call: &'a Call) -> &'a Call {
    let opens = |call: &Call| match call.stream.as_deref() {
        Some(StreamStep { stream, act: StreamAct::Open(_) }) => Some(*stream),
        _ => None,
    };
    match call.stream.as_deref() {
        Some(step) if opens(call).is_none() => {
            let mut calls = archetype.calls.iter();
            calls.find(|call| opens(call) == Some(step.stream)).unwrap_or(call)
        }
        _ => call,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: &str, path: &str) -> Endpoint {
        let shape = path.replace("{}", &SLOT.to_string());
        Endpoint { service: ServiceId::default(), method: method.to_owned(), shape }
    }

    #[test]
    fn most_specific_pattern_wins() {
        let patterns = ["*", "/export/*", "POST /login", "/login", "GET /export/*", "/export/all"];
        let patterns = patterns.map(|text| EndpointPattern::parse(text).unwrap());
        for (method, path, wins) in [
            ("GET", "/", "*"),
            ("POST", "/login", "POST /login"),
            ("GET", "/login", "/login"),
            ("GET", "/login/x", "*"),
            ("POST", "/export/{}", "/export/*"),
            ("GET", "/export/{}", "GET /export/*"),
            ("GET", "/export/all", "/export/all"),
            ("GET", "/{}/all", "*"),
        ] {
            let endpoint = endpoint(method, path);
            let most_specific = EndpointPattern::most_specific(
                patterns.iter().map(|p| (p, p.to_string())),
                &endpoint,
            );
            assert_eq!(most_specific.as_deref(), Some(wins), "{method} {path}");
        }
    }

    #[test]
    fn only_a_star_matches_a_slot() {
        let specificity = |pattern, path| {
            EndpointPattern::parse(pattern).unwrap().specificity(&endpoint("GET", path))
        };
        assert!(specificity("/a/7", "/a/{}").is_none());
        assert!(specificity("/a/*/b", "/a/{}/b").is_some());
        assert!(specificity("/a/*/b", "/a/b").is_none());
        assert!(specificity("/*a*b", "/xxaxxaxxb").is_some());
    }

    #[test]
    fn malformed_patterns_are_rejected() {
        for text in ["", "login", "post /x", "POST", "GET login", "/a b", "/a?b", "GET * x"] {
            assert_eq!(EndpointPattern::parse(text), None, "{text}");
        }
        assert_eq!(EndpointPattern::parse(" GET  /x ").unwrap().to_string(), "GET /x");
    }
}
