//! `manada run`: runs a scenario, with the overrides of the command line.
//!
//! Invariant: the command line changes the scenario, never the way it is executed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
#[cfg(feature = "redis")]
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
#[cfg(feature = "redis")]
use std::time::Duration;

use super::args::{self, CommonArgs, GeneratorArgs, LoadArgs, OverlayArgs};
#[cfg(feature = "redis")]
use super::bus_args::BusArgs;
use super::ceiling_args::CeilingArgs;
use super::execute;
use super::limits::UserLimits;
use super::load_generators::LoadGenerators;
use super::load_scenario::{load_asking, status_of};
use super::output::{fail, print_remark, report_failure};
use super::output_folder::OutputFolder;
use crate::exit::ExitStatus;
#[cfg(feature = "redis")]
use crate::files::VariableCheck;
use crate::files::{FileRecorder, Files};
#[cfg(feature = "redis")]
use crate::fleet::bus::check_run_id;
#[cfg(feature = "redis")]
use crate::fleet::signature::SigningKey;
use crate::plan::Plan;
#[cfg(feature = "redis")]
use crate::plan::data::sanitize::{KEY_VARIABLE, has_given_key};
#[cfg(feature = "redis")]
use crate::printable::printable;
use crate::redact::Redactor;
#[cfg(feature = "redis")]
use crate::run::agents::AgentsBegin;
use crate::run::agents::AgentsOptions;
use crate::scenario::{Mistakes, ScenarioOverrides, Warning};
use crate::template::{VariableUse, recording_variables};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada run scenarios/quickstart.yaml
  manada run shop.yaml --out reports/today --report junit.xml
  manada run shop.yaml --users shoppers=200 --duration 5m --threshold 'errors < 1%'
  manada run shop.yaml -e staging --set workloads.api.arrivals.max_users=100
  manada run shop.yaml --json --ui none | jq .response_us.p99")]
pub(super) struct Args {
    /// Scenario file
    scenario: PathBuf,
    #[command(flatten)]
    changes: OverlayArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    limits: UserLimits,
    #[command(flatten)]
    ceilings: CeilingArgs,
    #[cfg(feature = "redis")]
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    generator: GeneratorArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of a run on many machines.
#[cfg(feature = "redis")]
#[derive(Debug, clap::Args)]
pub(super) struct FleetArgs {
    /// Number of agents that generate the load, on other machines
    ///
    /// Start `manada agent` on each; --bus names the Redis or Valkey that joins them.
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = "Fleet",
        conflicts_with = "processes", value_parser = clap::value_parser!(u16).range(1..=1024))]
    agents: Option<u16>,
    /// Id of the run on the bus (default: a random one, printed)
    #[arg(
        long,
        value_name = "ID",
        requires = "agents",
        hide_short_help = true,
        help_heading = "Fleet"
    )]
    run: Option<String>,
    /// How long agents may take to join, and again to prepare
    #[arg(long, value_name = "D", default_value = "60s", value_parser = args::duration,
        hide_short_help = true, help_heading = "Fleet")]
    join_timeout: Duration,
    /// A variable read with env() whose value may differ between agents; repeatable
    ///
    /// Agents whose variables have other values than the coordinator's are refused, except for
    /// these, and for those that the scenario reads with secret().
    #[arg(
        long,
        value_name = "VARIABLE",
        requires = "agents",
        hide_short_help = true,
        help_heading = "Fleet"
    )]
    env_may_differ: Vec<String>,
    /// Sign the plan with this key, for agents with --trust-key
    ///
    /// Ed25519, PKCS#8 in PEM or DER; `manada agent --new-key FILE` makes one.
    #[arg(
        long,
        value_name = "FILE",
        requires = "agents",
        hide_short_help = true,
        help_heading = "Fleet"
    )]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    bus: BusArgs,
}

impl Args {
    /// Whether agents generate the load.
    #[cfg(feature = "redis")]
    fn has_agents(&self) -> bool {
        self.fleet.agents.is_some()
    }

    #[cfg(not(feature = "redis"))]
    fn has_agents(&self) -> bool {
        false
    }

    /// What agents need, if they generate the load.
    #[cfg(feature = "redis")]
    fn agents_options<E: Display>(
        &self,
        recorder: &FileRecorder,
        variables: &BTreeMap<String, VariableUse>,
        words_for_agents: WordsForAgents<E>,
        plan: &Plan,
    ) -> Result<Option<AgentsOptions>, (String, ExitStatus)> {
        let Some(agents) = self.fleet.agents else { return Ok(None) };
        let mut variables = variables.clone();
        if plan.has_keyed_rows() {
            has_given_key().map_err(|why| (why.to_string(), ExitStatus::Usage))?;
            variables.insert(KEY_VARIABLE.to_owned(), VariableUse::Secret);
        }
        let bus = self.fleet.bus.address().map_err(|e| (e.to_string(), e.ending()))?;
        let words: Vec<OsString> = std::env::args_os().collect();
        let words = words_for_agents(&words).map_err(|e| (e.to_string(), ExitStatus::Usage))?;
        let id = self.fleet.run.clone().unwrap_or_else(|| format!("{:08x}", rand::random::<u32>()));
        check_run_id(&id).map_err(|e| (e.to_string(), e.ending()))?;
        let checks = variable_checks(&variables, &id, &self.fleet.env_may_differ);
        let checks = checks.map_err(|why| (why, ExitStatus::Usage))?;
        let bundle = recorder.bundle(checks).and_then(|bundle| bundle.to_bytes());
        let bundle = bundle.map_err(|e| (e.to_string(), ExitStatus::Scenario))?;
        let sign_key = self.fleet.sign_key.as_deref().map(SigningKey::read).transpose();
        let sign_key = sign_key.map_err(|e| (e.to_string(), ExitStatus::Usage))?;
        let shards = self.generator.size.shards.and_then(|shards| u16::try_from(shards).ok());
        let words = words.into_iter().map(OsStringExt::into_vec).collect();
        Ok(Some(AgentsOptions {
            bus,
            id,
            agents,
            join_timeout: self.fleet.join_timeout,
            shards,
            on_loss: self.generator.loss.on_loss,
            begin: AgentsBegin::New { words, bundle, sign_key },
            journal: None,
            former: None,
        }))
    }

