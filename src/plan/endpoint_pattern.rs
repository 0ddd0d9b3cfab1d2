//! Which endpoints are meant: `POST /login`, `/export/*`, `*`.
//!
//! Pools and limits name endpoints so; [`Endpoints`] are what there is to name.
//! Invariant: of several patterns that match, the one that says most wins, whatever their order.

use super::{Call, Plan};

/// What stands for a slot of a template in an endpoint's path: only `*` matches it.
const SLOT: char = '\u{1}';

/// An endpoint pattern: a method or none, and a path in which `*` stands for anything.
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

    /// How much it says of this endpoint; `None`: it is not meant. More literal characters of the
    /// path say more, a method decides between equals.
    pub fn fits(&self, endpoint: &Endpoint) -> Option<usize> {
        let method = self.method.as_ref().is_none_or(|method| *method == endpoint.method);
        let literal = self.path.chars().filter(|c| *c != '*').count();
        (method && matches(self.path.as_bytes(), endpoint.shape.as_bytes()))
            .then_some(literal * 2 + usize::from(self.method.is_some()))
    }

    /// The one of `patterns` that says most of an endpoint; of equals the first.
    pub fn best<'a, T>(
        patterns: impl Iterator<Item = (&'a Self, T)>,
        endpoint: &Endpoint,
    ) -> Option<T> {
        let mut best: Option<(usize, T)> = None;
        for (pattern, what) in patterns {
            if let Some(says) = pattern.fits(endpoint)
                && best.as_ref().is_none_or(|(most, _)| says > *most)
            {
                best = Some((says, what));
            }
        }
        best.map(|(_, what)| what)
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

/// Whether `text` is as `pattern` says, `*` standing for any bytes, none too.
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

/// Where calls of one kind go: a service, a method and a path without its query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Index into `Plan::services`.
    pub service: usize,
    /// The method, upper case.
    pub method: String,
    /// The path; a slot of it is [`SLOT`].
    shape: String,
}

impl Endpoint {
    /// The endpoint of a call.
    pub fn of(call: &Call) -> Self {
        let path = call.request.path.shape(SLOT);
        let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        Self { service: call.service, method: call.request.method.clone(), shape: path }
    }

    /// Its name for people: slots are `*`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.shape.replace(SLOT, "*"))
    }
}

/// All endpoints of a plan.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Each once.
    pub all: Vec<Endpoint>,
    /// By archetype and call.
    pub of: Vec<Vec<usize>>,
}

/// The most endpoints that are told apart; the rest share the last place.
pub const MAX_ENDPOINTS: usize = 1_024;

impl Endpoints {
    /// Those of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let mut endpoints = Self::default();
        for archetype in &plan.archetypes {
            let places = archetype.calls.iter().map(|call| {
                let endpoint = Endpoint::of(call);
                let known = endpoints.all.iter().position(|known| *known == endpoint);
                known.unwrap_or_else(|| {
                    if endpoints.all.len() < MAX_ENDPOINTS {
                        endpoints.all.push(endpoint);
                    }
                    endpoints.all.len() - 1
                })
            });
            let places = places.collect();
            endpoints.of.push(places);
        }
        endpoints
    }

    /// The name of one, with its service where there are several.
    pub fn name(&self, index: usize, plan: &Plan) -> String {
        let endpoint = &self.all[index];
        if plan.services.len() == 1 {
            return endpoint.name();
        }
        format!("{}: {}", plan.services[endpoint.service].name, endpoint.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: &str, path: &str) -> Endpoint {
        let shape = path.replace("{}", &SLOT.to_string());
        Endpoint { service: 0, method: method.to_owned(), shape }
    }

    #[test]
    fn the_pattern_that_says_most_wins() {
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
            let best =
                EndpointPattern::best(patterns.iter().map(|p| (p, p.to_string())), &endpoint);
            assert_eq!(best.as_deref(), Some(wins), "{method} {path}");
        }
    }

    #[test]
    fn a_slot_is_nothing_but_a_star() {
        let fits =
            |pattern, path| EndpointPattern::parse(pattern).unwrap().fits(&endpoint("GET", path));
        assert!(fits("/a/7", "/a/{}").is_none());
        assert!(fits("/a/*/b", "/a/{}/b").is_some());
        assert!(fits("/a/*/b", "/a/b").is_none());
        assert!(fits("/*a*b", "/xxaxxaxxb").is_some());
    }

    #[test]
    fn what_is_no_pattern() {
        for text in ["", "login", "post /x", "POST", "GET login", "/a b", "/a?b", "GET * x"] {
            assert_eq!(EndpointPattern::parse(text), None, "{text}");
        }
        assert_eq!(EndpointPattern::parse(" GET  /x ").unwrap().to_string(), "GET /x");
    }
}
