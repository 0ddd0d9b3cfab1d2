//! A user's cookies: RFC 6265 §5 without a list of public suffixes.
//!
//! `engine` keeps a jar for each user that has received a cookie, and takes the Cookie header from
//! it.
//! Invariant: what a target sends is hostile: a jar holds at most [`MAX_COOKIES`], of one domain at
//! most [`MAX_OF_DOMAIN`], none longer than [`MAX_LENGTH`]; the oldest ones are removed first.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::{self, Time};
use crate::extract::text_of;
use crate::ids::ServiceId;
use crate::wire::cookie::date;

/// Maximum cookies of one user.
pub const MAX_COOKIES: usize = 300;
/// Maximum cookies of one domain.
pub const MAX_OF_DOMAIN: usize = 50;
/// Maximum octets of a cookie's name and value together (RFC 6265bis §5.6).
pub const MAX_LENGTH: usize = 4 << 10;
/// Maximum octets of an attribute's value; a longer one is ignored (RFC 6265bis §5.6).
const MAX_ATTRIBUTE: usize = 1 << 10;

/// A request's destination, as far as cookies depend on it.
#[derive(Clone, Copy, Debug)]
pub struct CookieOrigin<'a> {
    /// Host of the request.
    pub host: &'a str,
    /// Request target: path and query.
    pub target: &'a str,
    /// Whether the request goes over TLS.
    pub secure: bool,
}

/// The cookies of one user.
#[derive(Debug, Default)]
pub struct CookieJar {
    /// In the order in which they were first set.
    cookies: Vec<Cookie>,
    /// The backend that the last call to a service went to, if cookies decide that.
    backends: Vec<(ServiceId, usize)>,
}

#[derive(Debug)]
struct Cookie {
    /// Octets as received, even if they are not UTF-8.
    name: Vec<u8>,
    value: Vec<u8>,
    /// Lower case.
    domain: String,
    /// Sent only to the host that set it.
    host_only: bool,
    path: Vec<u8>,
    secure: bool,
    until: Time,
}

/// The attributes of a Set-Cookie; the last one of a name counts.
#[derive(Default)]
struct Attributes<'a> {
    domain: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    max_age: Option<i64>,
    /// Seconds since 1970.
    expires: Option<i64>,
    secure: bool,
}

impl CookieJar {
    /// Notes the backend that a call to a service went to.
    pub fn set_backend(&mut self, service: ServiceId, backend: usize) {
        match self.backends.iter_mut().find(|(of, _)| *of == service) {
            Some((_, known)) => *known = backend,
            None => self.backends.push((service, backend)),
        }
    }

    /// Returns the backend that the last call to a service went to.
    pub fn backend(&self, service: ServiceId) -> Option<usize> {
        self.backends.iter().find(|(of, _)| *of == service).map(|(_, backend)| *backend)
    }

    /// Whether the jar has no cookies.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The number of cookies.
    pub fn len(&self) -> usize {
        self.cookies.len()
    }

    /// Stores the cookies that a response from `origin` sets; `head` is its header block.
    pub fn take_set_cookies(&mut self, head: &[u8], origin: CookieOrigin<'_>, now: Time) {
        for value in set_cookies(head) {
            self.set(value, origin, now);
        }
    }

    /// Stores one Set-Cookie (RFC 6265 §5.3).
    fn set(&mut self, text: &[u8], origin: CookieOrigin<'_>, now: Time) {
        let Some((name, value)) = pair(text) else { return };
        let attributes = Attributes::read(text);
        let Some(cookie) = attributes.cookie(name, value, origin, now) else { return };
        let same = |other: &Cookie| {
            (&other.name, &other.domain, &other.path)
                == (&cookie.name, &cookie.domain, &cookie.path)
        };
        let before = self.cookies.iter().position(same);
        if cookie.until <= now {
            if let Some(before) = before {
                self.cookies.remove(before);
            }
        } else if let Some(before) = before {
            self.cookies[before] = cookie;
        } else {
            self.make_room(&cookie.domain, now);
            self.cookies.push(cookie);
        }
    }

    fn make_room(&mut self, domain: &str, now: Time) {
        let own = |cookie: &Cookie| cookie.domain == domain;
        if self.cookies.len() < MAX_OF_DOMAIN {
            return;
        }
        self.cookies.retain(|cookie| cookie.until > now);
        if self.cookies.iter().filter(|cookie| own(cookie)).count() >= MAX_OF_DOMAIN
            && let Some(oldest) = self.cookies.iter().position(own)
        {
            self.cookies.remove(oldest);
        }
        if self.cookies.len() >= MAX_COOKIES {
            self.cookies.remove(0);
        }
    }

    /// Returns the value of a request's Cookie header (RFC 6265 §5.4): longer paths first, then
    /// older cookies. `None` if there is nothing to send.
    pub fn header(&self, origin: CookieOrigin<'_>, now: Time) -> Option<Vec<u8>> {
        let path = path_of(origin.target).as_bytes();
        let mut fitting: Vec<&Cookie> = self.of_host(origin, now).collect();
        fitting.retain(|cookie| path_matches(path, &cookie.path));
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> =
            fitting.iter().map(|cookie| [&*cookie.name, b"=", &*cookie.value].concat()).collect();
        (!pairs.is_empty()).then(|| pairs.join(&b"; "[..]))
    }

