//! Claims and the history in a Redis, for several machines.
//!
//! `store` opens it for a schedule with `lock`.
//! Invariant: a request is one script; what Redis holds is bounded and checked when it is read.

use std::time::Duration;

use redis::{Cmd, Value};

use super::entry::{HistoryEntry, MAX_ENTRIES};
use super::outcome::JobOutcome;
use super::redis_scripts::{ACQUIRE, RECORD, RENEW, SKIP};
use super::store::{Acquired, AfterEntry, Claim, SlotClaim, SlotStore, StoreFailure};
use crate::fleet::bus::{BusAddress, BusConnection, BusError};
use crate::printable::printable;
use crate::timetable::TimeSlot;

/// The longest time of a request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest name of a machine that is shown.
const MAX_MACHINE: usize = 200;

/// A connection of a schedule.
pub(super) struct RedisStore {
    connection: BusConnection,
    /// What all keys begin with: one hash tag, so one slot of a cluster has all keys.
    prefix: String,
    lease: Duration,
}

impl RedisStore {
    /// Connects.
    ///
    /// # Errors
    /// If the Redis cannot be reached or used.
    pub(super) fn open(
        address: &BusAddress,
        schedule: &str,
        lease: Duration,
    ) -> Result<Self, StoreFailure> {
        // A renewal that gets no answer leaves time to end the run.
        let timeout = TIMEOUT.min(lease / 12);
        let connection = BusConnection::open(address, timeout).map_err(|error| failure(&error))?;
        let prefix = format!("manada:{{schedule:{schedule}}}:");
        Ok(Self { connection, prefix, lease })
    }

    /// The keys of a job, in the order of the scripts.
    fn keys(&self, job: &str) -> [String; 4] {
        ["lease", "token", "state", "history"].map(|name| format!("{}{job}:{name}", self.prefix))
    }

    fn script(&self, script: &str, job: &str) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(4);
        for key in self.keys(job) {
            command.arg(key);
        }
        command
    }

    fn send(&mut self, command: &Cmd) -> Result<Value, StoreFailure> {
        self.connection.command(command).map_err(|error| failure(&error))
    }

    /// Sends a script that returns whether the claim is still held.
    fn is_held(&mut self, command: &Cmd) -> Result<bool, StoreFailure> {
        match self.send(command)? {
            Value::Int(held) => Ok(held == 1),
            _ => Err(unexpected()),
        }
    }

    fn lease_ms(&self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }
}

impl SlotStore for RedisStore {
    fn last_slot(&mut self, job: &str) -> Result<Option<TimeSlot>, StoreFailure> {
        let [_, _, state, _] = self.keys(job);
        let mut command = redis::cmd("HGET");
        match self.send(command.arg(state).arg("slot"))? {
            Value::Nil => Ok(None),
            value => {
                let slot = text(&value).and_then(|text| text.parse().ok());
                slot.map(|slot| Some(TimeSlot(slot))).ok_or_else(unexpected)
            }
        }
    }

    fn acquire(&mut self, claim: &SlotClaim<'_>) -> Result<Acquired, StoreFailure> {
        let mut command = self.script(ACQUIRE, claim.job);
        command
            .arg(claim.slot.map_or_else(String::new, digits))
            .arg(claim.due_ms)
            .arg(self.lease_ms())
            .arg(&claim.entry.machine)
            .arg(claim.entry.to_json())
            .arg(MAX_ENTRIES);
        let Value::Array(reply) = self.send(&command)? else { return Err(unexpected()) };
        let words: Vec<&str> = reply.iter().map(|value| text(value).unwrap_or_default()).collect();
        match words[..] {
            ["taken"] => Ok(Acquired::Taken),
            ["early", ms] => ms.parse().map(|ms| Acquired::Early { ms }).map_err(|_| unexpected()),
            ["busy", by] => {
                let by = printable(by).chars().take(MAX_MACHINE).collect();
                Ok(Acquired::Busy { by })
            }
            ["held", token, outcome, lost] => {
                let token = token.parse().map_err(|_| unexpected())?;
                let former = JobOutcome::from_name(outcome);
                Ok(Acquired::Held(Claim { token, former, lost: lost_entry(lost).map(Box::new) }))
            }
            _ => Err(unexpected()),
        }
    }

    fn renew(&mut self, job: &str, token: u64) -> Result<bool, StoreFailure> {
        let mut command = self.script(RENEW, job);
        command.arg(token).arg(self.lease_ms());
        self.is_held(&command)
    }

    fn record(
        &mut self,
        job: &str,
        token: u64,
        entry: &HistoryEntry,
        then: AfterEntry<'_>,
    ) -> Result<bool, StoreFailure> {
        let outcome = entry.outcome.filter(|one| one.is_verdict());
        let next = match then {
            AfterEntry::Next(next) => next.to_json(),
            AfterEntry::Release => String::new(),
        };
        let mut command = self.script(RECORD, job);
        command
            .arg(token)
            .arg(HistoryEntry { token, ..entry.clone() }.to_json())
            .arg(MAX_ENTRIES)
            .arg(outcome.map_or("", JobOutcome::name))
            .arg(next);
        self.is_held(&command)
    }

    fn skip(
        &mut self,
        job: &str,
        token: u64,
        until: Option<TimeSlot>,
        entry: &HistoryEntry,
    ) -> Result<bool, StoreFailure> {
        let mut command = self.script(SKIP, job);
        command
            .arg(token)
            .arg(HistoryEntry { token, ..entry.clone() }.to_json())
            .arg(MAX_ENTRIES)
            .arg(until.map_or_else(String::new, digits));
        self.is_held(&command)
    }

    fn entries(&mut self, job: &str, most: usize) -> Result<Vec<HistoryEntry>, StoreFailure> {
        let [_, _, state, history] = self.keys(job);
        let mut command = redis::cmd("HGET");
        let running = self.send(command.arg(state).arg("running"))?;
        let mut command = redis::cmd("LRANGE");
        command.arg(history).arg(0).arg(most.min(MAX_ENTRIES).saturating_sub(1));
        let Value::Array(list) = self.send(&command)? else { return Err(unexpected()) };
        let running = text(&running).and_then(running_entry);
        // An entry that cannot be read is another program's.
        let past = list.iter().filter_map(|value| {
            let text = text(value)?;
            match text.strip_prefix("lost ") {
                Some(lost) => lost_entry(lost),
                None => HistoryEntry::from_json(text),
            }
        });
        Ok(running.into_iter().chain(past).take(most).collect())
    }
}

/// Reads `TOKEN ENTRY`.
fn running_entry(text: &str) -> Option<HistoryEntry> {
    let (token, entry) = text.split_once(' ')?;
    Some(HistoryEntry { token: token.parse().ok()?, ..HistoryEntry::from_json(entry)? })
}

/// The entry of a run whose scheduler was lost.
fn lost_entry(text: &str) -> Option<HistoryEntry> {
    Some(HistoryEntry { outcome: Some(JobOutcome::Lost), ..running_entry(text)? })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn digits(slot: TimeSlot) -> String {
    format!("{:020}", slot.0)
}

fn failure(error: &BusError) -> StoreFailure {
    StoreFailure(format!("lock: {}", error.to_string().replace("the bus at", "the Redis at")))
}

fn unexpected() -> StoreFailure {
    let why = "lock: the reply of the Redis has another form; another program may use its keys";
    StoreFailure(why.to_owned())
}
