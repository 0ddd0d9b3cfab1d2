//! Options that say where the bus of a fleet is: of `run --agents` and `agent`.
//!
//! Invariant: no password is on the command line that other users of the machine can read, unless
//! it is written there; `MANADA_BUS_PASSWORD` has it otherwise.

use std::path::PathBuf;

use clap::Args;

use crate::fleet::bus::{BusAddress, BusError, BusOptions};

/// Where the bus is.
#[derive(Clone, Debug, Args)]
pub(super) struct BusArgs {
    /// Redis or Valkey that joins coordinator and agents, e.g. rediss://bus.example:6379
    ///
    /// redis:// is not encrypted, and for this machine only. The password may come from the
    /// environment: MANADA_BUS_PASSWORD.
    #[arg(
        long,
        value_name = "URL",
        env = "MANADA_BUS",
        hide_env_values = true,
        help_heading = "Fleet"
    )]
    bus: Option<String>,
    /// Certificates that the server of the bus is verified with (default: those of the system)
    #[arg(long, value_name = "PEM", hide_short_help = true, help_heading = "Fleet")]
    bus_ca: Option<PathBuf>,
    /// Client certificate for the bus
    #[arg(
        long,
        value_name = "PEM",
        requires = "bus_key",
        hide_short_help = true,
        help_heading = "Fleet"
    )]
    bus_cert: Option<PathBuf>,
    /// Private key of the client certificate
    #[arg(
        long,
        value_name = "PEM",
        requires = "bus_cert",
        hide_short_help = true,
        help_heading = "Fleet"
    )]
    bus_key: Option<PathBuf>,
    /// Use redis:// to another machine, without encryption
    #[arg(long, hide_short_help = true, help_heading = "Fleet")]
    insecure_bus: bool,
}

impl BusArgs {
    /// The address of the bus.
    ///
    /// # Errors
    /// If it is missing or not valid.
    pub(super) fn address(&self) -> Result<BusAddress, BusError> {
        let Some(url) = &self.bus else {
            return Err(BusError::Options(
                "a fleet needs a bus: --bus rediss://HOST:PORT, or the variable MANADA_BUS",
            ));
        };
        let options = BusOptions {
            ca: self.bus_ca.clone(),
            cert: self.bus_cert.clone(),
            key: self.bus_key.clone(),
            allow_plaintext: self.insecure_bus,
        };
        BusAddress::parse(url, &options)
    }
}