    /// Without a bus there are no agents.
    #[cfg(not(feature = "redis"))]
    fn agents_options<E: Display>(
        &self,
        _: &FileRecorder,
        _: &BTreeMap<String, VariableUse>,
        _: WordsForAgents<E>,
        _: &Plan,
    ) -> Result<Option<AgentsOptions>, (String, ExitStatus)> {
        Ok(None)
    }

    /// Sets values of the scenario, as `--set` does, before those of the command line.
    pub(super) fn add_values(&mut self, values: Vec<String>) {
        self.changes.set.splice(0..0, values);
    }

    /// Returns the option that contains a credential, if there is one.
    pub(super) fn credential(&self, redactor: &Redactor<'_>) -> Option<&'static str> {
        self.changes.set.iter().any(|text| args::is_credential(redactor, text)).then_some("--set")
    }
}

/// What agents check of the variables that the scenario reads; `may_differ` are names of some.
#[cfg(feature = "redis")]
fn variable_checks(
    variables: &BTreeMap<String, VariableUse>,
    run: &str,
    may_differ: &[String],
) -> Result<BTreeMap<String, VariableCheck>, String> {
    let is_read = |name: &&String| variables.get(*name) == Some(&VariableUse::Public);
    if let Some(name) = may_differ.iter().find(|name| !is_read(name)) {
        return Err(format!(
            "--env-may-differ {}: the scenario does not read this variable with env(); values of \
             secret() may differ anyway",
            printable(name)
        ));
    }
    let checks = variables.iter().filter_map(|(name, how)| {
        let value = std::env::var_os(name);
        let check = if *how == VariableUse::Secret || may_differ.contains(name) {
            // Without a value here, the default is as good there.
            value.map(|_| VariableCheck::Set)?
        } else {
            VariableCheck::equal(run, name, value.as_deref())
        };
        Some((name.clone(), check))
    });
    Ok(checks.collect())
}

/// Compiles the scenario with the overrides of the command line; its files are read from `files`.
pub(super) fn compile(
    args: &Args,
    files: &Files,
) -> Result<(Plan, Vec<Warning>), (Mistakes, ExitStatus)> {
    let overrides = ScenarioOverrides {
        seed: args.generator.seed,
        thresholds: args.generator.threshold.clone(),
        ceilings: args.ceilings.ceilings(),
        ..args::overrides(&args.changes, &args.load, &args.limits, files)
    };
    let loaded = load_asking(&args.scenario, &overrides).map_err(|mistakes| {
        let status = status_of(&mistakes);
        (mistakes, status)
    });
    let (mut plan, warnings) = loaded?;
    args.common.calls.apply(&mut plan, args.common.metrics.has_spans());
    Ok((plan, warnings))
}

/// Returns the words of a command line that agents compile.
pub(super) type WordsForAgents<E> = fn(&[OsString]) -> Result<Vec<OsString>, E>;

pub(super) fn run<E: Display>(args: &Args, words_for_agents: WordsForAgents<E>) -> ExitStatus {
    let recorder = FileRecorder::default();
    let sandbox = args.common.sandbox;
    let files = if args.has_agents() { recorder.files() } else { sandbox.files(&recorder) };
    let (compiled, variables) = recording_variables(|| compile(args, &files));
    match compiled {
        Ok((plan, warnings)) => {
            for warning in &warnings {
                print_remark(&warning.render(true));
            }
            let agents = match args.agents_options(&recorder, &variables, words_for_agents, &plan) {
                Ok(agents) => agents,
                Err((why, status)) => {
                    return fail(&args.common.output.report, &plan.scenario, &why, status);
                }
            };
            let scenario = Some(args.scenario.clone());
            let generators = LoadGenerators {
                agents,
                scenario,
                read: recorder.paths(),
                ..LoadGenerators::of(&args.generator)
            };
            execute::execute_plan(plan, &args.common, OutputFolder::Always, None, generators)
        }
        Err((mistakes, status)) => {
            print_remark(&mistakes.render(true));
            let file = args.scenario.display().to_string();
            report_failure(&args.common.output.report, &file, &mistakes.lines(), status)
        }
    }
}
