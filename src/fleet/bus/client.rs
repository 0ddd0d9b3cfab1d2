//! The client of a run's bus: carries out the requests of the protocol.
//!
//! `run` has one for each thread that sends requests; it blocks.
//! Invariant: a request is sent at most once. Its reply is `Failed` if the bus did not carry it
//! out, or it is unknown whether it did.

use std::collections::BTreeSet;

use redis::{Cmd, ServerError, Value};

use super::address::BusAddress;
use super::connection::BusConnection;
use super::error::BusError;
use super::forms::BusPayload;
use super::keys::EXPIRY;
use super::limits::{BusLimits, RECORDS_TO_RENEWAL};
use super::poll::{self, Polls};
use super::replies::{self, StreamEntry};
use super::scripts::{WRITE_CONTROL, WRITE_SNAPSHOT};
use super::values::{BusValues, FRAME_FIELD, digits, revision_digits};
use crate::fleet::protocol::{
    BusReply, BusRequest, ControlRecord, DeltaFrame, DeltaStream, FinalState, Heartbeat,
    HeartbeatId, HorizonLimit, Member, Ordinal,
};

/// What a write of the control record depends on.
struct ControlConditions<'a> {
    expected: String,
    instance: u64,
    deadline: u64,
    limits: &'a [HorizonLimit],
}

/// A client of the bus.
pub struct BusClient<P> {
    pub(super) connection: BusConnection,
    values: BusValues<P>,
    limits: BusLimits,
    polls: Polls,
    error: Option<BusError>,
    /// The keys of the plain values that this client has put or read.
    pub(super) plain: BTreeSet<String>,
    /// The control records that it has written.
    records: u64,
}

impl<P: BusPayload> BusClient<P> {
    /// Connects to the bus of a run, and checks that the server can be one.
    ///
    /// # Errors
    /// If the id of the run is not valid, or the bus cannot be used.
    pub fn open(address: &BusAddress, run: &str, limits: BusLimits) -> Result<Self, BusError> {
        let values = BusValues::new(run, &limits)?;
        let connection = BusConnection::open(address, limits.request_timeout)?;
        Ok(Self {
            connection,
            values,
            limits,
            polls: Polls::default(),
            error: None,
            plain: BTreeSet::new(),
            records: 0,
        })
    }

    /// Carries a request out, or fails in time; see [`BusLimits::request_timeout`].
    pub fn carry_out(&mut self, request: &BusRequest<P>) -> BusReply<P> {
        self.attempt(request).unwrap_or_else(|error| {
            self.error = Some(error);
            BusReply::Failed
        })
    }

    /// Why the last request failed that did; `None` if none has.
    pub fn last_error(&self) -> Option<&BusError> {
        self.error.as_ref()
    }

    /// How many heartbeats, frames and final states were left out because they cannot be read.
    pub fn damaged(&self) -> u64 {
        self.values.damaged
    }

    /// Takes why those of them cannot be read that were noticed since the last call; of very many,
    /// the first.
    pub fn take_damages(&mut self) -> Vec<BusError> {
        std::mem::take(&mut self.values.damages)
    }

    /// A key of this run.
    pub(super) fn key(&self, name: &str) -> String {
        self.values.keys.named(name)
    }

    fn attempt(&mut self, request: &BusRequest<P>) -> Result<BusReply<P>, BusError> {
        match request {
            BusRequest::Look { ordinal } => self.look(*ordinal),
            BusRequest::Join { after, heartbeat } => self.join(*after, heartbeat),
            BusRequest::Beat { heartbeat } => self.beat(heartbeat),
            BusRequest::Append { stream, frame } => self.append(*stream, frame),
            BusRequest::WriteFinal { member, state } => self.write_final(*member, state),
            BusRequest::Poll { streams, ordinals } => self.poll(streams, *ordinals),
            BusRequest::WriteControl { expected, instance, deadline, limits, record } => {
                let conditions = ControlConditions {
                    expected: revision_digits(*expected),
                    instance: *instance,
                    deadline: deadline.0,
                    limits,
                };
                self.write_control(&conditions, record)
            }
            BusRequest::WriteSnapshot { token, snapshot } => {
                let bytes = self.values.write_snapshot(snapshot)?;
                let mut command = redis::cmd("EVAL");
                command.arg(WRITE_SNAPSHOT).arg(2);
                command.arg(self.values.keys.control()).arg(self.values.keys.snapshot());
                command.arg(digits(*token)).arg(digits(snapshot.number)).arg(EXPIRY).arg(bytes);
                self.conditional(&command)
            }
            BusRequest::ReadSnapshot => {
                let mut command = redis::cmd("GET");
                let reply = self.connection.command(command.arg(self.values.keys.snapshot()))?;
                let bytes = replies::bytes(&reply);
                let snapshot = bytes.map(|bytes| self.values.read_snapshot(bytes)).transpose()?;
                Ok(BusReply::Snapshot(snapshot))
            }
            BusRequest::Trim { stream, last } => {
                let mut command = redis::cmd("XTRIM");
                command.arg(self.values.keys.delta(*stream)).arg("MINID");
                self.connection.command(command.arg(last.saturating_add(1)))?;
                Ok(BusReply::Written)
            }
        }
    }

