//! The workers of a run, as their coordinator sees them: processes of this program, each with some
//! of the shards, over pipes.
//!
//! `run` spawns them, waits until all are ready, gives the start, and joins them at the end.
//! Invariant: a worker that ends before its last delta is a loss that the dispatcher hears of,
//! after all deltas that the worker sent.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::error::WorkerError;
use super::loss::how_it_ended;
use super::variables;
use crate::clock::Time;
use crate::engine::Variables;
use crate::event::link::{
    FromWorker, LinkReader, LinkWriter, ToWorker, WorkerEnd, WorkerSetup, manifest_hash,
};
use crate::event::{
    COMMAND_QUEUE, DELTA_QUEUE, DeltaSource, Interrupt, ShardCommand, WorkerEvent, WorkerLoss,
    WorkerUse,
};
use crate::host;
use crate::host::usage::CpuTime;
use crate::plan::data::sanitize::made_key;
use crate::plan::slots::ShardRange;
use crate::plan::{Address, Plan};
use crate::stats::Delta;
use crate::stats::sample::SeriesLayout;

/// The command of this program that is a worker.
pub const COMMAND: &str = "worker";

/// Maximum workers of a run on one machine.
pub const MAX_PROCESSES: usize = 256;

/// What all workers of a run are to run.
#[derive(Debug)]
pub struct WorkerRun<'a> {
    /// The plan, as compiled here.
    pub plan: &'a Plan,
    /// The command line that names it, program first.
    pub words: &'a [OsString],
    /// The address of each service.
    pub addresses: &'a [Address],
    /// The values of the variables that the scenario's `setup` set.
    pub globals: &'a Variables,
    /// The memory for bodies over all workers, bytes.
    pub body_budget: u64,
}

/// Workers that compile their plan.
pub struct PendingWorkers {
    workers: Vec<Worker>,
    writers: Vec<LinkWriter<ChildStdin, ToWorker>>,
    news: mpsc::Receiver<(usize, WorkerNews)>,
    deltas: mpsc::Receiver<Delta>,
    losses: mpsc::Receiver<WorkerEvent>,
    plan: u32,
}

/// Workers at work.
#[derive(Debug)]
pub struct RunningWorkers {
    workers: Vec<Worker>,
    writers: Vec<JoinHandle<()>>,
}

/// A worker process.
#[derive(Debug)]
struct Worker {
    process: Arc<Mutex<WorkerProcess>>,
    range: ShardRange,
    reader: JoinHandle<()>,
}

/// The process of a worker, and what is known of it.
#[derive(Debug)]
struct WorkerProcess {
    child: Child,
    /// The highest memory use that was read, bytes.
    rss_peak: u64,
    /// Its CPU time, as it was read last.
    cpu: CpuTime,
    /// What it told at its end.
    end: Option<WorkerEnd>,
    /// How it ended, if it told nothing.
    loss: Option<String>,
}

/// What a worker tells before the load.
#[derive(Debug)]
enum WorkerNews {
    Ready(u32),
    Refused(String, crate::exit::ExitStatus),
    Gone(String),
}

