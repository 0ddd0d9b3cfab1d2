//! Which store a schedule has, and its opening.
//!
//! `scheduler` opens a store for each claim.
//! Invariant: a schedule with `lock` never falls back to files of this machine.

use std::path::PathBuf;
use std::time::Duration;

use super::local_store::LocalStore;
#[cfg(feature = "redis")]
use super::redis_store::RedisStore;
use super::store::{SlotStore, StoreFailure};
#[cfg(feature = "redis")]
use crate::fleet::bus::{BusAddress, BusOptions};
use crate::timetable::ScheduleFile;

/// Opens stores of a schedule.
#[derive(Clone, Debug)]
pub enum StoreSource {
    /// Files of this machine.
    Local(PathBuf),
    /// A Redis.
    #[cfg(feature = "redis")]
    Redis {
        /// Its address.
        address: Box<BusAddress>,
        /// The name of the schedule.
        schedule: String,
        /// How long a lease lasts without renewal.
        lease: Duration,
    },
}

impl StoreSource {
    /// The source of a schedule's stores.
    ///
    /// # Errors
    /// If the address of its Redis is not valid, or this program has no client for Redis.
    pub fn of(file: &ScheduleFile) -> Result<Self, StoreFailure> {
        let Some(lock) = &file.lock else {
            return Ok(Self::Local(file.out.join("state")));
        };
        #[cfg(feature = "redis")]
        {
            let options = BusOptions {
                ca: lock.ca.clone(),
                cert: lock.cert.clone(),
                key: lock.key.clone(),
                allow_plaintext: lock.allow_plaintext,
            };
            let address = BusAddress::parse(&lock.url, &options);
            let address = address.map_err(|error| {
                let text = error.to_string().replace("--insecure-bus", "`insecure: true`");
                StoreFailure(format!("lock: {text}"))
            })?;
            let (schedule, lease) = (file.name.clone(), lock.lease);
            Ok(Self::Redis { address: Box::new(address), schedule, lease })
        }
        #[cfg(not(feature = "redis"))]
        {
            let _ = lock;
            let why = "lock: this program was built without the feature `redis`";
            Err(StoreFailure(why.to_owned()))
        }
    }

    /// Opens a store.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(&self) -> Result<Box<dyn SlotStore>, StoreFailure> {
        match self {
            Self::Local(folder) => Ok(Box::new(LocalStore::open(folder)?)),
            #[cfg(feature = "redis")]
            Self::Redis { address, schedule, lease } => {
                Ok(Box::new(RedisStore::open(address, schedule, *lease)?))
            }
        }
    }

    /// How long a claim lasts without renewal; `None`: as long as its process.
    pub(super) fn lease(&self) -> Option<Duration> {
        match self {
            Self::Local(_) => None,
            #[cfg(feature = "redis")]
            Self::Redis { lease, .. } => Some(*lease),
        }
    }
}
