//! A user's cookies: RFC 6265 §5 without a list of public suffixes.
//!
//! `engine` keeps one for each user that was given a cookie, and asks what goes with a request.
//! Invariant: what a target sends is hostile: a jar holds at most [`MAX_COOKIES`], of one domain at
//! most [`MAX_OF_DOMAIN`], none longer than [`MAX_LENGTH`]; the oldest make room.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::clock::{self, Time};

/// The most cookies of one user.
pub const MAX_COOKIES: usize = 300;
/// The most of one domain.
pub const MAX_OF_DOMAIN: usize = 50;
/// The longest Set-Cookie value kept.
pub const MAX_LENGTH: usize = 4 << 10;

/// Where a request goes, as cookies see it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Its host.
    pub host: &'a str,
    /// Its target: path and query.
    pub target: &'a str,
    /// Whether it goes over TLS.
    pub secure: bool,
}

/// The cookies of one user.
#[derive(Debug, Default)]
pub struct Jar {
    /// In the order they were first set.
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    /// Lower case.
    domain: String,
    /// Only for the host that set it.
    host_only: bool,
    path: String,
    secure: bool,
    until: Time,
}

/// What the attributes of a Set-Cookie say; the last of a name counts.
#[derive(Default)]
struct Attributes<'a> {
    domain: Option<&'a str>,
    path: Option<&'a str>,
    max_age: Option<i64>,
    expires: Option<SystemTime>,
    secure: bool,
}

impl Jar {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.cookies.len()
    }

    /// Takes what an answer from `origin` sets; `head` is its header block.
    pub fn take(&mut self, head: &[u8], origin: Origin<'_>, now: Time) {
        for value in set_cookies(head) {
            self.set(value, origin, now);
        }
    }

    /// One Set-Cookie (RFC 6265 §5.3).
    fn set(&mut self, text: &str, origin: Origin<'_>, now: Time) {
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

    /// The value of the Cookie header of a request (RFC 6265 §5.4): longer paths first, then the
    /// older ones. `None` when there is nothing to send.
    pub fn header(&self, origin: Origin<'_>, now: Time) -> Option<String> {
        let path = path_of(origin.target);
        let mut fitting: Vec<&Cookie> = self.of_host(origin, now).collect();
        fitting.retain(|cookie| path_matches(path, &cookie.path));
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Name and value of all cookies of a host, whatever their path.
    pub fn pairs(&self, origin: Origin<'_>, now: Time) -> Vec<(String, String)> {
        let pair = |cookie: &Cookie| (cookie.name.clone(), cookie.value.clone());
        self.of_host(origin, now).map(pair).collect()
    }

    fn of_host<'j>(&'j self, origin: Origin<'_>, now: Time) -> impl Iterator<Item = &'j Cookie> {
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
    fn read(text: &'a str) -> Self {
        let mut read = Self::default();
        for attribute in text.split(';').skip(1) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "domain" => {
                    let value = value.strip_prefix('.').unwrap_or(value);
                    read.domain = (!value.is_empty()).then_some(value);
                }
                "path" => read.path = value.starts_with('/').then_some(value),
                "max-age" => read.max_age = max_age(value).or(read.max_age),
                "expires" => read.expires = date(value).or(read.expires),
                "secure" => read.secure = true,
                _ => {}
            }
        }
        read
    }

    /// The cookie they make; `None` when `origin` may not set it.
    fn cookie(self, name: &str, value: &str, origin: Origin<'_>, now: Time) -> Option<Cookie> {
        let host = origin.host.to_ascii_lowercase();
        let domain = self.domain.map(str::to_ascii_lowercase);
        let host_only = domain.as_ref().is_none_or(|domain| *domain == host && !host.contains('.'))
            || host.parse::<IpAddr>().is_ok();
        match &domain {
            Some(domain) if *domain == host => {}
            // A single label is a whole top-level domain; another host's is nobody's business.
            Some(domain) if !domain.contains('.') || !domain_matches(&host, domain) => return None,
            _ => {}
        }
        // As browsers: a plain origin sets no secure cookie, and the prefixes mean what they say.
        let of_host = name.starts_with("__Host-");
        let prefixed = of_host || name.starts_with("__Secure-");
        if (self.secure && !origin.secure) || (prefixed && !self.secure) {
            return None;
        }
        if of_host && (self.domain.is_some() || self.path != Some("/")) {
            return None;
        }
        let until = match (self.max_age, self.expires) {
            (Some(seconds), _) => match u64::try_from(seconds) {
                Ok(seconds) => now + Duration::from_secs(seconds),
                Err(_) => Time(0),
            },
            (None, Some(date)) => {
                date.duration_since(clock::wall()).map_or(Time(0), |left| now + left)
            }
            (None, None) => Time::NEVER,
        };
        Some(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: domain.unwrap_or(host),
            host_only,
            path: self.path.unwrap_or(default_path(origin.target)).to_owned(),
            secure: self.secure,
            until,
        })
    }
}

/// The values of all Set-Cookie headers of a block that are text and not too long.
fn set_cookies(head: &[u8]) -> impl Iterator<Item = &str> {
    head.split(|&byte| byte == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked("set-cookie:".len())?;
        let ours = name.eq_ignore_ascii_case(b"set-cookie:") && value.len() <= MAX_LENGTH;
        let text = std::str::from_utf8(value).ok().filter(|_| ours)?.trim();
        (!text.contains(|c: char| c.is_control() && c != '\t')).then_some(text)
    })
}

/// Name and value of a Set-Cookie (RFC 6265 §5.2).
fn pair(text: &str) -> Option<(&str, &str)> {
    let pair = text.split(';').next().unwrap_or(text);
    let (name, value) = pair.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then_some((name, value.trim()))
}

fn max_age(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(if text.starts_with('-') { -1 } else { i64::MAX }))
}

/// A date in one of the forms that servers write (RFC 9110 §5.6.7, and with dashes).
fn date(text: &str) -> Option<SystemTime> {
    let plain = httpdate::parse_http_date(text).ok();
    plain.or_else(|| httpdate::parse_http_date(&text.replace('-', " ")).ok())
}

/// RFC 6265 §5.1.3; both in lower case.
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain
        || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            && host.parse::<IpAddr>().is_err()
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or(target)
}

/// RFC 6265 §5.1.4.
fn default_path(target: &str) -> &str {
    let path = path_of(target);
    match path.rfind('/') {
        Some(last) if last > 0 && path.starts_with('/') => &path[..last],
        _ => "/",
    }
}

fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
#[path = "jar_tests.rs"]
mod tests;