impl PendingWorkers {
    /// Starts a worker for each range, and sends it what it is to run.
    ///
    /// # Errors
    /// If a process, thread or pipe is refused.
    pub fn spawn(run: &WorkerRun<'_>, ranges: &[ShardRange]) -> Result<Self, WorkerError> {
        let program =
            std::env::current_exe().map_err(|error| WorkerError::Start { worker: 1, error })?;
        let layout = run.plan.series_layout();
        let (news_sender, news) = mpsc::channel(ranges.len().max(1) * 2);
        let (delta_sender, deltas) = mpsc::channel(DELTA_QUEUE);
        let (loss_sender, losses) = mpsc::channel(ranges.len().max(1));
        let mut pending = Self {
            workers: Vec::new(),
            writers: Vec::new(),
            news,
            deltas,
            losses,
            plan: manifest_hash(&run.plan.manifest()),
        };
        for (index, range) in ranges.iter().enumerate() {
            let failed = |error| WorkerError::Start { worker: index + 1, error };
            let mut child = spawn(&program).map_err(failed)?;
            let pipes = (child.stdin.take(), child.stdout.take());
            let (Some(stdin), Some(stdout)) = pipes else {
                return Err(failed(io::Error::other("no pipes")));
            };
            let process = WorkerProcess {
                child,
                rss_peak: 0,
                cpu: CpuTime::default(),
                end: None,
                loss: None,
            };
            let process = Arc::new(Mutex::new(process));
            let follower = Follower {
                index,
                range: *range,
                layout: layout.clone(),
                process: Arc::clone(&process),
                news: news_sender.clone(),
                deltas: delta_sender.clone(),
                losses: loss_sender.clone(),
            };
            let reader = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || follower.run(stdout))
                .map_err(failed)?;
            pending.workers.push(Worker { process, range: *range, reader });
            let setup = WorkerSetup {
                words: run.words.iter().map(|word| word.clone().into_vec()).collect(),
                seed: run.plan.seed,
                run_id: run.plan.run_id.clone(),
                addresses: run.addresses.to_vec(),
                range: *range,
                globals: variables::write(run.globals),
                body_budget: run.body_budget / ranges.len() as u64,
            };
            // A worker that has ended is reported by its reader.
            if let Ok(mut writer) = LinkWriter::new(stdin) {
                drop(writer.send(&ToWorker::Prepare { setup: Box::new(setup) }));
                pending.writers.push(writer);
            }
        }
        Ok(pending)
    }

    /// Returns the ids of the processes.
    pub fn pids(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| lock(&worker.process).child.id()).collect()
    }

    /// Waits until all workers are ready.
    ///
    /// # Errors
    /// If one of them refuses the plan, compiled another one, or is gone; or if a signal came.
    pub async fn ready(
        &mut self,
        interrupts: &mut mpsc::Receiver<Interrupt>,
    ) -> Result<(), WorkerError> {
        for _ in 0..self.workers.len() {
            let (index, news) = tokio::select! {
                Some(news) = self.news.recv() => news,
                Some(interrupt) = interrupts.recv() => {
                    return Err(WorkerError::Interrupted(interrupt));
                }
            };
            let worker = index + 1;
            match news {
                WorkerNews::Ready(plan) if plan == self.plan => {}
                WorkerNews::Ready(_) => return Err(WorkerError::OtherPlan { worker }),
                WorkerNews::Refused(why, status) => {
                    return Err(WorkerError::Refused { worker, why, status });
                }
                WorkerNews::Gone(why) => return Err(WorkerError::Ended { worker, why }),
            }
        }
        Ok(())
    }

    /// Gives the start. Returns the workers, and the source of their deltas.
    ///
    /// # Errors
    /// If a thread is refused.
    pub fn start(mut self, start: Time) -> Result<(RunningWorkers, DeltaSource), WorkerError> {
        let (mut commands, mut writers) = (Vec::new(), Vec::new());
        for (index, mut writer) in std::mem::take(&mut self.writers).into_iter().enumerate() {
            let (sender, mut receiver) = mpsc::channel::<ShardCommand>(COMMAND_QUEUE);
            // A worker that has ended is reported by its reader.
            drop(writer.send(&ToWorker::Start { start }));
            let thread = std::thread::Builder::new().name(format!("commands-{index}"));
            let send = move || {
                while let Some(command) = receiver.blocking_recv() {
                    if writer.send(&ToWorker::Command { command }).is_err() {
                        return;
                    }
                }
            };
            let failed = |error| WorkerError::Start { worker: index + 1, error };
            writers.push(thread.spawn(send).map_err(failed)?);
            commands.push(sender);
        }
        let shards = self.workers.iter().map(|worker| worker.range.count() as usize).sum();
        let workers = std::mem::take(&mut self.workers);
        let (_, none) = mpsc::channel(1);
        let deltas = std::mem::replace(&mut self.deltas, none);
        let (_, none) = mpsc::channel(1);
        let losses = std::mem::replace(&mut self.losses, none);
        let source = DeltaSource::new(deltas, Some(losses), commands, shards);
        Ok((RunningWorkers { workers, writers }, source))
    }
}

impl Drop for PendingWorkers {
    /// Ends workers that were not started: their standard input ends.
    fn drop(&mut self) {
        self.writers.clear();
        for worker in &self.workers {
            let mut process = lock(&worker.process);
            // It may be compiling a large plan, which nothing needs any more.
            drop(process.child.kill());
        }
    }
}

impl RunningWorkers {
    /// Returns the memory that all workers hold now, bytes.
    pub fn rss(&self) -> u64 {
        self.workers.iter().map(|worker| lock(&worker.process).read_rss()).sum()
    }

