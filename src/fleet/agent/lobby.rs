//! How an agent finds its run on the bus, and the files of the scenario.
//!
//! `agent` calls it first.
//! Invariant: it waits for a bounded time; what it reads is checked before it is used.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::error::AgentError;
use super::inputs::AgentOptions;
use super::pause::pause;
use crate::clock;
use crate::event::Interrupt;
use crate::files::{Bundle, Files};
use crate::fleet::bus::{BusClient, BusError, BusLimits};
use crate::fleet::payload::ShardDeltas;
use crate::fleet::setup::{FleetSetup, bundle_name};
use crate::fleet::signature::verify;

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Bounds before the plan is known: nothing but plain values is read.
pub(super) const LIMITS: BusLimits =
    BusLimits { max_frame: 0, request_timeout: Duration::from_secs(5) };

/// Waits for the setup of the run; returns it with the files of the scenario.
pub(super) fn find(
    options: &AgentOptions,
    interrupts: &dyn Fn(mpsc::Sender<Interrupt>),
    tell: &dyn Fn(String),
) -> Result<(FleetSetup, Bundle), AgentError> {
    let (sender, mut received) = mpsc::channel(4);
    interrupts(sender);
    let until = clock::now() + options.patience;
    let mut is_waiting = false;
    let (mut client, bytes) = loop {
        match look(options) {
            Ok(Some(found)) => break found,
            Ok(None) if clock::now() >= until => {
                let (run, patience) = (options.run.clone(), options.patience);
                return Err(AgentError::NoRun { run, patience });
            }
            // The server of the bus may be started after its agents.
            Err(BusError::Unreachable { .. }) if clock::now() < until => {}
            Err(error) => return Err(error.into()),
            Ok(None) => {}
        }
        if !std::mem::replace(&mut is_waiting, true) {
            tell(format!("waiting for the run `{}`", options.run));
        }
        pause(LOOK_EVERY);
        if let Ok(interrupt) = received.try_recv() {
            return Err(AgentError::Interrupted(interrupt));
        }
    };
    verify(&bytes, &options.run, &options.trusted).map_err(AgentError::Distrusted)?;
    let setup = FleetSetup::from_bytes(&bytes).map_err(AgentError::Setup)?;
    if options.ordinal >= setup.agents {
        return Err(AgentError::TooMany { agents: setup.agents, ordinal: options.ordinal });
    }
    let bytes = client.get(&setup.bundle)?;
    let missing = || AgentError::Setup("the bus has lost the files of the scenario".to_owned());
    let bytes = bytes.ok_or_else(missing)?;
    if setup.bundle != bundle_name(&bytes) {
        let why = "the files of the scenario are not those that the coordinator wrote: they were \
                   changed on the bus; find out which program wrote there";
        return Err(AgentError::Setup(why.to_owned()));
    }
    let bundle = Bundle::from_bytes(&bytes)?;
    bundle.manifest.check_variables(&options.run)?;
    Ok((setup, bundle))
}

/// A client, and the setup as bytes.
type FoundSetup = (BusClient<ShardDeltas>, Vec<u8>);

/// Looks for the setup once.
fn look(options: &AgentOptions) -> Result<Option<FoundSetup>, BusError> {
    let mut client = BusClient::open(&options.bus, &options.run, LIMITS)?;
    Ok(client.get("setup")?.map(|setup| (client, setup)))
}

/// Writes the files to a private folder of this machine.
pub(super) fn unpack(bundle: &Bundle, own_folders: &[PathBuf]) -> Result<Files, AgentError> {
    Files::unpack(bundle, own_folders).map_err(AgentError::Unpack)
}
