//! How a coordinator begins a run on the bus, or takes over one of another coordinator.
//!
//! `run` opens it before `setup`.
//! Invariant: a run has one setup on the bus, whichever coordinator leads it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::driver::{FleetChannels, FleetDriver};
use super::error::FleetError;
use super::history::FleetHistory;
use super::journal::JournalRun;
use super::news::RestoredRun;
use super::refused::RefusedAgents;
use super::{DriverHandle, PendingAgents};
use crate::clock::RunOffset;
use crate::event::{COMMAND_QUEUE, DELTA_QUEUE, LossPolicy};
use crate::files::Bundle;
use crate::fleet::bus::{BusAddress, BusClient, BusLimits};
use crate::fleet::derived::{limits, plan_hash, times};
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{FleetConfig, FleetTimes, LeaderStart};
use crate::fleet::setup::{FleetSetup, bundle_name};
use crate::fleet::signature::{SigningKey, TrustedKey, verify};
use crate::plan::slots::SLOTS;
use crate::plan::{Address, Plan, Workload};
use crate::units::nanos;

/// Bounds before the plan is known: nothing but plain values is read.
const LIMITS: BusLimits = BusLimits { max_frame: 0, request_timeout: Duration::from_secs(5) };

/// A run on agents.
pub struct AgentsRun<'a> {
    /// The plan, as compiled here.
    pub plan: &'a Plan,
    /// The bus.
    pub bus: &'a BusAddress,
    /// The id of the run on the bus.
    pub id: String,
    /// Whether it begins here.
    pub begin: AgentsBegin,
    /// The address of each service.
    pub addresses: &'a [Address],
    /// The number of agents.
    pub agents: u16,
    /// The shards of each agent; `None`: as many as the smallest machine has cores.
    pub shards: Option<u16>,
    /// How long agents may take to join, and again to prepare.
    pub join_timeout: Duration,
    /// What becomes of the load of a lost agent.
    pub on_loss: LossPolicy,
    /// The folder for the journal of what is merged; `None`: there is none.
    pub journal: Option<&'a Path>,
}

/// How a coordinator comes to its run.
#[derive(Clone, Debug)]
pub enum AgentsBegin {
    /// It begins the run.
    New {
        /// The command line that agents compile, program first.
        words: Vec<Vec<u8>>,
        /// The files of the scenario.
        bundle: Vec<u8>,
        /// What signs the plan.
        sign_key: Option<SigningKey>,
    },
    /// It goes on where another coordinator ended.
    Resume {
        /// The folder of that one; `None`: what it merged is lost.
        former: Option<PathBuf>,
    },
}

/// Reads what the coordinator that began a run wrote for its agents.
///
/// # Errors
/// If the bus cannot be used, or has no such run.
pub fn read_setup(
    bus: &BusAddress,
    id: &str,
    trusted: &[TrustedKey],
) -> Result<(FleetSetup, Bundle), FleetError> {
    let mut client: BusClient<ShardDeltas> = BusClient::open(bus, id, LIMITS)?;
    let Some(bytes) = client.get("setup")? else {
        return Err(FleetError::NoRun { id: id.to_owned() });
    };
    verify(&bytes, id, trusted).map_err(|error| FleetError::Setup(error.to_string()))?;
    let setup = FleetSetup::from_bytes(&bytes).map_err(FleetError::Setup)?;
    let lost = || FleetError::Setup("the bus has lost the files of the scenario".to_owned());
    let bundle = client.get(&setup.bundle)?.ok_or_else(lost)?;
    if setup.bundle != bundle_name(&bundle) {
        return Err(FleetError::Setup(
            "the files of the scenario were changed on the bus; find out which program wrote there"
                .to_owned(),
        ));
    }
    let bundle = Bundle::from_bytes(&bundle)
        .map_err(|error| FleetError::Setup(format!("the files of the scenario: {error}")))?;
    let checked = bundle.manifest.check_variables(id);
    checked.map_err(|error| FleetError::Setup(error.to_string()))?;
    Ok((setup, bundle))
}

