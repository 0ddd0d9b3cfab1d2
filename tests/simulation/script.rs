//! The target of a world: a latency model with a script.
//!
//! `simulation` reads the script from the world's file.
//! Invariant: its behaviour follows from the script and the world's seed.

use std::collections::BTreeMap;
use std::time::Duration;

use manada::clock::Time;
use manada::curve::{Distribution, ServiceQueue};
use manada::seed::Rng;
use manada::units::{parse_duration, parse_size};
use manada::wire::fake::{FakeArrival, FakeReply, LatencyModel};
use serde::Deserialize;

use super::streams::StreamScript;

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    #[serde(default)]
    pub latency: Option<String>,
    /// Service time by path prefix; overrides `latency`.
    #[serde(default)]
    pub latency_of: BTreeMap<String, String>,
    /// Status by path prefix.
    #[serde(default)]
    pub status_of: BTreeMap<String, u16>,
    /// The body of every response.
    #[serde(default)]
    pub body: Option<String>,
    /// The size of every response, for users with an emulated link.
    #[serde(default)]
    pub size: Option<String>,
    #[serde(default)]
    pub servers: Option<u32>,
    #[serde(default)]
    pub stall: Option<Window>,
    /// The target does not respond from this time on.
    #[serde(default)]
    pub hang_from: Option<String>,
    /// The target refuses connections during this time.
    #[serde(default)]
    pub down: Option<Window>,
    /// It refuses connections for a path prefix during this time.
    #[serde(default)]
    pub down_of: BTreeMap<String, Window>,
    /// The target alternates: available for the first time, refusing for the second.
    #[serde(default)]
    pub flaps: Option<[String; 2]>,
    /// The target refuses connections for this path prefix.
    #[serde(default)]
    pub refuses: Option<String>,
    /// Another service time from a time on.
    #[serde(default)]
    pub slow_from: Option<(String, String)>,
    /// Another service time for every n-th request.
    #[serde(default)]
    pub slow_every: Option<(u64, String)>,
    /// The target rejects requests with this status and these headers for a time.
    #[serde(default)]
    pub turns_away: Option<Rejection>,
    /// The target responds to every n-th request with 500, or resets the connection.
    #[serde(default)]
    pub error_every: Option<u64>,
    #[serde(default)]
    pub reset_every: Option<u64>,
    /// What it does on streams; `None`: it opens none.
    #[serde(default)]
    pub streams: Option<StreamScript>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    pub at: String,
    pub r#for: String,
    pub status: u16,
    #[serde(default)]
    pub head: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub at: String,
    pub r#for: String,
}

impl Window {
    pub fn ns(&self) -> (u64, u64) {
        (ns(&self.at), ns(&self.r#for))
    }
}

pub fn ns(text: &str) -> u64 {
    parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}")).as_nanos() as u64
}

/// The target of a world.
pub struct ScriptedTarget {
    pub start: Time,
    pub queue: ServiceQueue,
    pub latency: Distribution,
    pub rng: Rng,
    pub script: Script,
    pub count: u64,
}

impl LatencyModel for ScriptedTarget {
    fn reply(&mut self, now: Time, request: &FakeArrival) -> FakeReply {
        let at = now.since(self.start);
        let within = |window: &Option<Window>| {
            window
                .as_ref()
                .map(Window::ns)
                .is_some_and(|(from, length)| (from..from + length).contains(&at))
        };
        let flaps = self.script.flaps.as_ref().is_some_and(|[up, down]| {
            let (up, down) = (ns(up), ns(down));
            at % (up + down) >= up
        });
        let path = request_line(request);
        let of = |path: &str, from: &str| path.split(' ').nth(1).unwrap().starts_with(from);
        let refuses = self.script.refuses.as_ref().is_some_and(|from| of(&path, from));
        let streams = self.script.streams.as_ref();
        let no_streams = streams.is_some_and(|streams| within(&streams.down));
        let down_of = |(from, window): (&String, &Window)| {
            let (begin, length) = window.ns();
            of(&path, from) && (begin..begin + length).contains(&at)
        };
        let is_down = within(&self.script.down) || self.script.down_of.iter().any(down_of);
        if is_down || flaps || refuses || no_streams {
            return FakeReply::Refuse;
        }
        self.count += 1;
        let every = |n: Option<u64>| n.is_some_and(|n| self.count.is_multiple_of(n));
        if self.script.hang_from.as_ref().is_some_and(|from| at >= ns(from)) {
            return FakeReply::Hang;
        }
        if every(self.script.reset_every) {
            return FakeReply::Reset;
        }
        let named = self.script.status_of.iter().find(|(from, _)| of(&path, from));
        let ok = if is_redis(request) { REDIS_OK } else { 200 };
        let status = if every(self.script.error_every) { 500 } else { ok };
        let status = named.map_or(status, |(_, status)| *status);
        let upgrades = request.bytes.windows(9).any(|part| part == b"websocket");
        let status = if upgrades && streams.is_some() { 101 } else { status };
        let status = self.rejection(now).map_or(status, |rejection| rejection.status);
        let slow = self.script.latency_of.iter().find(|(from, _)| of(&path, from));
        let service = match slow {
            Some((_, time)) => Duration::from_nanos(ns(time)),
            None => self.latency.sample(&mut self.rng),
        };
        let slowed = self.script.slow_from.as_ref().filter(|(from, _)| at >= ns(from));
        let service = slowed.map_or(service, |(_, time)| Duration::from_nanos(ns(time)));
        let slow = self.script.slow_every.as_ref();
        let slow = slow.filter(|(n, _)| self.count.is_multiple_of(*n));
        let service = slow.map_or(service, |(_, time)| Duration::from_nanos(ns(time)));
        FakeReply::At(Time(self.queue.arrive(now.0, service)), status)
    }

    fn head(&mut self, now: Time) -> Vec<u8> {
        self.rejection(now).map(|rejection| rejection.head.clone().into_bytes()).unwrap_or_default()
    }

    fn size(&mut self, _: &FakeArrival) -> u64 {
        self.script.size.as_deref().map_or(0, |size| parse_size(size).unwrap())
    }

    fn body(&mut self, _: &FakeArrival) -> Vec<u8> {
        self.script.body.clone().unwrap_or_default().into_bytes()
    }
}

impl ScriptedTarget {
    /// Returns the rejection in force now.
    fn rejection(&self, now: Time) -> Option<&Rejection> {
        let at = now.since(self.start);
        self.script.turns_away.as_ref().filter(|rejection| {
            let (from, length) = (ns(&rejection.at), ns(&rejection.r#for));
            (from..from + length).contains(&at)
        })
    }
}

/// The status `OK` of Redis.
const REDIS_OK: u16 = 1_000;

fn is_redis(request: &FakeArrival) -> bool {
    request.bytes.starts_with(b"*")
}

/// Returns method and path of a request, or the words of a command of Redis.
pub fn request_line(request: &FakeArrival) -> String {
    if is_redis(request) {
        let text = String::from_utf8_lossy(&request.bytes);
        let words = text.split("\r\n").skip(2).step_by(2).filter(|word| !word.is_empty());
        return words.fold("redis".to_owned(), |line, word| line + " " + word);
    }
    let text = String::from_utf8_lossy(&request.bytes);
    text.split(" HTTP/1.1").next().unwrap().to_owned()
}
