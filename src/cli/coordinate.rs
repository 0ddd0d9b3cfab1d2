//! `manada coordinate`: goes on with a run on agents whose coordinator died.
//!
//! Invariant: the plan is the one that the agents run: compiled by the same code, from the words
//! and files that the former coordinator wrote to the bus.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::agent::CompileWords;
use super::args::CommonArgs;
use super::bus_args::BusArgs;
use super::execute;
use super::load_generators::LoadGenerators;
use super::output::{fail, print_remark};
use super::output_folder::OutputFolder;
use super::report::is_in_folder;
use crate::engine::startup::tier::EngineSize;
use crate::event::record;
use crate::exit::ExitStatus;
use crate::files::{Bundle, Files};
use crate::fleet::agents::read_setup;
use crate::fleet::bus::{BusAddress, check_run_id};
use crate::fleet::setup::FleetSetup;
use crate::fleet::signature::TrustedKey;
use crate::run::FormerRecord;
use crate::run::agents::{AgentsBegin, AgentsOptions, FormerRun};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada coordinate --resume shop-1 --bus rediss://bus.example:6379 --from reports/shop-…
  manada coordinate --resume shop-1 --bus rediss://bus.example:6379 --without-folder")]
pub(super) struct Args {
    /// Id of the run, as its first coordinator printed it
    #[arg(long, value_name = "ID")]
    resume: String,
    /// Report folder of the coordinator that died, with what it had merged
    #[arg(long, value_name = "DIR", required_unless_present = "without_folder")]
    from: Option<PathBuf>,
    /// Go on without that folder: what was merged before is lost, and the report says so
    #[arg(long, conflicts_with = "from")]
    without_folder: bool,
    #[command(flatten)]
    bus: BusArgs,
    /// Folder with private keys and client certificates of the scenario, which never travel
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    own_files: Vec<PathBuf>,
    /// Go on only with a plan that is signed with this key, e.g. ed25519:…; repeatable
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    trust_key: Vec<TrustedKey>,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn run(args: &Args, compile_words: CompileWords) -> ExitStatus {
    let name = format!("run {}", args.resume);
    let fail = |why: &dyn Display, status| fail(&args.common.output.report, &name, why, status);
    let found = args.bus.address().and_then(|bus| check_run_id(&args.resume).map(|()| bus));
    let bus = match found {
        Ok(bus) => bus,
        Err(error) => return fail(&error, error.ending()),
    };
    let (setup, bundle) = match read_setup(&bus, &args.resume, &args.trust_key) {
        Ok(found) => found,
        Err(error) => return fail(&error, error.ending()),
    };
    match resume(args, bus, &setup, &bundle, compile_words) {
        Ok(status) => status,
        Err((why, status)) => fail(&why, status),
    }
}

/// Compiles the plan of the run, and executes it from where it is.
fn resume(
    args: &Args,
    bus: BusAddress,
    setup: &FleetSetup,
    bundle: &Bundle,
    compile_words: CompileWords,
) -> Result<ExitStatus, (String, ExitStatus)> {
    if let (Some(from), Some(out)) = (&args.from, &args.common.out)
        && is_in_folder(out, &from.join(record::FILE))
    {
        let why = "--out is the folder of the former coordinator; choose another";
        return Err((why.to_owned(), ExitStatus::Usage));
    }
    let files = Files::unpack(bundle, &args.own_files).map_err(|error| {
        (format!("cannot write the files of the scenario: {error}"), ExitStatus::Broken)
    })?;
    let mut words = setup.words.iter().map(|word| OsString::from_vec(word.clone()));
    let mut plan = compile_words(&mut words, &files)?;
    plan.seed = setup.seed;
    plan.run_id.clone_from(&setup.run_id);
    let record = match &args.from {
        Some(from) => FormerRecord::read(from).map_err(|error| {
            let why = format!("cannot read the record in {}: {error}", from.display());
            (why, ExitStatus::Scenario)
        })?,
        None => None,
    };
    if let (Some(from), Some(record)) = (&args.from, &record) {
        check_former(from, record, setup, &args.resume)?;
    }
    if args.from.is_none() {
        print_remark(
            &"note: without the folder of the former coordinator, what it merged is lost\n",
        );
    }
    let shown = setup.words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    let agents = AgentsOptions {
        bus,
        id: args.resume.clone(),
        agents: setup.agents,
        join_timeout: Duration::from_nanos(setup.join_timeout),
        shards: setup.shards,
        on_loss: setup.on_loss,
        begin: AgentsBegin::Resume { former: args.from.clone() },
        journal: None,
        former: Some(Arc::new(FormerRun { addresses: setup.addresses.clone(), record })),
    };
    let generators = LoadGenerators {
        size: EngineSize::default(),
        on_loss: setup.on_loss,
        agents: Some(agents),
        command: Some(shown.collect()),
        scenario: None,
        read: Vec::new(),
    };
    Ok(execute::execute_plan(plan, &args.common, OutputFolder::Always, None, generators))
}

/// Checks that the folder is that of the run, and that the run can go on from it.
fn check_former(
    from: &Path,
    record: &FormerRecord,
    setup: &FleetSetup,
    id: &str,
) -> Result<(), (String, ExitStatus)> {
    let (shown, found) = (from.display(), &record.info().plan.run_id);
    let why = if *found != setup.run_id {
        let expected = &setup.run_id;
        format!(
            "{shown} is the folder of the run {found}; expected that of {expected}, `{id}` on the \
             bus"
        )
    } else if record.has_ended() && !from.join(record::FLEET_JOURNAL).exists() {
        format!("the run is over, and {shown} has its report: `manada report {shown}`")
    } else {
        return Ok(());
    };
    Err((why, ExitStatus::Usage))
}