    fn look(&mut self, ordinal: Ordinal) -> Result<BusReply<P>, BusError> {
        let all = [&self.newest(ordinal), &redis::cmd("TIME")];
        let all = self.transaction(&all)?.unwrap_or_default();
        let [top, time] = &all[..] else { return Err(self.connection.unexpected("EXEC")) };
        let (Ok(entry), Some(clock)) = (StreamEntry::first(top), replies::time(time)) else {
            return Err(self.connection.unexpected("XREVRANGE"));
        };
        // A damaged heartbeat is no missing one: the process before may still send.
        let top = entry.map(|entry| self.values.read_heartbeat(ordinal, &entry)).transpose()?;
        Ok(BusReply::Looked { top: top.map(Box::new), clock })
    }

    fn join(
        &mut self,
        after: Option<HeartbeatId>,
        heartbeat: &Heartbeat,
    ) -> Result<BusReply<P>, BusError> {
        let mut watch = redis::cmd("WATCH");
        self.connection.command(watch.arg(self.values.keys.beat(heartbeat.ordinal())))?;
        // A connection that still watches would spoil the next transaction.
        let top = self.top(heartbeat.ordinal()).map_err(|error| self.connection.close(error))?;
        match top.filter(|top| Some(*top) != after) {
            Some(top) => {
                self.connection.command(&redis::cmd("UNWATCH"))?;
                Ok(BusReply::Superseded { by: top.incarnation })
            }
            None => self.beat(heartbeat),
        }
    }

    /// The command that reads the newest heartbeat of an ordinal.
    fn newest(&self, ordinal: Ordinal) -> Cmd {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(self.values.keys.beat(ordinal)).arg(&["+", "-", "COUNT", "1"]);
        command
    }

    /// The id of the newest heartbeat of an ordinal.
    fn top(&mut self, ordinal: Ordinal) -> Result<Option<HeartbeatId>, BusError> {
        let reply = self.connection.command(&self.newest(ordinal))?;
        let top = StreamEntry::first(&reply);
        let top = top.map_err(|_| self.connection.unexpected("XREVRANGE"))?;
        Ok(top.map(|entry| entry.heartbeat()))
    }

    fn beat(&mut self, heartbeat: &Heartbeat) -> Result<BusReply<P>, BusError> {
        let ordinal = heartbeat.ordinal();
        let add = self.values.write_heartbeat(heartbeat)?;
        let (mut get, mut info) = (redis::cmd("GET"), redis::cmd("INFO"));
        get.arg(self.values.keys.control());
        info.arg("server");
        let commands = [
            &add,
            &expire(&self.values.keys.beat(ordinal)),
            &self.newest(ordinal),
            &get,
            &redis::cmd("TIME"),
            &info,
        ];
        let Some(replies) = self.connection.transaction(&commands)? else {
            // Another process wrote between `WATCH` and `EXEC`.
            let by = self.top(ordinal)?.map_or(heartbeat.member.incarnation, |top| top.incarnation);
            return Ok(BusReply::Superseded { by });
        };
        let [added, expired, top, control, time, info] = &replies[..] else {
            return Err(self.connection.unexpected("EXEC"));
        };
        let top = StreamEntry::first(top).ok().flatten();
        if let Value::ServerError(error) = added {
            return match top.filter(|_| is_late(error)) {
                Some(top) => Ok(BusReply::Superseded { by: top.heartbeat().incarnation }),
                None => Err(self.connection.refused(error.clone())),
            };
        }
        let others = [expired, control, time, info];
        if let Some(error) = others.into_iter().find_map(server_error) {
            return Err(self.connection.refused(error.clone()));
        }
        let (Some(clock), Some(instance)) = (replies::time(time), replies::info_instance(info))
        else {
            return Err(self.connection.unexpected("INFO"));
        };
        let control = replies::bytes(control);
        let control = control.map(|bytes| self.values.read_control(bytes)).transpose()?;
        Ok(BusReply::Beat { control, instance, clock })
    }

