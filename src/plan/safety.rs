//! Where load may go, what may not be asked, how much is too much, and when enough is enough.
//!
//! `scenario` merges it from the scenario and the user's own file; `wire` asks it before it
//! connects, `engine` before it follows or renders, `run` while it goes on.
//! Invariant: of two limits the stricter holds; a metadata service is never reached.

use std::net::IpAddr;
use std::time::Duration;

use super::address_scope::{self, AddressScope};
use super::endpoint_pattern;
use crate::redact::SensitiveNames;
use crate::units::Rate;

/// The most users with which a public host may be tried without an explicit word.
pub const TRIAL_USERS: u64 = 10;

/// And the most starts per second.
pub const TRIAL_RATE: u64 = 10;

/// All limits of a run.
#[derive(Clone, Debug, Default)]
pub struct Safety {
    /// Lists of hosts, each with who made it: a host has to be in all of them.
    pub hosts: Vec<(Vec<HostPattern>, String)>,
    /// Public hosts that somebody answers for.
    pub authorised: Vec<HostPattern>,
    /// Methods that are not made, in upper case, and who said so.
    pub methods: Vec<(String, String)>,
    /// Paths that are not asked for, and who said so.
    pub paths: Vec<(PathPattern, String)>,
    /// The most starts per second, and who said so.
    pub max_rate: Option<(Rate, String)>,
    /// The most users at once, and who said so.
    pub max_users: Option<(u64, String)>,
    /// What stops the run.
    pub storms: Vec<ErrorRateLimit>,
    /// The load is so small that a public host may be tried with it.
    pub trial: bool,
    /// The value of the header that names the run to its target.
    pub mark: Option<String>,
    /// Names of keys whose values are credentials.
    pub names: SensitiveNames,
}

/// Hosts by name or by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// A name, `*` standing for anything; in lower case.
    Name(String),
    /// A network: its first address and how many bits of it count.
    Net(IpAddr, u8),
}

/// Paths, `*` standing for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

/// Errors that stop a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRateLimit {
    /// The share of calls that failed, from which on it is one.
    pub errors: f64,
    /// Over so long.
    pub over: Duration,
    /// Of at least so many calls.
    pub min_calls: u64,
    /// Who said so.
    pub by: String,
}

impl ErrorRateLimit {
    /// What holds where nothing else is said and the target is not on this machine.
    pub fn usual() -> Self {
        let by = "the built-in limit".to_owned();
        Self { errors: 0.95, over: Duration::from_secs(30), min_calls: 100, by }
    }
}

impl HostPattern {
    /// Reads `*.staging.example`, `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = address_scope::normal(text.trim());
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().ok()?)),
            None => (text.as_str(), None),
        };
        if let Ok(ip) = base.parse::<IpAddr>() {
            let all = if ip.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(all);
            return (bits <= all).then_some(Self::Net(ip, bits));
        }
        let of_name = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
        let is_name = bits.is_none() && !text.is_empty() && text.chars().all(of_name);
        is_name.then_some(Self::Name(text))
    }

    fn has_name(&self, name: &str) -> bool {
        matches!(self, Self::Name(pattern) if endpoint_pattern::matches(pattern.as_bytes(), name.as_bytes()))
    }

    fn has_address(&self, ip: IpAddr) -> bool {
        let Self::Net(base, bits) = *self else { return false };
        let same = |a: u128, b: u128, width: u32| {
            let shift = width - u32::from(bits);
            shift >= 128 || a >> shift == b >> shift
        };
        match (base, ip, address_scope::plain(ip)) {
            (IpAddr::V4(a), _, IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b), _) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

impl PathPattern {
    /// Reads a pattern such as `/admin/*`.
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with(['/', '*']).then(|| Self(text.to_owned()))
    }

    /// Whether it stands for a path, however that is written; its query does not matter.
    pub fn matches(&self, target: &str) -> bool {
        let path = plain_path(target);
        let folder = self.0.strip_suffix("/*").filter(|folder| !folder.is_empty());
        endpoint_pattern::matches(self.0.as_bytes(), &path)
            || folder.is_some_and(|own| endpoint_pattern::matches(own.as_bytes(), &path))
    }
}

