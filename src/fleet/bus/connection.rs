//! The connection of a client to the bus: opened when it is needed, and again after a failure.
//!
//! `client` and `plain` send commands through it, and so does the lock of a schedule.
//! Invariant: a command is sent once, never again by itself; after a failure the connection is
//! closed, so that no late reply is taken for that of another command.

use std::time::Duration;

use redis::{Cmd, Connection, Value};

use super::address::BusAddress;
use super::error::BusError;
use super::failure::error_of;
use super::replies;
use crate::clock::{self, Time};

/// The least time from one attempt to connect to the next.
const RETRY: Duration = Duration::from_millis(100);

/// The least time that a reply may take.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// The oldest major version that has all that a bus needs.
const OLDEST: u64 = 7;

/// A connection to the bus.
pub struct BusConnection {
    address: BusAddress,
    timeout: Duration,
    open: Option<Connection>,
    tried_at: Option<Time>,
    /// Why there is no connection.
    failed: Option<BusError>,
}

impl BusConnection {
    /// Connects, and checks the server once.
    ///
    /// # Errors
    /// If it cannot be reached, refuses the user, or cannot be a bus.
    pub fn open(address: &BusAddress, timeout: Duration) -> Result<Self, BusError> {
        let address = address.clone();
        let mut connection = Self { address, timeout, open: None, tried_at: None, failed: None };
        let info = connection.command(redis::cmd("INFO").arg("server"))?;
        let text = replies::bytes(&info).map(String::from_utf8_lossy).unwrap_or_default();
        let other = |why: &str| Err(connection.other_server(why));
        let version = ["valkey_version", "redis_version"];
        let version = version.iter().find_map(|name| replies::info_field(&text, name));
        let Some(version) = version else { return other("its INFO has no version") };
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        if major.is_none_or(|major: u64| major < OLDEST) {
            return other(&format!("its version is {version}"));
        }
        if replies::info_instance(&info).is_none() {
            return other("its INFO has no run_id, so a restart could not be noticed");
        }
        Ok(connection)
    }

    /// A connection that is opened with its first command, to a server that is not checked.
    pub fn lazy(address: &BusAddress, timeout: Duration) -> Self {
        let address = address.clone();
        Self { address, timeout, open: None, tried_at: None, failed: None }
    }

    fn other_server(&self, why: &str) -> BusError {
        let why = super::error::one_line(why);
        BusError::OtherServer { address: self.address.to_string(), why }
    }

    /// A reply of another form than the command has.
    pub(super) fn unexpected(&self, command: &str) -> BusError {
        self.other_server(&format!("its reply to {command} has another form"))
    }

    /// Sends a command and returns its reply.
    ///
    /// # Errors
    /// If there is no reply in time, or it is an error.
    pub fn command(&mut self, command: &Cmd) -> Result<Value, BusError> {
        let mut replies = self.exchange(&command.get_packed_command(), 1)?;
        Ok(replies.pop().unwrap_or_default())
    }

    /// Sends commands as one transaction. Returns the reply of each, which may be an error;
    /// `None` if a key that is watched has changed.
    pub(super) fn transaction(
        &mut self,
        commands: &[&Cmd],
    ) -> Result<Option<Vec<Value>>, BusError> {
        let mut bytes = redis::cmd("MULTI").get_packed_command();
        for command in commands {
            bytes.extend_from_slice(&command.get_packed_command());
        }
        bytes.extend_from_slice(&redis::cmd("EXEC").get_packed_command());
        let mut replies = self.exchange(&bytes, commands.len() + 2)?;
        match replies.pop() {
            Some(Value::Array(all)) if all.len() == commands.len() => Ok(Some(all)),
            Some(Value::Nil) => Ok(None),
            _ => Err(self.close(self.unexpected("EXEC"))),
        }
    }

    /// Sends commands and reads as many replies, all within the timeout. An error among them is
    /// returned; it leaves the connection open if it comes from the server.
    fn exchange(&mut self, bytes: &[u8], count: usize) -> Result<Vec<Value>, BusError> {
        let timeout = self.timeout;
        let connection = self.connect()?;
        let until = clock::now() + timeout;
        let mut read = || {
            connection.send_packed_command(bytes)?;
            let reply = |_| {
                let left = Duration::from_nanos(until.since(clock::now())).max(LEAST_WAIT);
                connection.set_read_timeout(Some(left))?;
                connection.recv_response()
            };
            (0..count).map(reply).collect::<Result<Vec<_>, _>>()
        };
        let replies = read().map_err(|error| {
            let error = error_of(&self.address, &error);
            self.close(error)
        })?;
        // The first error has the reason: that of `EXEC` only tells that there was one.
        let refused = replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) => Some(error.clone()),
            _ => None,
        });
        match refused {
            Some(error) => Err(self.refused(error)),
            None => Ok(replies),
        }
    }

    /// The error of the server as one of the bus.
    pub(super) fn refused(&self, error: redis::ServerError) -> BusError {
        error_of(&self.address, &error.into())
    }

    /// Closes the connection after a failure.
    pub(super) fn close(&mut self, error: BusError) -> BusError {
        self.open = None;
        self.failed = Some(error.clone());
        error
    }

    fn connect(&mut self) -> Result<&mut Connection, BusError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.reconnect()?,
        };
        Ok(self.open.insert(open))
    }

    fn reconnect(&mut self) -> Result<Connection, BusError> {
        let now = clock::now();
        if let (Some(tried_at), Some(failed)) = (self.tried_at, &self.failed)
            && now < tried_at + RETRY
        {
            return Err(failed.clone());
        }
        self.tried_at = Some(now);
        connect(&self.address, self.timeout).map_err(|error| self.close(error))
    }
}

/// Connects to the bus.
pub(super) fn connect(address: &BusAddress, timeout: Duration) -> Result<Connection, BusError> {
    let connect = || {
        let connection = address.client().get_connection_with_timeout(timeout)?;
        connection.set_read_timeout(Some(timeout))?;
        connection.set_write_timeout(Some(timeout))?;
        Ok(connection)
    };
    connect().map_err(|error| error_of(address, &error))
}