    /// Waits until all workers have ended; ends those that have a shard of `stuck`.
    pub fn join(self, stuck: &[usize]) -> Vec<WorkerUse> {
        // The source of deltas is dropped by now, and with it the senders of commands.
        for worker in &self.workers {
            if stuck.iter().any(|shard| worker.range.contains(*shard as u64)) {
                drop(lock(&worker.process).child.kill());
            }
        }
        let mut uses = Vec::new();
        for worker in self.workers {
            drop(worker.reader.join());
            let process = lock(&worker.process);
            let end = process.end.clone().unwrap_or_default();
            uses.push(WorkerUse {
                range: worker.range,
                rss_peak: end.rss_peak.unwrap_or(process.rss_peak),
                cpu: end.cpu.unwrap_or(process.cpu),
                failed: end.failed,
                loss: process.loss.clone(),
                agent: None,
            });
        }
        for writer in self.writers {
            drop(writer.join());
        }
        uses
    }
}

impl WorkerProcess {
    /// Reads the memory that the process holds, bytes; zero if it has ended.
    fn read_rss(&mut self) -> u64 {
        if self.end.is_some() || self.loss.is_some() {
            return 0;
        }
        let Some(usage) = host::usage::process(Some(self.child.id())) else { return 0 };
        self.rss_peak = self.rss_peak.max(usage.rss);
        self.cpu = usage.cpu;
        usage.rss
    }
}

/// Reads what one worker sends, on a thread of its own.
struct Follower {
    index: usize,
    range: ShardRange,
    layout: SeriesLayout,
    process: Arc<Mutex<WorkerProcess>>,
    news: mpsc::Sender<(usize, WorkerNews)>,
    deltas: mpsc::Sender<Delta>,
    losses: mpsc::Sender<WorkerEvent>,
}

impl Follower {
    /// Reads until the worker has ended. Everything that it sent is handed on before its loss is.
    fn run(self, stdout: ChildStdout) {
        let trouble = self.follow(stdout).err();
        let mut process = lock(&self.process);
        if process.end.is_none() {
            // What a worker sends after a damaged message is worth nothing.
            drop(process.child.kill());
        }
        let status = process.child.wait();
        if process.end.is_some() {
            return;
        }
        let ended = || status.map_or_else(|error| error.to_string(), how_it_ended);
        let why = trouble.unwrap_or_else(ended);
        process.loss = Some(why.clone());
        drop(process);
        drop(self.news.try_send((self.index, WorkerNews::Gone(why.clone()))));
        let loss = WorkerLoss { worker: self.index, range: self.range, why, is_agent: false };
        drop(self.losses.blocking_send(WorkerEvent::Lost(loss)));
    }

    /// Hands on what the worker sends, until its link ends.
    ///
    /// # Errors
    /// Why the link cannot be read, as text.
    fn follow(&self, stdout: ChildStdout) -> Result<(), String> {
        let link = LinkReader::<_, FromWorker>::new(stdout, Some(&self.layout));
        let mut link = match link {
            Ok(link) => link,
            Err(error) if error.is_end() => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        while let Some(message) = link.receive().map_err(|error| error.to_string())? {
            let news = match message {
                FromWorker::Ready { plan } => WorkerNews::Ready(plan),
                FromWorker::Refused { why, status } => WorkerNews::Refused(why, status),
                FromWorker::Delta { delta } => {
                    if !delta.fits(&self.layout) || !self.range.contains(delta.shard as u64) {
                        return Err("it sent a delta of another plan".to_owned());
                    }
                    // The dispatcher may not wait for deltas any more.
                    drop(self.deltas.blocking_send(*delta));
                    continue;
                }
                FromWorker::Ended { end } => {
                    lock(&self.process).end = Some(end);
                    continue;
                }
            };
            drop(self.news.try_send((self.index, news)));
        }
        Ok(())
    }
}

/// Starts a worker process.
fn spawn(program: &std::path::Path) -> io::Result<Child> {
    // The rows of all processes are hashed under one key.
    Command::new(program)
        .arg(COMMAND)
        .envs(made_key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A separate process group: Ctrl-C must let the run drain.
        .process_group(0)
        .spawn()
}

fn lock(process: &Mutex<WorkerProcess>) -> MutexGuard<'_, WorkerProcess> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}
