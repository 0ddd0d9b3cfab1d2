//! `manada agent`: generates a part of the load of a run that `manada run --agents` coordinates.
//!
//! Invariant: it compiles the plan that the command line of the coordinator names, by the same
//! code, from the files of the coordinator.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::args;
use super::bus_args::BusArgs;
use super::limits;
use super::output::{finish, print_error, print_remark};
use super::sandbox::AgentSandbox;
use super::sandbox_args::SandboxArgs;
use super::signals::Signals;
use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::fleet::agent::{self, AgentHooks, AgentOptions, AgentResult};
use crate::fleet::bus;
use crate::fleet::protocol::{AgentEnd, MemberRefusal};
use crate::fleet::setup::FleetSetup;
use crate::fleet::signature::{SigningKey, TrustedKey};
use crate::fleet::worker::PlanRefusal;
use crate::plan::Plan;
use crate::plan::allowed_targets::{AllowedTarget, AllowedTargets};
use crate::run::machine;
use crate::sandbox::SandboxError;
use crate::scenario::agent_limits;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada agent --bus redis://127.0.0.1:6379 --run shop-1 --ordinal 0
  manada agent --bus rediss://bus.example:6379 --run shop-1 --allow shop.example:443
  manada agent --run shop-1 --acl | redis-cli                       rights on Redis
  manada agent --new-key plan.key                                   a key for --sign-key")]
pub(super) struct Args {
    /// Id of the run, as the coordinator prints it
    #[arg(long, value_name = "ID", env = "MANADA_RUN", required_unless_present = "new_key")]
    run: Option<String>,
    /// Place of this agent among all, from 0
    ///
    /// Kubernetes sets JOB_COMPLETION_INDEX in each pod of an Indexed Job.
    #[arg(long, value_name = "N", env = "JOB_COMPLETION_INDEX", default_value_t = 0)]
    ordinal: u16,
    /// Target that this agent may load, whatever the plan says; repeatable
    ///
    /// HOST[:PORT] or CIDR[:PORT], e.g. shop.example:443, '*.test', 10.0.0.0/8:8080, [fd00::/8]:80;
    /// unix:/PATH for a socket; `any` for all hosts. Required if the bus is on another machine.
    #[arg(long, value_name = "TARGET", help_heading = "Safety")]
    allow: Vec<AllowedTarget>,
    /// Run only plans that are signed with this key, e.g. ed25519:…; repeatable
    ///
    /// `manada run --sign-key FILE` signs, and prints the key.
    #[arg(long, value_name = "KEY", help_heading = "Safety")]
    trust_key: Vec<TrustedKey>,
    /// Make a key for `run --sign-key`, print what agents trust, and end
    #[arg(long, value_name = "FILE", help_heading = "Safety")]
    new_key: Option<PathBuf>,
    #[command(flatten)]
    bus: BusArgs,
    /// How long to wait for the run
    #[arg(long, value_name = "D", default_value = "10m", value_parser = args::duration)]
    join_timeout: Duration,
    /// Folder with private keys and client certificates of the scenario, which never travel
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    own_files: Vec<PathBuf>,
    /// Folder for a journal of what this agent measures, for `manada merge`
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Print the Redis command that gives a user the rights for this run, and end
    #[arg(long, value_enum, value_name = "ROLE", num_args = 0..=1, require_equals = true,
        default_missing_value = "agent", help_heading = "Safety")]
    acl: Option<AclRole>,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Whose rights are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AclRole {
    /// The user `manada-agent`
    Agent,
    /// The user `manada-coordinator`
    Coordinator,
}

/// Compiles the plan of a command line; its files are read from the given ones.
pub(super) type CompileWords =
    fn(&mut dyn Iterator<Item = OsString>, &Files) -> Result<Plan, PlanRefusal>;

pub(super) fn run(args: &Args, compile_words: CompileWords) -> ExitStatus {
    let printed = match (&args.new_key, args.acl) {
        (Some(path), _) => Some(new_key(path)),
        (None, Some(role)) => Some(acl(args.run.as_deref().unwrap_or_default(), role)),
        (None, None) => None,
    };
    match printed {
        Some(Ok(line)) => finish(writeln!(io::stdout(), "{line}"), ExitStatus::Pass),
        Some(Err((why, status))) => refuse(&why, status),
        None => join(args, compile_words),
    }
}

fn refuse(why: &dyn Display, status: ExitStatus) -> ExitStatus {
    print_error(why);
    status
}

/// Makes a key; returns what agents trust.
fn new_key(path: &Path) -> Result<String, PlanRefusal> {
    let key = SigningKey::create(path).map_err(|error| (error.to_string(), ExitStatus::Broken))?;
    Ok(format!("--trust-key {}", key.public()))
}