    /// Returns name and value of all cookies of a host, whatever their path.
    pub fn pairs(&self, origin: CookieOrigin<'_>, now: Time) -> Vec<(String, String)> {
        let text = |octets: &[u8]| text_of(octets).into_owned();
        let pair = |cookie: &Cookie| (text(&cookie.name), text(&cookie.value));
        self.of_host(origin, now).map(pair).collect()
    }

    fn of_host<'j>(
        &'j self,
        origin: CookieOrigin<'_>,
        now: Time,
    ) -> impl Iterator<Item = &'j Cookie> {
        let host = origin.host.to_ascii_lowercase();
        self.cookies.iter().filter(move |cookie| {
            let here = if cookie.host_only {
                host == cookie.domain
            } else {
                domain_matches(&host, &cookie.domain)
            };
            here && (origin.secure || !cookie.secure) && cookie.until > now
        })
    }
}

impl<'a> Attributes<'a> {
    fn read(text: &'a [u8]) -> Self {
        let mut read = Self::default();
        for attribute in text.split(|&byte| byte == b';').skip(1) {
            let (name, value) = split_once(attribute).unwrap_or((attribute, b""));
            let value = value.trim_ascii();
            if value.len() > MAX_ATTRIBUTE {
                continue;
            }
            match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"domain" => {
                    let value = value.strip_prefix(b".").unwrap_or(value);
                    read.domain = (!value.is_empty()).then_some(value);
                }
                b"path" => read.path = value.starts_with(b"/").then_some(value),
                b"max-age" => read.max_age = max_age(value).or(read.max_age),
                b"expires" => read.expires = date::parse(value).or(read.expires),
                b"secure" => read.secure = true,
                _ => {}
            }
        }
        read
    }

    /// Returns the cookie that they define; `None` if `origin` may not set it.
    fn cookie(
        self,
        name: &[u8],
        value: &[u8],
        origin: CookieOrigin<'_>,
        now: Time,
    ) -> Option<Cookie> {
        let host = origin.host.to_ascii_lowercase();
        // A domain that is not UTF-8 is no host's name.
        let domain = match self.domain.map(std::str::from_utf8) {
            Some(domain) => Some(domain.ok()?.to_ascii_lowercase()),
            None => None,
        };
        let host_only = domain.as_ref().is_none_or(|domain| *domain == host && !host.contains('.'))
            || host.parse::<IpAddr>().is_ok();
        match &domain {
            Some(domain) if *domain == host => {}
            // A single label is a whole top-level domain, even with the dot of the root after it.
            Some(domain) if !domain.trim_end_matches('.').contains('.') => return None,
            Some(domain) if !domain_matches(&host, domain) => return None,
            _ => {}
        }
        // As in browsers: a plain-HTTP origin sets no secure cookie, and the prefixes are enforced.
        let of_host = name.starts_with(b"__Host-");
        let prefixed = of_host || name.starts_with(b"__Secure-");
        if (self.secure && !origin.secure) || (prefixed && !self.secure) {
            return None;
        }
        if of_host && (self.domain.is_some() || self.path != Some(b"/")) {
            return None;
        }
        let until = match (self.max_age, self.expires) {
            (Some(seconds), _) => match u64::try_from(seconds) {
                Ok(seconds) => now + Duration::from_secs(seconds),
                Err(_) => Time(0),
            },
            (None, Some(date)) => {
                let today = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
                let date = Duration::from_secs(u64::try_from(date).unwrap_or_default());
                date.checked_sub(today).map_or(Time(0), |left| now + left)
            }
            (None, None) => Time::NEVER,
        };
        Some(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: domain.unwrap_or(host),
            host_only,
            path: self.path.unwrap_or(default_path(origin.target).as_bytes()).to_owned(),
            secure: self.secure,
            until,
        })
    }
}

/// Returns the values of all Set-Cookie headers that hold no control characters except tabs.
fn set_cookies(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked("set-cookie:".len())?;
        let value = value.trim_ascii();
        let is_text = || value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        (name.eq_ignore_ascii_case(b"set-cookie:") && is_text()).then_some(value)
    })
}

/// Returns name and value of a Set-Cookie (RFC 6265 §5.2); `None` if they are too long together.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_once(text.split(|&byte| byte == b';').next()?)?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    (!name.is_empty() && name.len() + value.len() <= MAX_LENGTH).then_some((name, value))
}

/// Splits at the first `=`.
fn split_once(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', text)?;
    Some((&text[..at], &text[at + 1..]))
}

fn max_age(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let most = if text.starts_with(b"-") { -1 } else { i64::MAX };
    plain.then(|| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(most))
}

/// Whether a host is within a cookie's domain (RFC 6265 §5.1.3); both in lower case.
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain
        || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            && host.parse::<IpAddr>().is_err()
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or(target)
}

/// Returns the default path of a request target (RFC 6265 §5.1.4).
fn default_path(target: &str) -> &str {
    let path = path_of(target);
    match path.rfind('/') {
        Some(last) if last > 0 && path.starts_with('/') => &path[..last],
        _ => "/",
    }
}

fn path_matches(path: &[u8], cookie: &[u8]) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with(b"/") || rest.starts_with(b"/"))
}

#[cfg(test)]
#[path = "jar_tests.rs"]
mod tests;
