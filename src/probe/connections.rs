//! Counts the connections that a target admits: from one address, and in all.
//!
//! `cli` calls it for `--connections`; each connection carries one request and stays open.
//! Invariant: it opens no more than it was told to, and closes all of them at its end.

use super::finding::ProbeStop;
use super::sender::{RequestSender, Sent, is_closed};
use crate::clock::{self, Time};
use crate::wire::ConnectionSlot;

/// What was found from one source address.
#[derive(Clone, Debug, Default)]
pub struct SourceConnections {
    /// Connections that carried a request and stayed open.
    pub open: u64,
    /// Whether one more was refused.
    pub is_full: bool,
    /// How it was refused: a status, or why the connection failed.
    pub refusal: Option<String>,
}

/// What was found from all source addresses.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFinding {
    /// By source address, in the order of `--sources`.
    pub sources: Vec<SourceConnections>,
    /// Why it ended before its end.
    pub stopped: Option<ProbeStop>,
    /// Requests that were sent.
    pub requests: u64,
}

impl ConnectionFinding {
    /// Connections that were open at the end.
    pub fn open(&self) -> u64 {
        self.sources.iter().map(|source| source.open).sum()
    }

    /// The limit of an address: that of the first one that was full.
    pub fn per_address(&self) -> Option<u64> {
        let first = self.sources.first().filter(|source| source.is_full)?;
        // If the next address gets none at all, the limit is one of all addresses.
        let is_shared = self.sources.get(1).is_some_and(|next| next.open == 0 && next.is_full);
        (!is_shared).then_some(first.open)
    }

    /// The limit in all: addresses after the first get fewer, and the last ones none.
    pub fn in_all(&self) -> Option<u64> {
        let last = self.sources.last().filter(|_| self.sources.len() > 1)?;
        (last.is_full && last.open == 0).then(|| self.open())
    }
}

/// Opens at most `most` connections, in turn from each of `sources` (the number of addresses; 1:
/// the kernel's choice) until one is refused, before `until`.
pub async fn count_connections(
    sender: &RequestSender,
    sources: u64,
    most: u64,
    refusals: &[u16],
    until: Time,
) -> ConnectionFinding {
    let mut finding = ConnectionFinding::default();
    let mut slots: Vec<ConnectionSlot> = Vec::new();
    let mut none_open = 0;
    for source in 0..sources.max(1) {
        let mut found = SourceConnections::default();
        while slots.len() < usize::try_from(most).unwrap_or(usize::MAX) {
            if sender.is_interrupted() || clock::now() >= until {
                let why =
                    if sender.is_interrupted() { ProbeStop::Interrupted } else { ProbeStop::Time };
                finding.stopped = Some(why);
                break;
            }
            let mut slot = sender.new_slot();
            let sent = sender.exchange(&mut slot, sender.first(), source, Time(0)).await;
            finding.requests += 1;
            match refused(sender, &sent, refusals) {
                // A target that has carried no connection yet has no limit of them.
                Ok(Some(how)) if sent.reply.status == 0 && source == 0 && slots.is_empty() => {
                    finding.stopped = Some(ProbeStop::Unreachable(how));
                    break;
                }
                Ok(Some(how)) => {
                    (found.is_full, found.refusal) = (true, Some(how));
                    break;
                }
                Ok(None) => {}
                Err(why) => {
                    finding.stopped = Some(ProbeStop::Unreachable(why));
                    break;
                }
            }
            if !slot.is_open() {
                let why = "the target closes each connection after its response".to_owned();
                finding.stopped = Some(ProbeStop::Unreachable(why));
                break;
            }
            found.open += 1;
            slots.push(slot);
        }
        none_open = if found.open == 0 && found.is_full { none_open + 1 } else { 0 };
        finding.sources.push(found);
        // Two addresses that get none show that the limit is one of all.
        if finding.stopped.is_some() || none_open == 2 || slots.len() as u64 >= most {
            break;
        }
    }
    finding
}

/// How a connection was refused; `None`: it was not.
fn refused(
    sender: &RequestSender,
    sent: &Sent,
    refusals: &[u16],
) -> Result<Option<String>, String> {
    match sent.reply.status {
        0 if is_closed(sent.outcome) => Ok(Some(sender.describe(sent.outcome))),
        0 => Err(sender.describe(sent.outcome)),
        status if refusals.contains(&status) => Ok(Some(format!("status {status}"))),
        _ => Ok(None),
    }
}
