//! A worker: one process of a run, with some of its shards.
//!
//! `cli` runs it as `manada worker`. Its standard input and output are the link to the coordinator;
//! its messages for people go to standard error.
//! Invariant: it never outlives the coordinator: when its standard input ends, it cancels all work.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{cache_stores, variables};
use crate::cache::CacheSet;
use crate::clock;
use crate::engine::{self, Variables};
use crate::event::link::{
    FromWorker, LinkReader, LinkWriter, ToWorker, WorkerEnd, WorkerSetup, manifest_hash,
};
use crate::event::{DeltaSource, ShardCommand};
use crate::exit::ExitStatus;
use crate::host;
use crate::plan::Plan;
use crate::stats::run_usage::process_cpu;
use crate::wire::{self, ServiceEndpoint};

/// Why a plan cannot be run here: the reason, and the exit status of the program.
pub type PlanRefusal = (String, ExitStatus);

/// Runs a worker; `compile` makes the plan that a command line names.
///
/// # Errors
/// If the link fails: the coordinator is gone, or another build.
pub fn run(
    compile: impl FnOnce(&WorkerSetup) -> Result<Plan, PlanRefusal>,
) -> io::Result<ExitStatus> {
    // Not `io::stdout()`: it would look for line ends.
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut up = LinkWriter::<_, FromWorker>::new(output)?;
    let no_plan = || io::Error::other("standard input ended before a plan came from `manada run`");
    let mut down = LinkReader::<_, ToWorker>::new(io::stdin(), None)
        .map_err(|error| if error.is_end() { no_plan() } else { io::Error::other(error) })?;
    let Some(ToWorker::Prepare { setup }) = down.receive().map_err(io::Error::other)? else {
        return Err(no_plan());
    };
    let prepared = compile(&setup).and_then(|plan| prepare(plan, &setup));
    let (plan, globals, endpoints, caches) = match prepared {
        Ok(prepared) => prepared,
        Err((why, status)) => {
            up.send(&FromWorker::Refused { why, status })?;
            return Ok(status);
        }
    };
    up.send(&FromWorker::Ready { plan: manifest_hash(&plan.manifest()) })?;
    let Some(ToWorker::Start { start }) = down.receive().map_err(io::Error::other)? else {
        // The run was not carried out.
        return Ok(ExitStatus::Pass);
    };
    let range = setup.range;
    let (setups, mut source) =
        engine::set_up_with(&plan, setup.addresses.clone(), range, start, (&globals, &caches));
    let engine = engine::start(setups, endpoints)?;
    let commands = source.commands.clone();
    std::thread::Builder::new()
        .name("commands".to_owned())
        .spawn(move || pass_on(&mut down, &commands))?;
    clock::block_on(send_deltas(&mut source, &mut up))??;
    let failed = engine.join(&[]).err().map(|error| error.to_string());
    let end = WorkerEnd { failed, rss_peak: host::peak_rss_bytes(), cpu: process_cpu() };
    up.send(&FromWorker::Ended { end })?;
    Ok(ExitStatus::Pass)
}

/// What a worker needs at the start: the plan, the values of its first variables, and the endpoints
/// of all services for each shard; its caches.
type Prepared = (Arc<Plan>, Variables, Vec<Vec<ServiceEndpoint>>, Arc<CacheSet>);

/// Makes everything ready for the start: afterwards only the start is waited for.
fn prepare(mut plan: Plan, setup: &WorkerSetup) -> Result<Prepared, PlanRefusal> {
    plan.seed = setup.seed;
    plan.run_id.clone_from(&setup.run_id);
    let globals = variables::read(&setup.globals).ok_or_else(|| {
        let why = "the values of the variables of `setup` cannot be read".to_owned();
        (why, ExitStatus::Broken)
    })?;
    wire::body::bodies::set_budget(setup.body_budget);
    let shards = 0..setup.range.count();
    let endpoints: io::Result<_> =
        shards.map(|_| engine::endpoints(&plan, &setup.addresses)).collect();
    let endpoints =
        endpoints.map_err(|error| (format!("cannot set up TLS: {error}"), ExitStatus::Broken))?;
    let caches =
        cache_stores::open(&plan).map_err(|error| (error.to_string(), ExitStatus::Broken))?;
    Ok((Arc::new(plan), globals, endpoints, caches))
}

/// Hands commands of the coordinator to the shards, until its link ends: then all work is
/// cancelled.
fn pass_on(down: &mut LinkReader<impl Read, ToWorker>, shards: &[mpsc::Sender<ShardCommand>]) {
    while let Ok(Some(message)) = down.receive() {
        if let ToWorker::Command { command } = message {
            for shard in shards {
                // A shard that has ended needs no command.
                drop(shard.blocking_send(command.clone()));
            }
        }
    }
    for shard in shards {
        drop(shard.blocking_send(ShardCommand::Cancel));
    }
}

/// Sends the deltas of all shards until the last shard has ended.
async fn send_deltas(
    source: &mut DeltaSource,
    up: &mut LinkWriter<impl Write, FromWorker>,
) -> io::Result<()> {
    while let Some(delta) = source.deltas.recv().await {
        up.send(&FromWorker::Delta { delta: Box::new(delta) })?;
    }
    Ok(())
}