/// The rule of a user.
fn acl(run: &str, role: AclRole) -> Result<String, PlanRefusal> {
    let rule = match role {
        AclRole::Agent => bus::agent_rule(run, "manada-agent"),
        AclRole::Coordinator => bus::coordinator_rule(run, "manada-coordinator"),
    };
    rule.map_err(|error| (error.to_string(), error.ending()))
}

/// What the agent is started with.
fn options(args: &Args) -> Result<AgentOptions, PlanRefusal> {
    let run = args.run.clone().unwrap_or_default();
    bus::check_run_id(&run).map_err(|error| (error.to_string(), error.ending()))?;
    let bus = args.bus.address().map_err(|error| (error.to_string(), error.ending()))?;
    if args.allow.is_empty() && !bus.is_loopback() {
        let why = "the bus is on another machine, from which any plan may come: name what this \
                   agent may load with `--allow HOST:PORT` (repeatable), or all hosts with \
                   `--allow any`";
        return Err((why.to_owned(), ExitStatus::Usage));
    }
    Ok(AgentOptions {
        bus,
        run,
        ordinal: args.ordinal,
        patience: args.join_timeout,
        own_folders: args.own_files.clone(),
        trusted: args.trust_key.clone(),
        journal: args.journal.clone(),
        machine: machine::facts(),
    })
}

/// Adds the limits of this machine to a plan.
fn restrict(args: &Args, plan: &mut Plan) -> Result<(), PlanRefusal> {
    let own = limits::safety_file(&Files::default());
    let allowed = (!args.allow.is_empty()).then(|| AllowedTargets::new(args.allow.clone()));
    agent_limits::restrict(plan, own.as_deref(), allowed)
        .map_err(|mistakes| (mistakes.lines(), ExitStatus::Scenario))
}

/// Enters the sandbox of an agent, if one is wanted.
fn enter_sandbox(
    args: &Args,
    options: &AgentOptions,
) -> Result<Option<AgentSandbox>, SandboxError> {
    let Some(level) = args.sandbox.sandbox else { return Ok(None) };
    let journal = args.journal.as_deref();
    // A folder that cannot be made is reported when the journal is opened.
    journal.into_iter().for_each(|folder| drop(fs::create_dir_all(folder)));
    let safety = limits::safety_file(&Files::default());
    let read = args.own_files.iter().chain(&safety).map(PathBuf::as_path);
    AgentSandbox::enter(level, options.bus.port(), (read, journal), &args.allow).map(Some)
}

/// Joins the run, and takes part until its end.
fn join(args: &Args, compile_words: CompileWords) -> ExitStatus {
    let options = match options(args) {
        Ok(options) => options,
        Err((why, status)) => return refuse(&why, status),
    };
    let sandbox = match enter_sandbox(args, &options) {
        Ok(sandbox) => sandbox,
        Err(error) => return refuse(&error, ExitStatus::Broken),
    };
    let signals = match Signals::start() {
        Ok(signals) => signals,
        Err(error) => {
            let why = format_args!("cannot start a thread for signals: {error}");
            return refuse(&why, ExitStatus::Broken);
        }
    };
    let name = format!("agent {} of {}", args.ordinal, options.run);
    let tell = |line: String| {
        if !args.quiet {
            print_remark(&format_args!("{name}: {line}"));
        }
    };
    // Of the targets, a built-in one among them.
    let addresses = RefCell::new(Vec::new());
    let hooks = AgentHooks {
        compile: &|setup: &FleetSetup, files: &Files| {
            addresses.borrow_mut().clone_from(&setup.addresses);
            let mut words = setup.words.iter().map(|word| OsString::from_vec(word.clone()));
            compile_words(&mut words, files)
        },
        restrict: &|plan| {
            restrict(args, plan)?;
            let Some(sandbox) = &sandbox else { return Ok(()) };
            let info = sandbox
                .narrow(plan, &addresses.borrow())
                .map_err(|error| (error.to_string(), ExitStatus::Broken))?;
            tell(format!("sandbox: {info}"));
            Ok(())
        },
        check_part: &|plan, agents| {
            machine::check_part(plan, agents).map_err(|error| (error.to_string(), error.ending()))
        },
        body_budget: &machine::body_budget,
        interrupts: &|listener: tokio::sync::mpsc::Sender<Interrupt>| signals.pass_to(listener),
        tell: &tell,
    };
    match agent::run(&options, &hooks) {
        Ok(result) => end(&result, &tell),
        Err(error) => refuse(&format_args!("{name}: {error}"), error.ending()),
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
        AgentEnd::Refused(MemberRefusal::Unable) => {
            ("refused: it cannot run the plan", ExitStatus::Scenario)
        }
        AgentEnd::Refused(MemberRefusal::TooLate) => (
            "refused: the load was divided before this agent joined; other agents have that of its \
             predecessor, as far as --on-loss says so",
            ExitStatus::Scenario,
        ),
        AgentEnd::NotStarted => (
            "the run ended before its load started; the coordinator has the reason",
            ExitStatus::Broken,
        ),
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
