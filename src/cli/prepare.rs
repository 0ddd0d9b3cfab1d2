//! What is made ready before a run starts threads: its folder, its sandbox, its signals.
//!
//! `execute` calls it.
//! Invariant: the sandbox is entered before the first thread that carries out something of the run
//! or of a target's responses; the built-in targets, processes of their own, start before it.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use super::args::CommonArgs;
use super::load_generators::LoadGenerators;
use super::output::print_remark;
use super::output_folder::{OutputFolder, claim};
use super::sandbox::{self, SandboxNeeds};
use super::signals::Signals;
use super::spellings::SEPARATOR;
use crate::exit::ExitStatus;
#[cfg(feature = "history")]
use crate::history::SourceCommit;
use crate::plan::{Address, Plan};
use crate::run::{MonitorSource, StartedTargets, agents};
use crate::sandbox::SandboxInfo;
use crate::sinks::folder::RunFolder;

/// A run that can begin.
pub(super) struct PreparedRun {
    pub(super) monitors: Vec<MonitorSource>,
    pub(super) folder: Option<Arc<RunFolder>>,
    pub(super) sandbox: Option<SandboxInfo>,
    /// The targets, if the sandbox needs their ports.
    pub(super) targets: Option<Rc<StartedTargets>>,
    /// The commit of the scenario, for the history.
    #[cfg(feature = "history")]
    pub(super) commit: Option<SourceCommit>,
    pub(super) signals: Signals,
}

/// Why a run cannot begin, and the status of its end.
type RunRefusal = (String, ExitStatus);

fn broken(why: impl Display) -> RunRefusal {
    (why.to_string(), ExitStatus::Broken)
}

fn sweep(folder: Option<&RunFolder>) {
    folder.into_iter().for_each(RunFolder::sweep);
}

impl PreparedRun {
    /// Prepares a run.
    ///
    /// # Errors
    /// If an option is wrong, or the system refuses something.
    pub(super) fn new(
        plan: &Plan,
        common: &CommonArgs,
        folder_use: OutputFolder,
        generators: &LoadGenerators,
    ) -> Result<Self, RunRefusal> {
        let monitors = parse_monitors(&common.monitor)?;
        let folder = claim(plan, common, folder_use).map_err(broken)?;
        // Git's files are outside the sandbox.
        #[cfg(feature = "history")]
        let has_history = common.history.is_wanted(folder_use == OutputFolder::Always);
        #[cfg(feature = "history")]
        let commit = has_history.then(|| SourceCommit::find(generators.scenario.as_deref()));
        let former = generators.agents.as_ref().and_then(agents::former_addresses);
        let entered = enter(
            common,
            former,
            &SandboxNeeds {
                plan,
                addresses: &[],
                monitors: &monitors,
                read: &generators.read,
                folder: folder.as_deref().map(RunFolder::path),
                bus: generators.agents.as_ref().map(agents::bus_port),
                #[cfg(feature = "history")]
                has_history,
            },
        );
        let (sandbox, targets) = entered.inspect_err(|_| sweep(folder.as_deref()))?;
        let signals = Signals::start()
            .map_err(|error| broken(format_args!("cannot start a thread for signals: {error}")));
        let signals = signals.inspect_err(|_| sweep(folder.as_deref()))?;
        Ok(Self {
            monitors,
            folder,
            sandbox,
            targets,
            #[cfg(feature = "history")]
            commit: commit.flatten(),
            signals,
        })
    }
}

/// Enters the sandbox, if one is wanted, and says so. `former`: the addresses of a run that goes
/// on.
fn enter(
    common: &CommonArgs,
    former: Option<Vec<Address>>,
    needs: &SandboxNeeds<'_>,
) -> Result<(Option<SandboxInfo>, Option<Rc<StartedTargets>>), RunRefusal> {
    let Some(level) = common.sandbox.sandbox else { return Ok((None, None)) };
    if needs.plan.shift.as_ref().is_some_and(|shift| shift.commands.has_any()) {
        let why = "--sandbox runs no other program: leave it out, or `before`, `after` and \
                   `rollback` of the shift";
        return Err((why.to_owned(), ExitStatus::Usage));
    }
    let targets = match former {
        Some(addresses) => StartedTargets::elsewhere(addresses),
        None => StartedTargets::start(needs.plan).map_err(broken)?,
    };
    let needs = SandboxNeeds { addresses: targets.addresses(), ..*needs };
    let info = sandbox::enter(level, &needs, common).map_err(broken)?;
    if common.output.quiet == 0 {
        print_remark(&format_args!("sandbox: {info}"));
    }
    Ok((Some(info), Some(Rc::new(targets))))
}

/// Parses `--monitor`: its words come joined, or in one word with spaces between them.
fn parse_monitors(values: &[String]) -> Result<Vec<MonitorSource>, RunRefusal> {
    let words = |value: &String| -> Vec<String> {
        let split = if value.contains(SEPARATOR) { SEPARATOR } else { ' ' };
        value.splitn(3, split).map(str::to_owned).collect()
    };
    MonitorSource::parse(&values.iter().flat_map(words).collect::<Vec<String>>())
        .map_err(|why| (why.to_string(), ExitStatus::Usage))
}