impl AgentsRun<'_> {
    /// Writes what agents are to run to the bus.
    fn write_setup(
        &self,
        client: &mut BusClient<ShardDeltas>,
        (words, bundle, sign_key): (&[Vec<u8>], &[u8], Option<&SigningKey>),
        times: FleetTimes,
    ) -> Result<(), FleetError> {
        let name = bundle_name(bundle);
        client.put_new(&name, bundle)?;
        let setup = FleetSetup {
            words: words.to_vec(),
            seed: self.plan.seed,
            run_id: self.plan.run_id.clone(),
            addresses: self.addresses.to_vec(),
            agents: self.agents,
            bundle: name,
            times,
            shards: self.shards,
            join_timeout: nanos(self.join_timeout),
            on_loss: self.on_loss,
        };
        let setup = setup.to_bytes();
        let signed = sign_key.map(|key| key.sign(&self.id, &setup));
        if client.put_new("setup", &signed.unwrap_or(setup))? {
            return Ok(());
        }
        Err(FleetError::Occupied { id: self.id.clone() })
    }

    fn config(&self, times: FleetTimes) -> FleetConfig {
        let load_ends = self.plan.workloads.iter().map(Workload::end);
        let end = load_ends.fold(RunOffset::ZERO, |end, own| {
            end.max(own.map_or(RunOffset::NEVER, |own| RunOffset::from_ns(nanos(own))))
        });
        FleetConfig {
            run: self.id.clone(),
            plan: plan_hash(self.plan),
            agents: self.agents,
            min_agents: self.agents,
            join_timeout: nanos(self.join_timeout),
            shards: self.shards,
            max_shards: self.plan.safety.ceilings.cores().and_then(|most| u16::try_from(most).ok()),
            slots: SLOTS as usize,
            end,
            on_loss: self.on_loss,
            returns_slots: false,
            times,
        }
    }
}

impl PendingAgents {
    /// Writes what agents are to run to the bus, unless that is there, and begins to lead the run.
    ///
    /// # Errors
    /// If the bus cannot be used, or has a run of this id.
    pub fn open(run: &AgentsRun<'_>) -> Result<Self, FleetError> {
        let times = times(run.plan);
        let limits = limits(run.plan, &times);
        let mut client = BusClient::open(run.bus, &run.id, limits)?;
        let (start, former) = match &run.begin {
            AgentsBegin::New { words, bundle, sign_key } => {
                run.write_setup(&mut client, (words, bundle, sign_key.as_ref()), times)?;
                (LeaderStart::New, None)
            }
            AgentsBegin::Resume { former } => (LeaderStart::Resume, former.as_deref()),
        };
        let of = JournalRun::new(&run.id, plan_hash(run.plan));
        let history = FleetHistory::new(of, run.journal, former, limits.max_frame);
        let (down, commands) = std_mpsc::sync_channel(COMMAND_QUEUE);
        let (news_sender, news) = mpsc::channel(64);
        let (delta_sender, deltas) = mpsc::channel(DELTA_QUEUE);
        let (worker_sender, workers) = mpsc::channel(256);
        let uses = Arc::new(Mutex::new(Vec::new()));
        let is_fenced = Arc::<AtomicBool>::default();
        let channels = FleetChannels {
            commands,
            news: news_sender,
            deltas: delta_sender,
            workers: worker_sender,
            uses: Arc::clone(&uses),
            is_fenced: Arc::clone(&is_fenced),
        };
        let driver = FleetDriver::new(
            BusClient::open(run.bus, &run.id, limits)?,
            run.config(times),
            start,
            channels,
            history,
            run.plan.series_layout(),
        );
        let thread = std::thread::Builder::new().name("fleet".to_owned());
        let thread = thread.spawn(move || driver.run()).map_err(FleetError::Thread)?;
        Ok(Self {
            driver: DriverHandle { down, thread: Some(thread), uses, is_fenced },
            client,
            news,
            deltas,
            workers,
            agents: run.agents,
            shards: 0,
            id: run.id.clone(),
            join_timeout: run.join_timeout,
            start: None,
            refused: RefusedAgents::default(),
            restored: RestoredRun::default(),
        })
    }
}
