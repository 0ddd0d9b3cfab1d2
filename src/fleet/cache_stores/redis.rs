//! A layer in Redis, or a server that speaks its protocol: `GET`, `SET` with an expiry, leases.
//!
//! `cache_stores` opens it.
//! Invariant: a value is read up to the largest entry, however long it is; a lease is released by
//! its owner alone.

use redis::{Cmd, Value, cmd};

use crate::cache::{LayerFailure, LayerStore, LeaseOwner, MAX_STORED};
use crate::fleet::bus::{BusAddress, BusConnection, BusError, BusOptions};
use crate::plan::cache::{CachePlan, LayerPlan};

/// Deletes a lease if it has this owner.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                       return redis.call('DEL', KEYS[1]) else return 0 end";

/// A connection, made with the first request.
struct RedisEntries(BusConnection);

/// The address of a layer's server.
///
/// # Errors
/// If its URL is not valid, or entries would travel without encryption.
pub(super) fn address(cache: &CachePlan, layer: &LayerPlan) -> Result<BusAddress, String> {
    // Entries that are encrypted may travel as they are.
    let allow_plaintext = cache.secret.is_some();
    let options = BusOptions { allow_plaintext, ..BusOptions::default() };
    BusAddress::parse_alone(&layer.place, &options).map_err(|error| reason(&error))
}

/// Stores with a connection each.
pub(super) fn open(
    cache: &CachePlan,
    layer: &LayerPlan,
    connections: usize,
) -> Result<Vec<Box<dyn LayerStore>>, String> {
    let address = address(cache, layer)?;
    let store = |_| -> Box<dyn LayerStore> {
        Box::new(RedisEntries(BusConnection::lazy(&address, cache.timeout)))
    };
    Ok((0..connections).map(store).collect())
}

/// The port of a layer's server.
pub(super) fn port(layer: &LayerPlan) -> Option<u16> {
    let options = BusOptions { allow_plaintext: true, ..BusOptions::default() };
    BusAddress::parse_alone(&layer.place, &options).ok().map(|address| address.port())
}

/// Why a layer cannot be used: an error of its connection, in the words of a cache.
fn reason(error: &BusError) -> String {
    match error {
        BusError::InvalidUrl { why } => format!(
            "its URL is not valid: {why}; expected rediss://HOST[:PORT][/DATABASE], or redis://, \
             with USER:PASSWORD@ before HOST if the server needs them"
        ),
        BusError::Plaintext { address } => format!(
            "{address} is on another machine, and neither redis:// nor the entries are encrypted; \
             use rediss://, or `encrypt`"
        ),
        BusError::WrongPassword { address, why } => format!(
            "{address} refused the user or the password: {why}; give them in the URL of the layer"
        ),
        BusError::NoPermission { address, why } => format!(
            "{address} does not permit this user a command or key: {why}; the cache needs PING, \
             GETRANGE, SET, DEL and EVAL"
        ),
        BusError::Unreachable { address, why, .. } => {
            format!("{address} cannot be reached: {why}")
        }
        BusError::Tls { address, why, .. } => {
            format!("no encrypted connection to {address}: {why}")
        }
        BusError::OtherServer { address, why } => {
            format!("the server at {address} is no Redis or Valkey from version 7.0 on: {why}")
        }
        BusError::Refused { address, why, .. } => {
            format!("{address} refused a command: {why}")
        }
        other => other.to_string(),
    }
}

fn lease_name(name: &str) -> String {
    format!("{name}:lease")
}

impl RedisEntries {
    fn send(&mut self, command: &Cmd) -> Result<Value, LayerFailure> {
        self.0.command(command).map_err(|error| LayerFailure(reason(&error)))
    }
}

impl LayerStore for RedisEntries {
    fn connect(&mut self) -> Result<(), LayerFailure> {
        self.send(&cmd("PING")).map(drop)
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, LayerFailure> {
        match self.send(cmd("GETRANGE").arg(name).arg(0).arg(MAX_STORED))? {
            Value::BulkString(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
            _ => Ok(None),
        }
    }

    fn put(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        _expires_ms: u64,
        left_ms: u64,
    ) -> Result<(), LayerFailure> {
        self.send(cmd("SET").arg(name).arg(bytes).arg("PX").arg(left_ms)).map(drop)
    }

    fn remove(&mut self, name: &str) -> Result<(), LayerFailure> {
        self.send(cmd("DEL").arg(name)).map(drop)
    }

    fn lease(&mut self, name: &str, owner: LeaseOwner, ms: u64) -> Result<bool, LayerFailure> {
        let owner = format!("{owner:032x}");
        let lease = lease_name(name);
        let set = self.send(cmd("SET").arg(lease).arg(owner).arg("NX").arg("PX").arg(ms))?;
        Ok(set != Value::Nil)
    }

    fn release(&mut self, name: &str, owner: LeaseOwner) -> Result<(), LayerFailure> {
        let owner = format!("{owner:032x}");
        self.send(cmd("EVAL").arg(RELEASE).arg(1).arg(lease_name(name)).arg(owner)).map(drop)
    }
}