    fn append(
        &mut self,
        stream: DeltaStream,
        frame: &DeltaFrame<P>,
    ) -> Result<BusReply<P>, BusError> {
        let key = self.values.keys.delta(stream);
        let bytes = self.values.write_frame(frame)?;
        let mut add = redis::cmd("XADD");
        add.arg(&key).arg(format!("{}-0", frame.last)).arg(FRAME_FIELD).arg(bytes);
        let replies = self.connection.transaction(&[&add, &expire(&key)])?.unwrap_or_default();
        match replies.iter().find_map(server_error) {
            Some(error) if !is_late(error) => Err(self.connection.refused(error.clone())),
            _ => Ok(BusReply::Appended),
        }
    }

    fn write_final(
        &mut self,
        member: Member,
        state: &FinalState<P>,
    ) -> Result<BusReply<P>, BusError> {
        let bytes = self.values.write_final(state)?;
        let mut set = redis::cmd("SET");
        set.arg(self.values.keys.last(member)).arg(bytes).arg("EX").arg(EXPIRY);
        self.connection.command(&set)?;
        Ok(BusReply::Written)
    }

    fn poll(
        &mut self,
        streams: &[(DeltaStream, u64)],
        ordinals: u16,
    ) -> Result<BusReply<P>, BusError> {
        let order = self.polls.order(streams);
        let command = poll::command(&self.values, &self.limits, &order, ordinals);
        let reply = self.connection.command(&command)?;
        let read = poll::read(&mut self.values, &mut self.polls, streams, &order, &reply)?;
        let read = read.ok_or_else(|| self.connection.unexpected("EVAL"))?;
        Ok(BusReply::Polled(Box::new(read)))
    }

    fn write_control(
        &mut self,
        conditions: &ControlConditions<'_>,
        record: &ControlRecord,
    ) -> Result<BusReply<P>, BusError> {
        let bytes = self.values.write_control(record)?;
        let keys = &self.values.keys;
        let mut command = redis::cmd("EVAL");
        command.arg(WRITE_CONTROL).arg(1 + conditions.limits.len()).arg(keys.control());
        for limit in conditions.limits {
            command.arg(keys.beat(limit.member.ordinal));
        }
        command
            .arg(&conditions.expected)
            .arg(format!("{:016x}", conditions.instance))
            .arg(digits(conditions.deadline))
            .arg(keys.wake())
            .arg(EXPIRY)
            .arg(bytes);
        for limit in conditions.limits {
            command.arg(digits(limit.member.incarnation.0)).arg(digits(limit.from.ns()));
        }
        let reply = self.conditional(&command)?;
        self.records += 1;
        if self.records.is_multiple_of(RECORDS_TO_RENEWAL) {
            // It is tried again long before they expire.
            let _ = self.renew();
        }
        Ok(reply)
    }

    /// Renews the expiry of the plain values.
    fn renew(&mut self) -> Result<(), BusError> {
        let commands: Vec<Cmd> = self.plain.iter().map(|key| expire(key)).collect();
        let commands: Vec<&Cmd> = commands.iter().collect();
        self.transaction(&commands).map(drop)
    }

    /// Runs a script that writes if its conditions hold.
    fn conditional(&mut self, script: &Cmd) -> Result<BusReply<P>, BusError> {
        match self.connection.command(script)? {
            Value::Int(1) => Ok(BusReply::Written),
            Value::Int(0) => Ok(BusReply::Refused),
            _ => Err(self.connection.unexpected("EVAL")),
        }
    }

    /// Sends commands as one transaction of which none may fail.
    fn transaction(&mut self, commands: &[&Cmd]) -> Result<Option<Vec<Value>>, BusError> {
        let replies = self.connection.transaction(commands)?;
        match replies.iter().flatten().find_map(server_error) {
            Some(error) => Err(self.connection.refused(error.clone())),
            None => Ok(replies),
        }
    }
}

fn expire(key: &str) -> Cmd {
    let mut command = redis::cmd("EXPIRE");
    command.arg(key).arg(EXPIRY);
    command
}

fn server_error(reply: &Value) -> Option<&ServerError> {
    match reply {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}

/// Whether `XADD` failed because the stream has this entry or a later one.
fn is_late(error: &ServerError) -> bool {
    error.details().is_some_and(|text| text.contains("equal or smaller"))
}