/// A path as a server would understand it: percent-decoded, without empty and dot segments.
fn plain_path(target: &str) -> Vec<u8> {
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

/// What to do about a refusal.
fn word(host: &str) -> String {
    format!("if you may load it, say `--authorised {host}`")
}

impl Safety {
    /// Why no connection may go to `ip`, which `name` leads to; `None`: it may.
    pub fn refuses(&self, name: &str, ip: IpAddr) -> Option<String> {
        let name = &address_scope::normal(name);
        if AddressScope::of(ip) == AddressScope::Metadata
            || AddressScope::of_host(name) == Some(AddressScope::Metadata)
        {
            return Some(format!("{} is a cloud's metadata service", place(name, Some(ip))));
        }
        for (list, by) in &self.hosts {
            if !list.iter().any(|host| host.has_name(name) || host.has_address(ip)) {
                let place = place(name, Some(ip));
                return Some(format!("{place} is not among the hosts that {by} allows"));
            }
        }
        let public = AddressScope::of(ip) == AddressScope::Public;
        (public && !self.may_be_public(name, Some(ip)))
            .then(|| format!("{} is a public address: {}", place(name, Some(ip)), word(name)))
    }

    /// Why a host may not be asked for, as far as its name tells; `None`: it may, or only a look-up
    /// will tell. `final_word`: nobody here will look it up, a proxy does.
    pub fn refuses_name(&self, host: &str, final_word: bool) -> Option<String> {
        let name = &address_scope::normal(host);
        if let Ok(ip) = name.parse() {
            return self.refuses(name, ip);
        }
        let known = AddressScope::of_host(name);
        if known == Some(AddressScope::Metadata) {
            return Some(format!("{name} is a cloud's metadata service"));
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
            let smell = format!("{name} smells of production (`{label}`)");
            return Some(format!("{smell}: {}", word(name)));
        }
        let unknown = final_word && known.is_none() && !address_scope::is_private_name(name);
        unknown.then(|| format!("{name} may be a public host: {}", word(name)))
    }

    /// Why a request is not made; `None`: it may be. `path` is the target's whole path.
    pub fn denies(&self, method: &str, path: &str) -> Option<String> {
        self.denies_method(method).or_else(|| self.denies_path(path))
    }

    /// The same of a request whose path is not known yet.
    pub fn denies_method(&self, method: &str) -> Option<String> {
        let (_, by) = self.methods.iter().find(|(own, _)| own == method)?;
        Some(format!("{by} denies {method}"))
    }

    /// The same of one whose method may be made.
    pub fn denies_path(&self, path: &str) -> Option<String> {
        let (pattern, by) = self.paths.iter().find(|(glob, _)| glob.matches(path))?;
        Some(format!("{by} denies {}", pattern.0))
    }

    /// Whether a path that is only known when it is rendered has to be looked at.
    pub fn looks_at_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether only the smallness of the load lets it go to `host`, as far as its name tells.
    pub fn is_on_trial(&self, host: &str) -> bool {
        let name = &address_scope::normal(host);
        let ip = name.parse::<IpAddr>().ok();
        let private = match ip {
            Some(ip) => AddressScope::of(ip) != AddressScope::Public,
            None => {
                address_scope::is_private_name(name) && address_scope::live_label(name).is_none()
            }
        };
        self.trial && !private && !Self { trial: false, ..self.clone() }.may_be_public(name, ip)
    }

    fn may_be_public(&self, name: &str, ip: Option<IpAddr>) -> bool {
        let known =
            |host: &HostPattern| host.has_name(name) || ip.is_some_and(|ip| host.has_address(ip));
        self.trial || self.authorised.iter().any(known)
    }
}

fn place(name: &str, ip: Option<IpAddr>) -> String {
    match ip {
        Some(ip) if name.parse() != Ok(ip) => format!("{name} ({ip})"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
#[path = "safety_tests.rs"]
mod tests;
