//! Limits of a run: allowed hosts, denied requests, maximum load, and when errors stop the run.
//!
//! `scenario` merges it from the scenario and the user's own file; `wire` asks it before it
//! connects, `engine` before it follows redirects and after it renders, `run` during the run.
//! Invariant: of two limits the stricter holds; a metadata service is never contacted.

use std::net::IpAddr;
use std::time::Duration;

use super::address_scope::{self, AddressScope};
use super::allowed_targets::AllowedTargets;
use super::call::{Call, RequestTemplate};
use super::ceilings::Ceilings;
use super::endpoint_pattern;
pub use super::host_pattern::HostPattern;
use crate::redact::SensitiveNames;
use crate::template::Template;
use crate::units::Rate;

/// Maximum users of a trial: load on a public host without explicit authorisation.
pub const TRIAL_USERS: u64 = 10;

/// Maximum starts per second of a trial.
pub const TRIAL_RATE: u64 = 10;

/// The header that identifies the run to its target.
pub const RUN_HEADER: &str = "Manada-Run";

/// All limits of a run.
#[derive(Clone, Debug, Default)]
pub struct Safety {
    /// Lists of allowed hosts, each with its origin; a host has to be in all of them.
    pub hosts: Vec<(Vec<HostPattern>, String)>,
    /// What the agent that executes the plan may connect to; `None`: it has no such list.
    pub allowed: Option<AllowedTargets>,
    /// Public hosts that the user is authorised to load.
    pub authorised: Vec<HostPattern>,
    /// Denied methods, in upper case, with their origin.
    pub methods: Vec<(String, String)>,
    /// Denied paths, with their origin.
    pub paths: Vec<(PathPattern, String)>,
    /// Denied queues, exchanges, topics and channels, in which `*` matches anything, with their
    /// origin.
    pub destinations: Vec<(String, String)>,
    /// Maximum starts per second, with its origin.
    pub max_rate: Option<(Rate, String)>,
    /// Maximum concurrent users, with its origin.
    pub max_users: Option<(u64, String)>,
    /// What the run may use of its machine.
    pub ceilings: Ceilings,
    /// Error rates that stop the run.
    pub error_limits: Vec<ErrorRateLimit>,
    /// Whether the load is small enough for a public host without authorisation.
    pub is_trial: bool,
    /// The value of the header that identifies the run to its target.
    pub run_header: Option<String>,
    /// Names of keys whose values are secret.
    pub names: SensitiveNames,
}

/// A pattern for paths, in which `*` matches anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

/// An error rate that stops a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRateLimit {
    /// Share of failed calls, 0 to 1, that stops the run.
    pub errors: f64,
    /// Over this time.
    pub over: Duration,
    /// Minimum number of calls to judge by.
    pub min_calls: u64,
    /// Origin of the error rate limit.
    pub origin: String,
}

impl ErrorRateLimit {
    /// The default for targets on other machines.
    pub fn usual() -> Self {
        let origin = "the built-in limit".to_owned();
        Self { errors: 0.95, over: Duration::from_secs(30), min_calls: 100, origin }
    }
}

impl PathPattern {
    /// Reads a pattern such as `/admin/*`.
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with(['/', '*']).then(|| Self(text.to_owned()))
    }

    /// Whether the pattern matches a path, in any spelling; the query is ignored.
    pub fn matches(&self, target: &str) -> bool {
        let path = normalize_path(target);
        let folder = self.0.strip_suffix("/*").filter(|folder| !folder.is_empty());
        endpoint_pattern::matches(self.0.as_bytes(), &path)
            || folder.is_some_and(|own| endpoint_pattern::matches(own.as_bytes(), &path))
    }
}

