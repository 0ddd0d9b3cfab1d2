//! Messages about a bus that fails, and about damaged values on it.
//!
//! The drivers of coordinator and agents hand in each request with its reply.
//! Invariant: an outage has one message, with its cause and the cure, and its end another; a short
//! one, which costs nothing, has none. The number of lines about damaged values is bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use super::client::BusClient;
use super::forms::BusPayload;
use super::limits::MAX_DAMAGES;
use crate::clock::Time;
use crate::fleet::protocol::{BusReply, BusRequest};
use crate::units::show_duration;

/// For how long requests fail before there is a message, ns.
const TELL_AFTER: u64 = 1_000_000_000;

/// How requests to a bus have fared so far.
#[derive(Debug, Default)]
pub struct BusTrouble {
    /// The kinds of request of which the last one failed: a server without memory refuses writes,
    /// and carries polls out.
    failing: BTreeSet<&'static str>,
    /// Since when one of them fails.
    since: Option<Time>,
    is_told: bool,
    /// The damaged values that were noticed, of all clients.
    damages: BTreeSet<String>,
}

impl BusTrouble {
    /// Takes a request that a client has carried out, and returns what is to be told.
    pub fn observe<P: BusPayload>(
        &mut self,
        now: Time,
        client: &mut BusClient<P>,
        request: &BusRequest<P>,
        reply: &BusReply<P>,
    ) -> Vec<String> {
        let is_failed = matches!(reply, BusReply::Failed);
        let why = client.last_error().filter(|_| is_failed).map(ToString::to_string);
        let mut messages: Vec<String> =
            self.note_request(now, kind_of(request), why).into_iter().collect();
        for damage in client.take_damages() {
            messages.extend(self.note_damage(&damage.to_string()));
        }
        messages
    }

    /// Notes how a request ended; `why`: it failed.
    fn note_request(
        &mut self,
        now: Time,
        kind: &'static str,
        why: Option<String>,
    ) -> Option<String> {
        if let Some(why) = why {
            self.failing.insert(kind);
            let since = *self.since.get_or_insert(now);
            let is_long = now.since(since) >= TELL_AFTER;
            return (is_long && !std::mem::replace(&mut self.is_told, true)).then_some(why);
        }
        self.failing.remove(kind);
        if !self.failing.is_empty() {
            return None;
        }
        let since = self.since.take()?;
        // To a tenth of a second.
        let tenths = Duration::from_millis(now.since(since) / 100_000_000 * 100);
        let is_told = std::mem::take(&mut self.is_told);
        is_told.then(|| format!("the bus works again after {}", show_duration(tenths)))
    }

    /// Notes a value that is left out; returns what is to be told of it.
    pub fn note_damage(&mut self, damage: &str) -> Option<String> {
        if self.damages.len() >= MAX_DAMAGES || !self.damages.insert(damage.to_owned()) {
            return None;
        }
        Some(format!("left out: {damage}"))
    }
}

/// What a request is for; kinds fail independently of each other.
fn kind_of<P: BusPayload>(request: &BusRequest<P>) -> &'static str {
    match request {
        BusRequest::Look { .. } | BusRequest::Join { .. } | BusRequest::Beat { .. } => "heartbeat",
        BusRequest::Append { .. } => "delta",
        BusRequest::WriteFinal { .. } => "final",
        BusRequest::Poll { .. } => "poll",
        BusRequest::WriteControl { .. } => "control",
        BusRequest::WriteSnapshot { .. } | BusRequest::ReadSnapshot => "snapshot",
        BusRequest::Trim { .. } => "trim",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OOM: &str = "OOM";

    fn at(milliseconds: u64) -> Time {
        Time(milliseconds * 1_000_000)
    }

    fn note(trouble: &mut BusTrouble, ms: u64, kind: &'static str, fails: bool) -> Option<String> {
        trouble.note_request(at(ms), kind, fails.then(|| OOM.to_owned()))
    }

    #[test]
    fn outage_is_told_once_and_so_is_its_end() {
        let mut trouble = BusTrouble::default();
        assert_eq!(note(&mut trouble, 100, "control", true), None, "it may be short");
        assert_eq!(note(&mut trouble, 600, "poll", false), None);
        assert_eq!(note(&mut trouble, 1_100, "control", true).as_deref(), Some(OOM));
        assert_eq!(note(&mut trouble, 1_200, "poll", false), None, "polls never failed");
        assert_eq!(note(&mut trouble, 1_700, "snapshot", true), None, "told already");
        assert_eq!(note(&mut trouble, 2_900, "control", false), None, "snapshots still fail");
        let end = note(&mut trouble, 3_350, "snapshot", false).unwrap();
        assert_eq!(end, "the bus works again after 3.2s");
        assert_eq!(note(&mut trouble, 3_400, "snapshot", false), None);
        // The next outage is another one.
        assert_eq!(note(&mut trouble, 9_000, "poll", true), None);
        assert_eq!(note(&mut trouble, 10_000, "poll", true).as_deref(), Some(OOM));
    }

    #[test]
    fn short_outage_is_not_told() {
        let mut trouble = BusTrouble::default();
        assert_eq!(note(&mut trouble, 0, "poll", true), None);
        assert_eq!(note(&mut trouble, 900, "poll", true), None);
        assert_eq!(note(&mut trouble, 1_500, "poll", false), None);
    }

    #[test]
    fn number_of_damages_is_bounded() {
        let mut trouble = BusTrouble::default();
        let told = (0..100).filter_map(|one| trouble.note_damage(&format!("key {one}")));
        assert_eq!(told.count(), MAX_DAMAGES);
        let mut trouble = BusTrouble::default();
        assert!(trouble.note_damage("key").is_some());
        assert!(trouble.note_damage("key").is_none(), "each poll reads it again");
    }
}
