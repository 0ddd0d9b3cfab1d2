//! `manada agent`: generates a part of the load of a run that `manada run --agents` coordinates.
//!
//! Invariant: it compiles the plan that the command line of the coordinator names, by the same
//! code, from the files of the coordinator.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::args;
use super::bus_args::BusArgs;
use super::output::{finish, print_error, print_remark};
use super::signals::Signals;
use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::fleet::agent::{self, AgentHooks, AgentOptions, AgentResult};
use crate::fleet::bus;
use crate::fleet::protocol::{AgentEnd, MemberRefusal};
use crate::fleet::setup::FleetSetup;
use crate::fleet::worker::PlanRefusal;
use crate::plan::Plan;
use crate::run::machine;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada agent --bus redis://127.0.0.1:6379 --run shop-1 --ordinal 0
  manada agent --bus rediss://bus.example:6379 --run shop-1          in Kubernetes: its own ordinal
  manada agent --run shop-1 --acl                                     rights on Redis")]
pub(super) struct Args {
    /// Id of the run, as the coordinator prints it
    #[arg(long, value_name = "ID", env = "MANADA_RUN")]
    run: String,
    /// Place of this agent among all, from 0
    ///
    /// Kubernetes sets JOB_COMPLETION_INDEX in each pod of an Indexed Job.
    #[arg(long, value_name = "N", env = "JOB_COMPLETION_INDEX", default_value_t = 0)]
    ordinal: u16,
    #[command(flatten)]
    bus: BusArgs,
    /// How long to wait for the run
    #[arg(long, value_name = "D", default_value = "10m", value_parser = args::duration)]
    join_timeout: Duration,
    /// Folder with private keys and client certificates of the scenario, which never travel
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    own_files: Vec<PathBuf>,
    /// Print the rules of Redis for an agent of this run, and end
    #[arg(long)]
    acl: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Compiles the plan of a command line; its files are read from the given ones.
pub(super) type CompileWords =
    fn(&mut dyn Iterator<Item = OsString>, &Files) -> Result<Plan, PlanRefusal>;

pub(super) fn run(args: &Args, compile_words: CompileWords) -> ExitStatus {
    if args.acl {
        return match bus::agent_rule(&args.run, "manada-agent") {
            Ok(rule) => finish(writeln!(io::stdout(), "{rule}"), ExitStatus::Pass),
            Err(error) => {
                print_error(&error);
                error.ending()
            }
        };
    }
    let bus = match args.bus.address() {
        Ok(bus) => bus,
        Err(error) => {
            print_error(&error);
            return error.ending();
        }
    };
    let signals = match Signals::start() {
        Ok(signals) => signals,
        Err(error) => {
            print_error(&format_args!("cannot start a thread for signals: {error}"));
            return ExitStatus::Broken;
        }
    };
    let options = AgentOptions {
        bus,
        run: args.run.clone(),
        ordinal: args.ordinal,
        patience: args.join_timeout,
        own_folders: args.own_files.clone(),
    };
    let name = format!("agent {} of {}", args.ordinal, args.run);
    let tell = |line: String| {
        if !args.quiet {
            print_remark(&format!("{name}: {line}\n"));
        }
    };
    let interrupts = |listener: tokio::sync::mpsc::Sender<Interrupt>| signals.pass_to(listener);
    let hooks = AgentHooks {
        compile: |setup: &FleetSetup, files: &Files| {
            let mut words = setup.words.iter().map(|word| OsString::from_vec(word.clone()));
            compile_words(&mut words, files)
        },
        body_budget: machine::body_budget,
        interrupts: &interrupts,
        tell: &tell,
    };
    match agent::run(&options, hooks) {
        Ok(result) => end(&result, &tell),
        Err(error) => {
            print_error(&format_args!("{name}: {error}"));
            error.ending()
        }
    }
}

/// Tells how an agent ended.
fn end(result: &AgentResult, tell: &dyn Fn(String)) -> ExitStatus {
    if let Some(why) = &result.failed {
        print_error(&format_args!("a shard failed: {why}"));
    }
    let (line, status) = match result.end {
        AgentEnd::Closed => ("the coordinator has everything", ExitStatus::Pass),
        AgentEnd::Superseded => ("another process has its ordinal", ExitStatus::Broken),
        AgentEnd::Refused(MemberRefusal::OtherPlan) => (
            "refused: it compiled another plan than the coordinator; the builds of manada, or \
             files that do not travel, differ",
            ExitStatus::Scenario,
        ),
        AgentEnd::Refused(MemberRefusal::TooMany) => {
            ("refused: its ordinal is not below the number of agents", ExitStatus::Usage)
        }
        AgentEnd::Abandoned => (
            "the bus, or the coordinator, did not answer any more, or the run ended without it",
            ExitStatus::Broken,
        ),
    };
    if status == ExitStatus::Pass {
        tell(line.to_owned());
    } else {
        print_error(&line);
    }
    if result.failed.is_some() { ExitStatus::Broken } else { status }
}