/// Normalizes a path as a server would: percent-decoded, without empty and dot segments.
fn normalize_path(target: &str) -> Vec<u8> {
    let path = target.split(['?', '#']).next().unwrap_or_default().as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(path.len()), 0);
    while at < path.len() {
        let digits = path.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte.filter(|_| path[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(path[at]);
                at += 1;
            }
        }
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let ends_open = decoded.ends_with(b"/");
    for segment in decoded.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut out: Vec<u8> = segments.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
    if ends_open || out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Returns the advice for a refused public host.
fn advice(host: &str) -> String {
    format!("if you may load it, use `--authorised {host}`")
}

impl Safety {
    /// Returns why a connection to `ip`, to which `name` resolved, is refused; `None` if it is
    /// allowed.
    pub fn refusal(&self, name: &str, ip: IpAddr) -> Option<String> {
        let name = &address_scope::normalize_host(name);
        if AddressScope::from_ip(ip) == AddressScope::Metadata
            || AddressScope::from_host(name) == Some(AddressScope::Metadata)
        {
            return Some(format!("{} is a cloud metadata service", describe(name, Some(ip))));
        }
        for (list, by) in &self.hosts {
            if !list.iter().any(|host| host.has_name(name) || host.has_address(ip)) {
                let place = describe(name, Some(ip));
                return Some(format!("{place} is not among the hosts that {by} allows"));
            }
        }
        let public = AddressScope::from_ip(ip) == AddressScope::Public;
        (public && !self.may_be_public(name, Some(ip)))
            .then(|| format!("{} is a public address: {}", describe(name, Some(ip)), advice(name)))
    }

    /// Returns why a host is refused by its name; `None` if it is allowed, or if only its address
    /// can tell. `final_word`: a proxy resolves the name, so its address will never be known here.
    pub fn refusal_by_name(&self, host: &str, final_word: bool) -> Option<String> {
        let name = &address_scope::normalize_host(host);
        if let Ok(ip) = name.parse() {
            return self.refusal(name, ip);
        }
        let known = AddressScope::from_host(name);
        if known == Some(AddressScope::Metadata) {
            return Some(format!("{name} is a cloud metadata service"));
        }
        for (list, by) in &self.hosts {
            let open = !final_word && list.iter().any(|host| matches!(host, HostPattern::Net(..)));
            if !open && !list.iter().any(|host| host.has_name(name)) {
                return Some(format!("{name} is not among the hosts that {by} allows"));
            }
        }
        if self.may_be_public(name, None) {
            return None;
        }
        if let Some(label) = address_scope::live_label(name) {
            let suspicion = format!("{name} looks like a production host (`{label}`)");
            return Some(format!("{suspicion}: {}", advice(name)));
        }
        let unknown = final_word && known.is_none() && !address_scope::is_private_name(name);
        unknown.then(|| format!("{name} may be a public host: {}", advice(name)))
    }

    /// Returns why a request is denied; `None` if it is allowed. `path` is the whole path at the
    /// target.
    pub fn denial(&self, method: &str, path: &str) -> Option<String> {
        self.method_denial(method).or_else(|| self.path_denial(path))
    }

    /// Returns why a request is denied below one of these prefixes, as far as its template says:
    /// a path that is rendered is checked by then.
    pub fn denial_of(&self, request: &RequestTemplate, prefixes: &[String]) -> Option<String> {
        let path = request.path.as_static().and_then(|path| std::str::from_utf8(path).ok());
        let Some(path) = path else { return self.method_denial(&request.method) };
        let below = |prefix: &String| self.denial(&request.method, &format!("{prefix}{path}"));
        prefixes.iter().find_map(below)
    }

    /// Returns why a method is denied.
    pub fn method_denial(&self, method: &str) -> Option<String> {
        let (_, by) = self.methods.iter().find(|(own, _)| own == method)?;
        Some(format!("{by} denies {method}"))
    }

    /// Returns why a path is denied.
    pub fn path_denial(&self, path: &str) -> Option<String> {
        let (pattern, by) = self.paths.iter().find(|(glob, _)| glob.matches(path))?;
        Some(format!("{by} denies {}", pattern.0))
    }

    /// Returns why a queue, exchange, topic or channel is denied.
    pub fn destination_denial(&self, name: &[u8]) -> Option<String> {
        let matches = |pattern: &str| endpoint_pattern::matches(pattern.as_bytes(), name);
        let (pattern, by) = self.destinations.iter().find(|(pattern, _)| matches(pattern))?;
        Some(format!("{by} denies {pattern}"))
    }

    /// Returns why a call of another protocol than HTTP is denied, by its first word or by what it
    /// names; a name that is rendered is checked by then.
    pub fn denial_of_call(&self, call: &Call) -> Option<String> {
        let of_name = || {
            let names = call.destinations().into_iter().filter_map(Template::as_static);
            names.into_iter().find_map(|name| self.destination_denial(name))
        };
        let of_exchange = || self.destination_denial(call.exchange()?.as_bytes());
        self.method_denial(&call.request.method).or_else(of_name).or_else(of_exchange)
    }

    /// Whether paths have to be checked after rendering.
    pub fn has_denied_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether load may go to `host` only because it is small, judged by the host's name.
    pub fn is_trial_target(&self, host: &str) -> bool {
        let name = &address_scope::normalize_host(host);
        let ip = name.parse::<IpAddr>().ok();
        let private = match ip {
            Some(ip) => AddressScope::from_ip(ip) != AddressScope::Public,
            None => {
                address_scope::is_private_name(name) && address_scope::live_label(name).is_none()
            }
        };
        self.is_trial
            && !private
            && !Self { is_trial: false, ..self.clone() }.may_be_public(name, ip)
    }

    fn may_be_public(&self, name: &str, ip: Option<IpAddr>) -> bool {
        let known =
            |host: &HostPattern| host.has_name(name) || ip.is_some_and(|ip| host.has_address(ip));
        self.is_trial || self.authorised.iter().any(known)
    }
}

fn describe(name: &str, ip: Option<IpAddr>) -> String {
    match ip {
        Some(ip) if name.parse() != Ok(ip) => format!("{name} ({ip})"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
#[path = "safety_tests.rs"]
mod tests;
